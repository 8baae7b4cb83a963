//! The link on real sockets.
//!
//! A loaded machine wakes threads late, never early: each measurement is one that lateness hardly touches. Which packets
//! are lost is decided by the seed; delay and rate are read from the packets that were least late of many.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use moqingbird_link::{Conditions, Direction, Link};

const SEED: u64 = 4;
/// A bound for what must come, so that a hang is a failure.
const SOON: Duration = Duration::from_secs(10);
/// So few packets at once that no socket's buffer overflows: what the link did not lose may not be lost elsewhere.
const BATCH: u64 = 50;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn link(server: &UdpSocket, conditions: Conditions) -> Link {
    Link::between(server.local_addr().unwrap(), conditions, conditions, SEED).unwrap()
}

/// Awaits what other threads do.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < SOON, "timed out: {what}");
        thread::sleep(Duration::from_micros(100));
    }
}

/// Sends numbered packets of so many bytes to a link, and awaits that it has them.
fn send(client: &UdpSocket, link: &Link, numbers: Range<u32>, bytes: usize) {
    let mut sent = link.counters(Direction::ToServer).arrived;
    let mut packet = vec![0; bytes];
    for number in numbers {
        packet[..4].copy_from_slice(&number.to_be_bytes());
        client.send_to(&packet, link.address()).unwrap();
        sent += 1;
        if sent.is_multiple_of(BATCH) {
            until("the link receives", || link.counters(Direction::ToServer).arrived == sent);
        }
    }
    until("the link receives", || link.counters(Direction::ToServer).arrived == sent);
}

fn receive(server: &UdpSocket) -> (u32, SocketAddr) {
    let mut buffer = [0; 2000];
    let (_, from) = server.recv_from(&mut buffer).expect("a packet comes soon");
    (u32::from_be_bytes(buffer[..4].try_into().unwrap()), from)
}

#[test]
fn packets_are_delayed_by_the_delay() {
    const PACKETS: u32 = 100;
    const DELAY: Duration = Duration::from_millis(200);
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { delay: DELAY, ..Conditions::default() });
    let (sent, times) = mpsc::channel();
    let sending = thread::spawn(move || {
        for number in 0..PACKETS {
            sent.send(Instant::now()).unwrap();
            client.send_to(&number.to_be_bytes(), link.address()).unwrap();
            thread::sleep(Duration::from_millis(3));
        }
        // The link lives until all have arrived.
        (client, link)
    });
    let mut delays: Vec<_> = (0..PACKETS)
        .map(|expected| {
            let (number, _) = receive(&server);
            let arrived = Instant::now();
            assert_eq!(number, expected);
            arrived - times.recv().unwrap()
        })
        .collect();
    sending.join().unwrap();
    delays.sort_unstable();
    assert!(delays[0] >= DELAY, "a packet came after {:?}", delays[0]);
    let least_late = delays[delays.len() / 10];
    assert!(least_late < DELAY.mul_f64(1.05), "nine of ten packets took longer than {least_late:?}");
}

#[test]
fn the_share_lost_is_the_loss() {
    const BATCHES: u32 = 100;
    const LOSS: f64 = 0.25;
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { loss: LOSS, ..Conditions::default() });
    let mut received = 0;
    for _ in 0..BATCHES {
        send(&client, &link, 0..BATCH as u32, 4);
        let passed = link.counters(Direction::ToServer);
        let expected = passed.arrived - passed.lost;
        while received < expected {
            receive(&server);
            received += 1;
        }
    }
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.recv(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock, "a lost packet came");
    assert_eq!(link.counters(Direction::ToServer).forwarded, received);
    let lost = 1.0 - received as f64 / (f64::from(BATCHES) * BATCH as f64);
    assert!((lost / LOSS - 1.0).abs() < 0.05, "{lost} were lost");
}

#[test]
fn a_backlog_passes_at_the_rate() {
    // So few and so small that the server's socket holds them all, however late this thread is.
    const PACKETS: u32 = 200;
    const EACH: Duration = Duration::from_millis(5);
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { rate_bits: Some(160_000), ..Conditions::default() });
    let begin = Instant::now();
    send(&client, &link, 0..PACKETS, 100);
    let lateness: Vec<_> = (0..PACKETS)
        .map(|number| {
            assert_eq!(receive(&server).0, number);
            begin.elapsed().as_secs_f64() - (EACH * number).as_secs_f64()
        })
        .collect();
    // At the rate asked the second half is no later than the first; at another it falls behind, or gets ahead.
    let half = PACKETS / 2;
    let least = |packets: &[f64]| packets.iter().copied().fold(f64::INFINITY, f64::min);
    let (first, second) = lateness.split_at(half as usize);
    let slower = (least(second) - least(first)) / (EACH * half).as_secs_f64();
    assert!(slower.abs() < 0.05, "packets take {slower} more of their time than they should");
}

#[test]
fn the_queue_drops_what_it_does_not_hold() {
    let (client, server) = (socket(), socket());
    // A packet takes 80 s, so that none leaves the queue in this test.
    let conditions = Conditions { rate_bits: Some(100), queue_packets: 7, ..Conditions::default() };
    let link = link(&server, conditions);
    send(&client, &link, 0..20, 1000);
    let counters = link.counters(Direction::ToServer);
    assert_eq!((counters.forwarded, counters.dropped), (0, 13));
}

#[test]
fn packets_held_back_are_overtaken() {
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { reorder: 0.1, ..Conditions::default() });
    let (mut expected, mut overtaken) = (0, 0);
    for batch in 0..20 {
        let begin = batch * BATCH as u32;
        send(&client, &link, begin..begin + BATCH as u32, 4);
        for _ in 0..BATCH {
            let (number, _) = receive(&server);
            if number < expected {
                overtaken += 1;
            }
            expected = expected.max(number);
        }
    }
    // How many of the hundred depends on how soon the next one came.
    assert!(overtaken > 0);
    assert_eq!(link.counters(Direction::ToServer).reordered, overtaken);
}

#[test]
fn each_client_gets_its_own_answers() {
    let server = socket();
    let link = link(&server, Conditions::default());
    let clients = [socket(), socket(), socket()];
    let mut addresses = Vec::new();
    for (number, client) in (0_u32..).zip(&clients) {
        client.send_to(&number.to_be_bytes(), link.address()).unwrap();
        let (received, from) = receive(&server);
        assert_eq!(received, number);
        assert!(!addresses.contains(&from), "two clients have one address");
        addresses.push(from);
    }
    for (number, address) in (0_u32..3).zip(&addresses).rev() {
        server.send_to(&number.to_be_bytes(), address).unwrap();
    }
    for (number, client) in (0_u32..).zip(&clients) {
        assert_eq!(receive(client), (number, link.address()));
    }
    assert_eq!(link.counters(Direction::ToClient).forwarded, 3);
}

#[test]
fn directions_have_their_own_conditions() {
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions::default());
    client.send_to(&1_u32.to_be_bytes(), link.address()).unwrap();
    let (_, from) = receive(&server);
    link.set(Direction::ToClient, Conditions::default().partitioned());
    server.send_to(&2_u32.to_be_bytes(), from).unwrap();
    until("the answer is lost", || link.counters(Direction::ToClient).lost == 1);
    client.send_to(&3_u32.to_be_bytes(), link.address()).unwrap();
    assert_eq!(receive(&server), (3, from));
}

#[test]
fn a_partition_heals() {
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions::default());
    link.set_both(Conditions::default().partitioned());
    send(&client, &link, 0..10, 4);
    assert_eq!(link.counters(Direction::ToServer).lost, 10);
    link.set_both(Conditions::default());
    client.send_to(&10_u32.to_be_bytes(), link.address()).unwrap();
    assert_eq!(receive(&server).0, 10);
}

#[test]
fn only_the_server_is_heard_on_the_way_back() {
    let (client, server, stranger) = (socket(), socket(), socket());
    let link = link(&server, Conditions::default());
    client.send_to(&0_u32.to_be_bytes(), link.address()).unwrap();
    let (_, from) = receive(&server);
    stranger.send_to(&1_u32.to_be_bytes(), from).unwrap();
    server.send_to(&2_u32.to_be_bytes(), from).unwrap();
    assert_eq!(receive(&client).0, 2);
    assert_eq!(link.counters(Direction::ToClient).arrived, 1);
}

#[test]
fn a_dropped_link_is_gone_with_its_ports() {
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { delay: SOON * 10, ..Conditions::default() });
    send(&client, &link, 0..10, 4);
    let address = link.address();
    drop(link);
    UdpSocket::bind(address).expect("the port is free");
}
