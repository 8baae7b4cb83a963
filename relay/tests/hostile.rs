//! What hostile clients do to a relay, and what the good ones beside them notice: nothing.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::Assembler;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    FullTrackName, Message, PublishNamespace, Request, RequestId, Setup, SubgroupHeader, SubgroupId,
    Subscribe, TrackAlias, TrackNamespace,
};
use moqingbird::wire::stream::SubgroupWriter;
use moqingbird::{
    ClientOptions, Delivery, IncomingRequest, Pem, Server, ServerCertificate, ServerOptions, Session,
    SubgroupOptions, TrackInfo, Trust, Version, connect,
};
use moqingbird_relay::{Relay, RelayOptions};

/// How much memory the relay and all of its clients, which live in this process, may take on top of what they took before.
const GROWTH: u64 = 384 << 20;

/// A relay on loopback with a publisher and a subscriber of good will.
struct Stage {
    relay: Relay,
    address: SocketAddr,
    root: rustls::pki_types::CertificateDer<'static>,
    options: ClientOptions,
    /// Groups that the subscriber has received whole.
    received: Arc<AtomicU64>,
    memory: u64,
    _sessions: [Session; 2],
}

impl Stage {
    async fn new(payload: usize) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut options = ServerOptions::default();
        options.certificate = ServerCertificate::Pem {
            chain: Pem::Text(made.cert.pem().into_bytes()),
            key: Pem::Text(made.signing_key.serialize_pem().into_bytes()),
        };
        let server = Server::bind(&options).unwrap();
        let address = server.local_addrs()[0];
        let mut options = ClientOptions::default();
        options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
        let relay = Relay::new(RelayOptions::default());
        let running = relay.clone();
        tokio::spawn(async move { running.run(&server).await });

        let url = format!("moqt://{address}").parse().unwrap();
        let publisher = long("a session", connect(&url, &options)).await.unwrap();
        let subscriber = long("a session", connect(&url, &options)).await.unwrap();
        tokio::spawn(publish(publisher.clone(), payload));
        let received = Arc::new(AtomicU64::new(0));
        let (announced, counted) = (subscriber.clone(), Arc::clone(&received));
        tokio::spawn(async move { watch(announced, &counted).await });
        let root = made.cert.der().clone();
        let stage = Self {
            relay,
            address,
            root,
            options,
            received,
            memory: resident(),
            _sessions: [publisher, subscriber],
        };
        stage.progresses().await;
        stage
    }

    /// The good subscriber receives further groups.
    async fn progresses(&self) {
        let until = self.received.load(Ordering::Relaxed) + 50;
        let comes = async {
            while self.received.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        long("progress of the good session", comes).await;
    }

    fn is_bounded(&self) {
        let now = resident();
        assert!(now < self.memory + GROWTH, "{} bytes became {now}", self.memory);
    }

    /// A client that is bare QUIC.
    async fn bare(&self, version: Version) -> (quinn::Endpoint, quinn::Connection) {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![version.protocol().as_bytes().to_vec()];
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(tls));
        let connecting = endpoint.connect_with(config, self.address, "localhost").unwrap();
        let connection = long("a connection", connecting).await.unwrap();
        (endpoint, connection)
    }
}

async fn long<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(120), future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

fn track() -> FullTrackName {
    FullTrackName::new(TrackNamespace::from_path("good").unwrap(), "track").unwrap()
}

/// Publishes a group every few milliseconds, to whoever asks.
async fn publish(session: Session, payload: usize) {
    let announce = PublishNamespace::new(track().namespace);
    let _announced = session.publish_namespace(announce).await.unwrap();
    while let Some(IncomingRequest::Subscribe(request)) = session.next_request().await {
        let publication = request.accept(TrackInfo::default()).unwrap();
        let payload = Bytes::from(vec![7; payload]);
        tokio::spawn(async move {
            for group in 0.. {
                let Ok(mut subgroup) = publication.open_subgroup(SubgroupOptions::new(group)).await else {
                    return;
                };
                let written = subgroup.write(payload.clone()).await;
                if written.is_err() || subgroup.finish().is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
}

/// Subscribes as soon as there is a publisher, and counts groups.
async fn watch(session: Session, received: &AtomicU64) {
    let mut subscription = loop {
        match session.subscribe(Subscribe::new(track())).await {
            Ok(subscription) => break subscription,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    while let Ok(Some(delivery)) = subscription.next().await {
        if let Delivery::Subgroup(mut subgroup) = delivery {
            while let Ok(Some(_)) = subgroup.next_object().await {}
            received.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// A client's first packet, right in everything but that no handshake is in it (RFC 9000 §17.2.2, RFC 9001 §5.2).
fn initial(number: u64) -> Vec<u8> {
    use rustls::quic::{Keys, Version};
    let rustls::SupportedCipherSuite::Tls13(suite) =
        rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        unreachable!()
    };
    let destination = number.to_be_bytes();
    let keys = Keys::initial(Version::V1, suite, suite.quic.unwrap(), &destination, rustls::Side::Client);
    let mut header = vec![0xc3, 0, 0, 0, 1, 8];
    header.extend_from_slice(&destination);
    header.push(8);
    header.extend_from_slice(&(!number).to_be_bytes());
    // No token; a length of two bytes, of the packet number, the payload and its tag; the packet number 0.
    let payload_length = 1200 - header.len() - 3 - 4;
    header.push(0);
    let length = u16::try_from(payload_length + 4).unwrap() | 0x4000;
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    // A PING, and padding.
    let mut payload = vec![0; payload_length - keys.local.packet.tag_len()];
    payload[0] = 1;
    let tag = keys.local.packet.encrypt_in_place(0, &header, &mut payload).unwrap();
    payload.extend_from_slice(tag.as_ref());
    let (sample, mut packet) = (payload[..16].to_vec(), header);
    let at = packet.len() - 4;
    let (first, rest) = packet.split_at_mut(1);
    keys.local.header.encrypt_in_place(&sample, &mut first[0], &mut rest[at - 1..]).unwrap();
    packet.extend_from_slice(&payload);
    packet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_handshakes_that_are_begun_and_left() {
    let stage = Stage::new(1000).await;
    let address = stage.address;
    let flood = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..10_000 {
            // A full buffer loses it, as a network would.
            let _ = socket.send_to(&initial(number), address);
            if number % 50 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    stage.progresses().await;
    // A newcomer of good will gets in, by QUIC's Retry.
    let url = format!("moqt://{address}").parse().unwrap();
    let newcomer = long("a session under load", connect(&url, &stage.options)).await.unwrap();
    flood.await.unwrap();
    stage.progresses().await;
    let stats = stage.relay.stats();
    assert!(stats.refusals.retries > 1_000, "{stats:?}");
    assert!(stats.handshakes <= 256, "{stats:?}");
    assert_eq!(newcomer.close_reason(), None);
    stage.is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_send_malformed_bytes() {
    let stage = Stage::new(1000).await;
    for round in 0..20_u32 {
        let version = if round % 2 == 0 { Version::Draft14 } else { Version::Draft16 };
        let (_endpoint, connection) = stage.bare(version).await;
        // No message, and no header of a stream, begins like this.
        let garbage: Vec<u8> =
            (0..65_536_u32).map(|at| (at.wrapping_mul(round + 7) >> 3) as u8 | 0x80).collect();
        let (mut control, _recv) = connection.open_bi().await.unwrap();
        let mut data = connection.open_uni().await.unwrap();
        // They fail as soon as the relay has had enough.
        let _ = tokio::join!(control.write_all(&garbage), data.write_all(&garbage));
        let closed = long("the session is closed", connection.closed()).await;
        let quinn::ConnectionError::ApplicationClosed(closed) = closed else { panic!("{closed}") };
        assert_ne!(closed.error_code.into_inner(), 0, "{closed}");
        assert!(!closed.reason.is_empty());
        stage.progresses().await;
    }
    stage.is_bounded();
}

/// The control stream of a bare client.
struct Control {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    version: Version,
    assembler: Assembler,
}

impl Control {
    async fn set_up(connection: &quinn::Connection, version: Version) -> Self {
        let (send, recv) = connection.open_bi().await.unwrap();
        let mut control = Self { send, recv, version, assembler: Assembler::new() };
        let setup = Setup {
            versions: version.draft().rules().setup_version.into_iter().collect(),
            max_request_id: 100,
            path: Some(Bytes::from_static(b"/")),
            authority: Some(Bytes::from_static(b"localhost")),
            ..Setup::default()
        };
        control.say(&Message::ClientSetup(setup)).await;
        assert!(matches!(control.hear().await, Message::ServerSetup(_)));
        control
    }

    async fn say(&mut self, message: &Message) {
        let mut w = Writer::new();
        self.version.draft().encode_control(message, &mut w).unwrap();
        self.send.write_all(&w.take()).await.unwrap();
    }

    async fn hear(&mut self) -> Message {
        loop {
            if let Some(frame) = self.assembler.next_frame() {
                return self.version.draft().decode_control(&frame).unwrap();
            }
            let chunk = long("a message", self.recv.read_chunk(usize::MAX, true)).await.unwrap().unwrap();
            self.assembler.push(chunk.bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_a_thousand_streams_of_unknown_aliases() {
    let stage = Stage::new(1000).await;
    for version in [Version::Draft14, Version::Draft16] {
        let (_endpoint, connection) = stage.bare(version).await;
        let _control = Control::set_up(&connection, version).await;
        let mut streams = Vec::new();
        for number in 0..1_000 {
            let header = SubgroupHeader {
                track_alias: TrackAlias(1_000_000 + number),
                group_id: 0,
                subgroup_id: SubgroupId::Zero,
                publisher_priority: Some(128),
                extensions: false,
                end_of_group: false,
            };
            let mut stream = long("a stream", connection.open_uni()).await.unwrap();
            let opening = SubgroupWriter::new(version.draft(), header).opening().unwrap();
            stream.write_all(&opening).await.unwrap();
            // As much as the relay takes of it.
            let _ = tokio::time::timeout(Duration::from_millis(1), stream.write_all(&[0; 16_384])).await;
            streams.push(stream);
        }
        stage.progresses().await;
        stage.is_bounded();
        // None of them is held for ever.
        for stream in &mut streams {
            let stopped = long("the stream is given up", stream.stopped()).await;
            assert!(!matches!(stopped, Ok(None)), "{stopped:?}");
        }
        stage.progresses().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_never_reads() {
    let stage = Stage::new(64 << 10).await;
    let mut held = Vec::new();
    for version in [Version::Draft14, Version::Draft16] {
        let (endpoint, connection) = stage.bare(version).await;
        let mut control = Control::set_up(&connection, version).await;
        let request = Request::Subscribe(Subscribe::new(track()));
        control.say(&Message::Request { id: RequestId(0), request }).await;
        while !matches!(control.hear().await, Message::Response { .. }) {}
        held.push((endpoint, connection, control));
    }
    // 32 MiB and more pass by.
    for _ in 0..10 {
        stage.progresses().await;
    }
    stage.is_bounded();
}
