//! A peer that speaks the wire's bytes and knows no rule: it can say what no session would.

use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::{
    Message, Opening, Request, RequestId, RequestKind, RequestOk, Response, SessionErrorCode, Setup,
    SubgroupHeader, SubgroupId, Target,
};
use moqingbird_wire::{Assembler, Draft};
use tokio::task::JoinHandle;

use super::*;
use crate::api::Place;
use crate::session::{Config, Side};
use crate::transport::{self, Connected, Connection, Lost, RecvStream, SendStream, ServerUrl};
use crate::{AcceptError, ConnectOptions, Server, ServerOptions, TransportKind, Trust};

/// The raw end of a connection.
pub(super) struct Raw {
    pub(super) connection: Connection,
    pub(super) draft: &'static dyn Draft,
}

/// A bidirectional stream of messages.
pub(super) struct Lane {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) draft: &'static dyn Draft,
    assembler: Assembler,
}

/// A client's end, not yet set up, of a server in memory.
pub(super) fn server_of_memory(
    version: Version,
) -> (Raw, JoinHandle<Result<Session, crate::session::Closed>>) {
    let (raw, server) = transport::pair(Some(version.protocol()));
    let config = Config { accept_path: true, ..Config::default() };
    let session = Session::start(server, version, Side::Server, config, Place::default());
    (Raw { connection: raw, draft: version.draft() }, tokio::spawn(session))
}

/// A server's end of an established session with a client in memory.
pub(super) async fn client_of_memory(version: Version) -> (Raw, Session) {
    let (client, raw) = transport::pair(Some(version.protocol()));
    let raw = Raw { connection: raw, draft: version.draft() };
    let session =
        tokio::spawn(Session::start(client, version, Side::Client, Config::default(), Place::default()));
    let mut control = raw.accept_lane().await;
    assert!(matches!(control.hear().await, Message::ClientSetup(_)));
    let versions = raw.draft.rules().setup_version.into_iter().collect();
    control.say(&Message::ServerSetup(Setup { versions, max_request_id: 100, ..Setup::default() })).await;
    let session = session.await.unwrap().unwrap();
    // The control stream lives as long as the connection.
    std::mem::forget(control);
    (raw, session)
}

/// A client's end of a server on a real socket, and what the server makes of it.
pub(super) async fn server_of(
    kind: TransportKind,
    version: Version,
) -> (Raw, JoinHandle<Result<Session, AcceptError>>, Server, ServerUrl, ConnectOptions) {
    let options = ServerOptions { versions: vec![version], ..ServerOptions::default() };
    let server = Server::bind(&options).unwrap();
    let scheme = if kind == TransportKind::Quic { "moqt" } else { "https" };
    let url: ServerUrl = format!("{scheme}://{}/", server.local_addrs()[0]).parse().unwrap();
    let trust = Trust::Pinned(vec![server.certificate_sha256()]);
    let options = ConnectOptions { versions: vec![version], trust, ..ConnectOptions::default() };
    let accepts = async {
        let incoming = server.accept().await.unwrap();
        Some(tokio::spawn(incoming.accept()))
    };
    let (connected, accepted) = tokio::join!(transport::connect(&url, &options), accepts);
    let Connected { connection, .. } = connected.unwrap();
    (Raw { connection, draft: version.draft() }, accepted.unwrap(), server, url, options)
}

impl Raw {
    /// Opens the control stream and exchanges SETUP.
    pub(super) async fn set_up(&self) -> Lane {
        let mut control = self.open_lane().await;
        let versions = self.draft.rules().setup_version.into_iter().collect();
        let mut setup = Setup { versions, max_request_id: 100, ..Setup::default() };
        if self.connection.kind() == TransportKind::Quic {
            setup.path = Some(Bytes::from_static(b"/"));
            setup.authority = Some(Bytes::from_static(b"127.0.0.1"));
        }
        control.say(&Message::ClientSetup(setup)).await;
        assert!(matches!(control.hear().await, Message::ServerSetup(_)));
        control
    }

    pub(super) async fn open_lane(&self) -> Lane {
        let (send, recv) = self.connection.open_bi().await.unwrap();
        Lane { send, recv, draft: self.draft, assembler: Assembler::new() }
    }

    pub(super) async fn accept_lane(&self) -> Lane {
        let (send, recv) = self.connection.accept_bi().await.unwrap();
        Lane { send, recv, draft: self.draft, assembler: Assembler::new() }
    }

    /// Opens a data stream that begins with these bytes.
    pub(super) async fn open_stream(&self, bytes: Bytes) -> SendStream {
        let mut stream = self.connection.open_uni().await.unwrap();
        write(&mut stream, bytes).await;
        stream
    }

    /// The header of a subgroup stream.
    pub(super) fn subgroup(&self, alias: u64, group_id: u64) -> Bytes {
        let header = SubgroupHeader {
            track_alias: TrackAlias(alias),
            group_id,
            subgroup_id: SubgroupId::Zero,
            publisher_priority: Some(128),
            extensions: false,
            end_of_group: false,
        };
        let mut w = Writer::new();
        self.draft.encode_opening(&Opening::Subgroup(header), &mut w).unwrap();
        w.take()
    }

    /// The code with which the session closes the connection, and its reason.
    pub(super) async fn closed(&self) -> (SessionErrorCode, String) {
        match self.connection.closed().await {
            Lost::Peer { code, reason } => (self.draft.session_error(code), reason),
            other => panic!("not closed by the session: {other}"),
        }
    }
}

impl Lane {
    pub(super) async fn say(&mut self, message: &Message) {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w).unwrap();
        self.say_bytes(w.take()).await;
    }

    pub(super) async fn say_bytes(&mut self, bytes: Bytes) {
        write(&mut self.send, bytes).await;
    }

    pub(super) async fn hear(&mut self) -> Message {
        let mut chunks = [const { Bytes::new() }; 4];
        loop {
            if let Some(frame) = self.assembler.next_frame() {
                return self.draft.decode_control(&frame).unwrap();
            }
            let count = self.recv.read(&mut chunks).await.unwrap().expect("a message");
            chunks[..count].iter_mut().for_each(|chunk| self.assembler.push(std::mem::take(chunk)));
        }
    }

    /// The number of the request that comes next.
    pub(super) async fn request_id(&mut self) -> RequestId {
        match self.hear().await {
            Message::Request { id, .. } => id,
            other => panic!("not a request: {other:?}"),
        }
    }

    pub(super) async fn request(&mut self, id: u64, request: Request) {
        self.say(&Message::Request { id: RequestId(id), request }).await;
    }

    pub(super) async fn grant_namespaces(&mut self, id: RequestId) {
        let kind = Some(RequestKind::SubscribeNamespace);
        let response = Response::Ok { kind, ok: RequestOk::default() };
        self.say(&Message::Response { target: Target::Id(id), response }).await;
    }

    pub(super) async fn tell_namespace(&mut self, suffix: &str) {
        self.say(&Message::Namespace(TrackNamespace::from_path(suffix).unwrap())).await;
    }

    pub(super) async fn finish(&mut self) {
        self.send.finish();
    }
}

async fn write(stream: &mut SendStream, bytes: Bytes) {
    let mut chunks = [bytes];
    while !chunks[0].is_empty() {
        stream.write(&mut chunks).await.unwrap();
    }
}
