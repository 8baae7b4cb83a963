//! Control messages and streams beyond the draft's, over real connections.
#![cfg(feature = "net")]

use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Config, Misuse};
use moqingbird::{ClientOptions, Server, ServerOptions, Session, StreamFailed, Trust, Version, connect};

const MESSAGE: u64 = 0x7f01;
const STREAM: u64 = 0x7f02;

async fn ends(scheme: &str, version: Version) -> (Session, Session, Server) {
    let mut config = Config::default();
    (config.control_types, config.stream_types) = (vec![MESSAGE], vec![STREAM]);
    let mut options = ServerOptions::default();
    options.versions = vec![version];
    let server = Server::bind(&options).unwrap().with_session(config.clone());
    let url = format!("{scheme}://{}/", server.local_addrs()[0]).parse().unwrap();
    let mut options = ClientOptions::default();
    options.connect.versions = vec![version];
    options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
    options.session = config;
    let (client, accepted) =
        tokio::join!(connect(&url, &options), async { server.accept().await.unwrap().accept().await });
    (client.unwrap(), accepted.unwrap(), server)
}

async fn pass(scheme: &str, version: Version) {
    let (client, server, _listener) = ends(scheme, version).await;
    client.send_message(MESSAGE, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(server.next_message().await, Some((MESSAGE, Bytes::from_static(b"hello"))));
    assert!(matches!(server.send_message(MESSAGE + 1, Bytes::new()), Err(Misuse::Inexpressible(_))));

    let mut stream = server.open_stream(STREAM).await.unwrap();
    stream.set_order(i32::MAX);
    stream.write(Bytes::from_static(b"all of ")).await.unwrap();
    stream.write(Bytes::from_static(b"it")).await.unwrap();
    let mut received = client.next_stream().await.unwrap();
    assert_eq!(received.kind(), STREAM);
    let reads = async {
        let mut all = Vec::new();
        while let Some(chunk) = received.read().await.unwrap() {
            all.extend_from_slice(&chunk);
        }
        all
    };
    let (finished, all) = tokio::join!(stream.finish(), reads);
    assert_eq!((finished, &all[..]), (Ok(()), &b"all of it"[..]));
    assert_eq!(received.read().await, Ok(None));

    let mut stopped = client.open_stream(STREAM).await.unwrap();
    server.next_stream().await.unwrap().stop(7);
    // An end that overtakes the stop would be acknowledged, and lawfully so: the stop has to be here first.
    while stopped.write(Bytes::from_static(b"more")).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(stopped.finish().await, Err(StreamFailed::Stopped(7)));
    let reset = client.open_stream(STREAM).await.unwrap();
    let mut received = server.next_stream().await.unwrap();
    reset.reset(9);
    assert_eq!(received.read().await, Err(StreamFailed::Reset(9)));

    assert!(matches!(client.open_stream(STREAM + 1).await, Err(StreamFailed::Misuse(_))));
    client.close(moqingbird::wire::model::SessionErrorCode::NoError, "");
    assert_eq!(server.next_message().await, None);
    assert!(server.next_stream().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_messages_and_streams_pass_over_quic() {
    for version in Version::ALL {
        pass("moqt", *version).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_messages_and_streams_pass_over_webtransport() {
    for version in Version::ALL {
        pass("https", *version).await;
    }
}
