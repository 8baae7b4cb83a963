//! The link on real sockets.
//!
//! A loaded machine wakes threads late, so that each measurement is one which lateness hardly touches: which packets are
//! lost is decided by the seed; the median of many long delays, and the time between the first and the last of many
//! packets, bear many milliseconds of it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use moqingbird_link::{Conditions, Direction, Link};

const SEED: u64 = 4;
/// A bound for what must come, so that a hang is a failure.
const SOON: Duration = Duration::from_secs(10);

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
        thread::yield_now();
    }
}

/// Sends numbered packets of so many bytes to a link, never more at once than the link's socket holds.
fn send(client: &UdpSocket, link: &Link, packets: u32, bytes: usize) {
    let before = link.counters(Direction::ToServer).arrived;
    let mut packet = vec![0; bytes];
    for number in 0..packets {
        packet[..4].copy_from_slice(&number.to_be_bytes());
        client.send_to(&packet, link.address()).unwrap();
        if number % 50 == 49 || number == packets - 1 {
            let sent = before + u64::from(number) + 1;
            until("the link receives", || link.counters(Direction::ToServer).arrived == sent);
        }
    }
}

fn receive(server: &UdpSocket) -> (u32, SocketAddr) {
    let mut buffer = [0; 2000];
    let (_, from) = server.recv_from(&mut buffer).expect("a packet comes soon");
    (u32::from_be_bytes(buffer[..4].try_into().unwrap()), from)
}

#[test]
fn packets_are_delayed_by_the_delay() {
    const PACKETS: u32 = 101;
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
    let median = delays[delays.len() / 2];
    assert!(median < DELAY.mul_f64(1.05), "half of the packets took longer than {median:?}");
}

#[test]
fn the_share_lost_is_the_loss() {
    const PACKETS: u32 = 5000;
    const LOSS: f64 = 0.25;
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { loss: LOSS, ..Conditions::default() });
    let receiving = thread::spawn(move || {
        let mut received = 0;
        // The last to come carries this number.
        while receive(&server).0 != u32::MAX {
            received += 1;
        }
        received
    });
    send(&client, &link, PACKETS, 4);
    link.set_both(Conditions::default());
    client.send_to(&u32::MAX.to_be_bytes(), link.address()).unwrap();
    let received = receiving.join().unwrap();

    let counters = link.counters(Direction::ToServer);
    assert_eq!(counters.forwarded, u64::from(received) + 1);
    assert_eq!(counters.lost, u64::from(PACKETS - received));
    let lost = f64::from(PACKETS - received) / f64::from(PACKETS);
    assert!((lost / LOSS - 1.0).abs() < 0.05, "{lost} were lost");
}

#[test]
fn a_backlog_passes_at_the_rate() {
    const PACKETS: u32 = 800;
    let (client, server) = (socket(), socket());
    // A packet of 1000 bytes takes a millisecond.
    let link = link(&server, Conditions { rate_bits: Some(8_000_000), ..Conditions::default() });
    let receiving = thread::spawn(move || {
        receive(&server);
        let first = Instant::now();
        for _ in 1..PACKETS {
            receive(&server);
        }
        first.elapsed()
    });
    send(&client, &link, PACKETS, 1000);
    let took = receiving.join().unwrap().as_secs_f64();
    let asked = f64::from(PACKETS - 1) / 1000.0;
    assert!((took / asked - 1.0).abs() < 0.05, "{took} s instead of {asked} s");
}

#[test]
fn the_queue_drops_what_it_does_not_hold() {
    let (client, server) = (socket(), socket());
    // A packet takes 80 s, so that none leaves the queue in this test.
    let conditions = Conditions { rate_bits: Some(100), queue_packets: 7, ..Conditions::default() };
    let link = link(&server, conditions);
    send(&client, &link, 20, 1000);
    let counters = link.counters(Direction::ToServer);
    assert_eq!((counters.forwarded, counters.dropped), (0, 13));
}

#[test]
fn packets_held_back_are_overtaken() {
    const PACKETS: u32 = 1000;
    let (client, server) = (socket(), socket());
    let link = link(&server, Conditions { reorder: 0.1, ..Conditions::default() });
    let receiving = thread::spawn(move || {
        let (mut expected, mut overtaken) = (0, 0);
        for _ in 0..PACKETS {
            let (number, _) = receive(&server);
            if number < expected {
                overtaken += 1;
            }
            expected = expected.max(number);
        }
        overtaken
    });
    send(&client, &link, PACKETS, 4);
    let overtaken = receiving.join().unwrap();
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
    send(&client, &link, 10, 4);
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
    send(&client, &link, 10, 4);
    let address = link.address();
    drop(link);
    UdpSocket::bind(address).expect("the port is free");
}
