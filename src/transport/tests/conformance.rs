//! What every transport owes, a test for each promise, on each transport.

use tokio::time::timeout;

use super::*;

/// Mounts each behaviour once for each transport.
macro_rules! on_every_transport {
    ($($name:ident),* $(,)?) => {
        on_every_transport!(@ quic TransportKind::Quic, $($name),*);
        on_every_transport!(@ webtransport TransportKind::WebTransport, $($name),*);
        on_every_transport!(@ memory TransportKind::Memory, $($name),*);
    };
    (@ $module:ident $kind:expr, $($name:ident),*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let Pair { client, server, _listener } = connected($kind).await;
                    within(super::$name(client, server)).await;
                }
            )*
        }
    };
}

on_every_transport! {
    bytes_arrive_on_a_unidirectional_stream,
    bytes_arrive_both_ways_on_a_bidirectional_stream,
    the_server_opens_streams_too,
    several_chunks_go_by_one_write_and_come_by_one_read,
    an_empty_stream_ends_cleanly,
    a_reset_code_arrives,
    a_reset_never_turns_into_a_clean_end,
    a_stop_code_arrives_at_the_writer,
    a_stop_code_arrives_at_one_who_waits_for_the_end,
    a_dropped_unfinished_stream_is_reset_with_cancelled,
    a_dropped_unread_stream_is_stopped_with_cancelled,
    a_finished_stream_survives_its_drop,
    a_stream_that_ended_refuses_more,
    a_writer_waits_for_its_reader,
    a_cancelled_write_loses_nothing,
    a_cancelled_read_loses_nothing,
    a_cancelled_accept_loses_no_stream,
    everything_acknowledged_is_told,
    many_streams_are_open_at_once,
    a_datagram_makes_the_round_trip,
    a_datagram_of_the_largest_size_arrives,
    a_datagram_that_is_too_large_is_refused,
    datagrams_wait_for_room,
    a_close_code_and_its_reason_arrive,
    after_a_close_this_side_knows_itself_as_the_cause,
    the_first_close_counts,
    a_close_ends_what_waits,
    dropping_the_last_handle_closes_with_code_zero,
    a_stream_keeps_the_connection,
    the_connection_knows_its_transport,
}

async fn bytes_arrive_on_a_unidirectional_stream(client: Connection, server: Connection) {
    let sent = payload(300_000);
    let mut send = client.open_uni().await.unwrap();
    let receive = async { read_all(&mut server.accept_uni().await.unwrap()).await.unwrap() };
    let ((), received) = tokio::join!(send_all(&mut send, sent.clone()), receive);
    assert_eq!(received, sent);
}

async fn bytes_arrive_both_ways_on_a_bidirectional_stream(client: Connection, server: Connection) {
    let (mut send, mut recv) = client.open_bi().await.unwrap();
    send_all(&mut send, Bytes::from_static(b"question")).await;
    let (mut back, mut asked) = server.accept_bi().await.unwrap();
    assert_eq!(read_all(&mut asked).await.unwrap(), b"question");
    send_all(&mut back, Bytes::from_static(b"answer")).await;
    assert_eq!(read_all(&mut recv).await.unwrap(), b"answer");
}

async fn the_server_opens_streams_too(client: Connection, server: Connection) {
    send_all(&mut server.open_uni().await.unwrap(), Bytes::from_static(b"one way")).await;
    assert_eq!(read_all(&mut client.accept_uni().await.unwrap()).await.unwrap(), b"one way");
    let (mut send, _recv) = server.open_bi().await.unwrap();
    send_all(&mut send, Bytes::from_static(b"two ways")).await;
    let (_send, mut recv) = client.accept_bi().await.unwrap();
    assert_eq!(read_all(&mut recv).await.unwrap(), b"two ways");
}

async fn several_chunks_go_by_one_write_and_come_by_one_read(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    let mut chunks = ["head", "", "body"].map(Bytes::from);
    let written = send.write(&mut chunks).await.unwrap();
    assert_eq!(written, Written { bytes: 8, chunks: 3 });
    assert!(chunks.iter().all(Bytes::is_empty));
    send.finish();
    // Once all is acknowledged, all of it is ready.
    let mut recv = server.accept_uni().await.unwrap();
    send.stopped().await.unwrap();
    let mut chunks: [Bytes; 8] = Default::default();
    let filled = recv.read(&mut chunks).await.unwrap().unwrap();
    assert_eq!(chunks[..filled].concat(), b"headbody");
    assert_eq!(recv.read(&mut chunks).await, Ok(None));
}

async fn an_empty_stream_ends_cleanly(client: Connection, server: Connection) {
    client.open_uni().await.unwrap().finish();
    assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), b"");
}

async fn a_reset_code_arrives(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    let mut recv = server.accept_uni().await.unwrap();
    assert_eq!(recv.read(&mut [Bytes::new()]).await, Ok(Some(1)));
    send.reset(0x2f);
    assert_eq!(read_all(&mut recv).await, Err(StreamError::Reset(0x2f)));
}

async fn a_reset_never_turns_into_a_clean_end(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    let mut recv = server.accept_uni().await.unwrap();
    recv.read(&mut [Bytes::new()]).await.unwrap();
    send.reset(0x2f);
    for _ in 0..3 {
        assert_eq!(read_all(&mut recv).await, Err(StreamError::Reset(0x2f)));
    }
}

async fn a_stop_code_arrives_at_the_writer(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    server.accept_uni().await.unwrap().stop(0x2f);
    let error = loop {
        if let Err(error) = send.write(&mut [payload(1000)]).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error, StreamError::Stopped(0x2f));
}

async fn a_stop_code_arrives_at_one_who_waits_for_the_end(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    let stop = async { server.accept_uni().await.unwrap().stop(u32::MAX) };
    let (stopped, ()) = tokio::join!(send.stopped(), stop);
    assert_eq!(stopped, Ok(Some(u32::MAX.into())));
}

async fn a_dropped_unfinished_stream_is_reset_with_cancelled(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    let mut recv = server.accept_uni().await.unwrap();
    assert_eq!(recv.read(&mut [Bytes::new()]).await, Ok(Some(1)));
    drop(send);
    assert_eq!(read_all(&mut recv).await, Err(StreamError::Reset(CANCELLED.into())));
}

async fn a_dropped_unread_stream_is_stopped_with_cancelled(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    drop(server.accept_uni().await.unwrap());
    assert_eq!(send.stopped().await, Ok(Some(CANCELLED.into())));
}

async fn a_finished_stream_survives_its_drop(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    send_all(&mut send, payload(10_000)).await;
    drop(send);
    assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), payload(10_000));
}

async fn a_stream_that_ended_refuses_more(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    send_all(&mut send, Bytes::from_static(b"all")).await;
    assert_eq!(send.write(&mut [payload(1)]).await, Err(StreamError::Closed));
    let mut recv = server.accept_uni().await.unwrap();
    recv.stop(0x5);
    assert_eq!(recv.read(&mut [Bytes::new()]).await, Err(StreamError::Closed));
}

/// More than any window: 16 MiB is the connection's.
const BEYOND_WINDOWS: usize = 40 * 1024 * 1024;

/// Writes until the stream takes no more, and says how much it took. Nobody reads meanwhile.
async fn fill(send: &mut SendStream) -> usize {
    let mut taken = 0;
    let mut chunks = [payload(BEYOND_WINDOWS)];
    // Once full, nothing but a read makes room, so the wait's length decides nothing but how soon that is noticed.
    while let Ok(written) = timeout(Duration::from_millis(300), send.write(&mut chunks)).await {
        taken += written.unwrap().bytes;
    }
    taken
}

async fn a_writer_waits_for_its_reader(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    let taken = fill(&mut send).await;
    assert!(0 < taken && taken < BEYOND_WINDOWS, "{taken}");
    let mut recv = server.accept_uni().await.unwrap();
    let mut chunks = [payload(BEYOND_WINDOWS).slice(taken..)];
    let (written, read) = tokio::join!(send.write(&mut chunks), async {
        let mut read = 0;
        while read < taken {
            let mut chunk = [Bytes::new()];
            recv.read(&mut chunk).await.unwrap().unwrap();
            read += chunk[0].len();
        }
        read
    });
    assert!(written.unwrap().bytes > 0);
    assert!(read >= taken);
}

async fn a_cancelled_write_loses_nothing(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    // The last write of `fill` is cancelled while it waits.
    let taken = fill(&mut send).await;
    let rest = payload(taken + 100_000).slice(taken..);
    let expected = payload(BEYOND_WINDOWS).slice(..taken);
    let mut recv = server.accept_uni().await.unwrap();
    let ((), received) = tokio::join!(send_all(&mut send, rest.clone()), read_all(&mut recv));
    let received = received.unwrap();
    assert_eq!(received.len(), taken + rest.len());
    assert!(received[..taken] == expected && received[taken..] == rest);
}

async fn a_cancelled_read_loses_nothing(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"first ")).await;
    let mut recv = server.accept_uni().await.unwrap();
    let mut chunks: [Bytes; 4] = Default::default();
    let filled = recv.read(&mut chunks).await.unwrap().unwrap();
    let mut received = chunks[..filled].concat();
    let waiting = timeout(Duration::from_millis(20), recv.read(&mut chunks)).await;
    assert!(waiting.is_err(), "there is nothing to read yet");
    send_all(&mut send, Bytes::from_static(b"second")).await;
    received.extend(read_all(&mut recv).await.unwrap());
    assert_eq!(received, b"first second");
}

async fn a_cancelled_accept_loses_no_stream(client: Connection, server: Connection) {
    assert!(timeout(Duration::from_millis(20), server.accept_uni()).await.is_err());
    assert!(timeout(Duration::from_millis(20), server.accept_bi()).await.is_err());
    send_all(&mut client.open_uni().await.unwrap(), Bytes::from_static(b"uni")).await;
    let (mut send, _recv) = client.open_bi().await.unwrap();
    send_all(&mut send, Bytes::from_static(b"bidi")).await;
    assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), b"uni");
    assert_eq!(read_all(&mut server.accept_bi().await.unwrap().1).await.unwrap(), b"bidi");
}

async fn everything_acknowledged_is_told(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    let mut recv = None;
    let finished = async {
        send_all(&mut send, payload(200_000)).await;
        send.stopped().await
    };
    let read = async {
        let recv = recv.insert(server.accept_uni().await.unwrap());
        read_all(recv).await
    };
    let (stopped, received) = tokio::join!(finished, read);
    assert_eq!(stopped, Ok(None));
    assert_eq!(received.unwrap().len(), 200_000);
}

async fn many_streams_are_open_at_once(client: Connection, server: Connection) {
    // More than QUIC's usual limit of 100, none of them read or ended.
    let mut held = Vec::new();
    for number in 0..120u8 {
        let mut send = client.open_uni().await.unwrap();
        write_all(&mut send, Bytes::from(vec![number])).await;
        held.push(send);
    }
    let mut seen = Vec::new();
    let mut accepted = Vec::new();
    for _ in 0..120 {
        let mut recv = server.accept_uni().await.unwrap();
        let mut chunk = [Bytes::new()];
        recv.read(&mut chunk).await.unwrap();
        seen.push(chunk[0][0]);
        accepted.push(recv);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..120).collect::<Vec<u8>>());
}

async fn a_datagram_makes_the_round_trip(client: Connection, server: Connection) {
    client.send_datagram(Bytes::from_static(b"ping")).await.unwrap();
    assert_eq!(server.read_datagram().await.unwrap(), "ping");
    server.send_datagram(Bytes::from_static(b"pong")).await.unwrap();
    assert_eq!(client.read_datagram().await.unwrap(), "pong");
}

async fn a_datagram_of_the_largest_size_arrives(client: Connection, server: Connection) {
    let largest = payload(client.max_datagram_size());
    assert!(largest.len() >= 1100, "{}", largest.len());
    client.send_datagram(largest.clone()).await.unwrap();
    assert_eq!(server.read_datagram().await.unwrap(), largest);
}

async fn a_datagram_that_is_too_large_is_refused(client: Connection, server: Connection) {
    // Larger than any packet that path MTU discovery may yet find.
    assert_eq!(client.send_datagram(payload(70_000)).await, Err(DatagramError::TooLarge));
    client.send_datagram(Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(server.read_datagram().await.unwrap(), "small");
}

async fn datagrams_wait_for_room(client: Connection, server: Connection) {
    // More than twice what any send buffer holds: a sender that did not wait would lose most of them there.
    const COUNT: usize = 600;
    let send = async {
        for _ in 0..COUNT {
            client.send_datagram(payload(1000)).await.unwrap();
        }
        client.open_uni().await.unwrap().finish();
    };
    let receive = async {
        let mut arrived = 0;
        let sent = server.accept_uni();
        tokio::pin!(sent);
        loop {
            tokio::select! {
                datagram = server.read_datagram() => { datagram.unwrap(); arrived += 1 }
                _ = &mut sent => break,
            }
        }
        while timeout(Duration::from_millis(100), server.read_datagram()).await.is_ok() {
            arrived += 1;
        }
        arrived
    };
    let ((), arrived) = tokio::join!(send, receive);
    // The system may lose a few on the way.
    assert!(arrived > COUNT * 9 / 10, "{arrived} of {COUNT}");
}

async fn a_close_code_and_its_reason_arrive(client: Connection, server: Connection) {
    client.close(0x3, "a violation");
    let lost = server.closed().await;
    assert_eq!(lost, Lost::Peer { code: 0x3, reason: "a violation".to_owned() });
}

async fn after_a_close_this_side_knows_itself_as_the_cause(client: Connection, server: Connection) {
    server.close(0x10, "going away");
    assert_eq!(server.closed().await, Lost::Local);
    assert_eq!(server.open_uni().await.unwrap_err(), Lost::Local);
    assert_eq!(client.closed().await, Lost::Peer { code: 0x10, reason: "going away".to_owned() });
}

async fn the_first_close_counts(client: Connection, server: Connection) {
    client.close(0x7, "first");
    client.close(0x8, "second");
    assert_eq!(server.closed().await, Lost::Peer { code: 0x7, reason: "first".to_owned() });
    server.close(0x9, "third");
    assert_eq!(server.closed().await, Lost::Peer { code: 0x7, reason: "first".to_owned() });
}

async fn a_close_ends_what_waits(client: Connection, server: Connection) {
    let lost = Lost::Peer { code: 0x1, reason: "over".to_owned() };
    let mut send = client.open_uni().await.unwrap();
    write_all(&mut send, Bytes::from_static(b"begun")).await;
    let mut recv = server.accept_uni().await.unwrap();
    let waiting = async {
        tokio::join!(
            server.accept_uni(),
            server.accept_bi(),
            server.read_datagram(),
            read_all(&mut recv),
            async {
                tokio::task::yield_now().await;
                client.close(0x1, "over");
            }
        )
    };
    let (uni, bi, datagram, read, ()) = waiting.await;
    assert_eq!(uni.unwrap_err(), lost);
    assert_eq!(bi.unwrap_err(), lost);
    assert_eq!(datagram.unwrap_err(), lost);
    assert_eq!(read, Err(StreamError::Lost(lost)));
}

async fn dropping_the_last_handle_closes_with_code_zero(client: Connection, server: Connection) {
    let other = client.clone();
    drop(client);
    assert!(timeout(Duration::from_millis(50), server.closed()).await.is_err(), "a handle is left");
    drop(other);
    assert_eq!(server.closed().await, Lost::Peer { code: 0, reason: String::new() });
}

async fn a_stream_keeps_the_connection(client: Connection, server: Connection) {
    let mut send = client.open_uni().await.unwrap();
    drop(client);
    send_all(&mut send, Bytes::from_static(b"still here")).await;
    assert_eq!(read_all(&mut server.accept_uni().await.unwrap()).await.unwrap(), b"still here");
    drop(send);
    assert_eq!(server.closed().await, Lost::Peer { code: 0, reason: String::new() });
}

async fn the_connection_knows_its_transport(client: Connection, server: Connection) {
    assert_eq!(client.kind(), server.kind());
    assert_eq!(client.protocol().as_deref(), Some("moqt-16"));
    assert_eq!(server.protocol(), client.protocol());
    assert_eq!(client.connection_id(), server.connection_id());
    let memory = client.kind() == TransportKind::Memory;
    assert_eq!(client.connection_id().is_none(), memory);
    assert_eq!(client.remote_address().is_none(), memory);
}
