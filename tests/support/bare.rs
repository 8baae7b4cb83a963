//! A subscriber that is bare QUIC and the codec: it sees streams, frames and codes as they come.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Message, Opening, Request, RequestId, Response, Setup, SubgroupHeader, Subscribe,
};
use moqingbird::wire::stream::{OpeningReader, SubgroupItem, SubgroupReader};
use moqingbird::wire::{Assembler, Draft};
use moqingbird::{
    IncomingRequest, Pem, Publication, Server, ServerCertificate, ServerOptions, Session, TrackInfo, Version,
};
use quinn::{ReadError, TransportConfig};

use crate::net;

/// The subscriber's end.
pub(crate) struct Bare {
    pub(crate) connection: quinn::Connection,
    pub(crate) control: Control,
    /// The QUIC transport parameters that it has offered, as they stand on the wire.
    pub(crate) offered: Arc<Mutex<Vec<u8>>>,
    _endpoint: quinn::Endpoint,
}

/// The control stream.
pub(crate) struct Control {
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
    draft: &'static dyn Draft,
    assembler: Assembler,
}

/// A subgroup stream from its header to its end.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) header: SubgroupHeader,
    /// Object IDs and payloads, in the order of the stream.
    pub(crate) objects: Vec<(u64, Bytes)>,
    /// `None`: FIN. Otherwise the code of the reset.
    pub(crate) reset: Option<u64>,
}

/// A bare subscriber of a track, and the session and publication that serve it. `way` tells the address by which the
/// subscriber reaches the server's.
pub(crate) async fn subscribed(
    version: Version,
    transport: TransportConfig,
    way: impl FnOnce(SocketAddr) -> SocketAddr,
) -> (Bare, Session, Publication) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut options = ServerOptions::default();
    options.versions = vec![version];
    options.certificate = ServerCertificate::Pem {
        chain: Pem::Text(made.cert.pem().into_bytes()),
        key: Pem::Text(made.signing_key.serialize_pem().into_bytes()),
    };
    let server = Server::bind(&options).unwrap();
    let address = way(server.local_addrs()[0]);
    let subscribes = async {
        let mut bare = Bare::connect(version, transport, address, made.cert.der().clone()).await;
        bare.set_up().await;
        bare.control.ask(0, Request::Subscribe(Subscribe::new(net::track()))).await;
        let answer = bare.control.hear().await;
        assert!(matches!(answer, Message::Response { response: Response::Subscribe(_), .. }), "{answer:?}");
        bare
    };
    let serves = async {
        let session = server.accept().await.unwrap().accept().await.unwrap();
        let Some(IncomingRequest::Subscribe(request)) = session.next_request().await else { panic!() };
        let publication = request.accept(TrackInfo::default()).unwrap();
        (session, publication)
    };
    let (bare, (session, publication)) = tokio::join!(subscribes, serves);
    (bare, session, publication)
}

impl Bare {
    async fn connect(
        version: Version,
        transport: TransportConfig,
        address: SocketAddr,
        root: rustls::pki_types::CertificateDer<'static>,
    ) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![version.protocol().as_bytes().to_vec()];
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let offered = Arc::default();
        let tls = Watched { tls: Arc::new(tls), offered: Arc::clone(&offered) };
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let connection = endpoint.connect_with(config, address, "localhost").unwrap().await.unwrap();
        let (send, recv) = connection.open_bi().await.unwrap();
        let control = Control { send, recv, draft: version.draft(), assembler: Assembler::new() };
        Self { connection, control, offered, _endpoint: endpoint }
    }

    async fn set_up(&mut self) {
        let setup = Setup {
            versions: self.control.draft.rules().setup_version.into_iter().collect(),
            max_request_id: 100,
            path: Some(Bytes::from_static(b"/")),
            authority: Some(Bytes::from_static(b"localhost")),
            ..Setup::default()
        };
        self.control.say(&Message::ClientSetup(setup)).await;
        assert!(matches!(self.control.hear().await, Message::ServerSetup(_)));
    }

    /// The next subgroup stream, read to its end.
    pub(crate) async fn capture(&self) -> Captured {
        let recv = self.connection.accept_uni().await.unwrap();
        self.capture_rest(recv, Bytes::new()).await
    }

    /// A subgroup stream of which `begun` has been read.
    pub(crate) async fn capture_rest(&self, mut recv: quinn::RecvStream, begun: Bytes) -> Captured {
        let mut bytes = begun.to_vec();
        let reset = loop {
            match recv.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
                Ok(None) => break None,
                Err(ReadError::Reset(code)) => break Some(code.into_inner()),
                Err(error) => panic!("{error}"),
            }
        };
        self.parse(bytes.into(), reset)
    }

    fn parse(&self, bytes: Bytes, reset: Option<u64>) -> Captured {
        let draft = self.control.draft;
        let mut opening = OpeningReader::new();
        opening.push(bytes);
        let Some(Opening::Subgroup(header)) = opening.next_opening(draft).unwrap() else {
            panic!("not a subgroup")
        };
        let mut reader = SubgroupReader::new(draft, header, opening.into_leftover());
        let mut objects: Vec<(u64, Bytes)> = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            match item {
                SubgroupItem::Object(object) => objects.push((object.object_id, Bytes::new())),
                SubgroupItem::Payload(part) => {
                    let payload = &mut objects.last_mut().unwrap().1;
                    *payload = [&payload[..], &part].concat().into();
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(reset.is_some() || reader.payload_left() == 0, "FIN within an object");
        Captured { header, objects, reset }
    }
}

/// TLS of a client of which the transport parameters are noted.
struct Watched {
    tls: Arc<quinn::crypto::rustls::QuicClientConfig>,
    offered: Arc<Mutex<Vec<u8>>>,
}

impl quinn::crypto::ClientConfig for Watched {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        parameters: &quinn_proto::transport_parameters::TransportParameters,
    ) -> Result<Box<dyn quinn::crypto::Session>, quinn::ConnectError> {
        parameters.write(&mut *self.offered.lock().unwrap());
        self.tls.clone().start_session(version, server_name, parameters)
    }
}

impl Control {
    pub(crate) async fn ask(&mut self, id: u64, request: Request) {
        self.say(&Message::Request { id: RequestId(id), request }).await;
    }

    async fn say(&mut self, message: &Message) {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w).unwrap();
        self.send.write_all(&w.take()).await.unwrap();
    }

    /// The next message that is not MAX_REQUEST_ID.
    pub(crate) async fn hear(&mut self) -> Message {
        self.try_hear().await.unwrap().expect("the control stream has ended")
    }

    /// The next message that is not MAX_REQUEST_ID; `None` at a FIN.
    pub(crate) async fn try_hear(&mut self) -> Result<Option<Message>, ReadError> {
        loop {
            while let Some(frame) = self.assembler.next_frame() {
                match self.draft.decode_control(&frame).unwrap() {
                    Message::MaxRequestId(_) => {}
                    message => return Ok(Some(message)),
                }
            }
            match self.recv.read_chunk(usize::MAX, true).await? {
                Some(chunk) => self.assembler.push(chunk.bytes),
                None => return Ok(None),
            }
        }
    }
}
