//! Our client against a publisher that shares nothing with it but the codec: HTTP/3 and WebTransport by h3, draft-14 by
//! hand.
#![cfg(feature = "net")]

#[expect(dead_code, reason = "the tests of the transports use the rest")]
#[path = "support/h3_server.rs"]
mod h3_server;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h3_server::{H3Server, H3Session};
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::{
    Extensions, FullTrackName, Location, Message, ObjectHeader, ObjectStatus, PublishDone, PublishDoneCode,
    Request, RequestId, Response, Setup, SubgroupHeader, SubgroupId, Subscribe, SubscribeOk, Target,
    TrackAlias, TrackExtensions, TrackNamespace,
};
use moqingbird::wire::stream::SubgroupWriter;
use moqingbird::wire::{Assembler, Draft};
use moqingbird::{CertificateHash, ClientOptions, Delivery, Session, TransportKind, Trust, Version, connect};
use moqingbird_ledger::covers;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const DRAFT_14: u64 = 0xff00_000e;

#[tokio::test]
async fn every_object_and_the_end_arrive_from_an_independent_publisher() {
    covers!("D14-3.3-01", "D14-9.12-12");
    within(watched(vec![Version::Draft14])).await;
}

#[tokio::test]
async fn a_client_of_both_drafts_speaks_draft_14_with_a_server_that_names_none() {
    within(watched(Vec::new())).await;
}

/// Connects, subscribes, and compares every object with what the publisher wrote.
async fn watched(versions: Vec<Version>) {
    let server = H3Server::bind();
    let (objects, ()) = tokio::join!(watch(&server, versions), async {
        let session = server.accept().await;
        publish(&session).await;
    });
    let written: Vec<_> = (0..3)
        .flat_map(|group| (0..4).map(move |id| (Location::new(group, id), payload(group, id))))
        .collect();
    assert_eq!(objects, written);
}

async fn watch(server: &H3Server, versions: Vec<Version>) -> Vec<(Location, Bytes)> {
    let session = connected(server, versions).await;
    assert_eq!((session.version(), session.transport()), (Version::Draft14, TransportKind::WebTransport));
    assert_eq!(session.protocol(), None);

    let mut subscription = session.subscribe(Subscribe::new(track())).await.unwrap();
    assert_eq!(subscription.largest(), Some(Location::new(0, 0)));
    let mut objects = Vec::new();
    while let Some(delivery) = subscription.next().await.unwrap() {
        let Delivery::Subgroup(mut subgroup) = delivery else { panic!("a datagram") };
        while let Some(object) = subgroup.next_object().await.unwrap() {
            objects.push((object.location, object.payload));
        }
    }
    let done = subscription.done().unwrap();
    assert_eq!((done.code, done.stream_count), (PublishDoneCode::TrackEnded, 3));
    // Groups are streams, and streams overtake each other.
    objects.sort_by_key(|(location, _)| *location);
    objects
}

async fn connected(server: &H3Server, versions: Vec<Version>) -> Session {
    let mut options = ClientOptions::default();
    options.connect.versions = versions;
    options.connect.trust = Trust::Pinned(vec![CertificateHash::of(server.certificate())]);
    let url = format!("https://{}/live", server.address()).parse().unwrap();
    connect(&url, &options).await.unwrap()
}

/// A publisher that knows one track: three groups of four objects, and then its end.
async fn publish(session: &H3Session) {
    let draft = Version::Draft14.draft();
    let mut control = Control { stream: session.accept_bi().await, assembler: Assembler::new(), draft };

    let Message::ClientSetup(setup) = control.hear().await.unwrap() else { panic!("not CLIENT_SETUP") };
    assert_eq!(setup.versions, [DRAFT_14]);
    // WebTransport has said them (draft-14 §9.3.2.1, §9.3.2.2).
    assert_eq!((setup.path, setup.authority), (None, None));
    let setup = Setup { versions: vec![DRAFT_14], max_request_id: 10, ..Setup::default() };
    control.say(&Message::ServerSetup(setup)).await;

    let Some(Message::Request { id, request: Request::Subscribe(subscribe) }) = control.hear().await else {
        panic!("not SUBSCRIBE")
    };
    assert_eq!((id, &subscribe.track), (RequestId(0), &track()));
    let ok = SubscribeOk {
        track_alias: TrackAlias(70_000),
        expires: None,
        largest: Some(Location::new(0, 0)),
        extensions: TrackExtensions::default(),
    };
    control.say(&Message::Response { target: Target::Id(id), response: Response::Subscribe(ok) }).await;

    for group in 0..3 {
        let mut stream = session.open_uni().await;
        stream.write_all(&subgroup(draft, group)).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    let done = PublishDone { code: PublishDoneCode::TrackEnded, stream_count: 3, reason: "the end".into() };
    control.say(&Message::PublishDone { target: id, done }).await;
    // Until the client has seen enough.
    while control.hear().await.is_some() {}
}

/// A whole subgroup stream.
fn subgroup(draft: &'static dyn Draft, group_id: u64) -> Bytes {
    let header = SubgroupHeader {
        track_alias: TrackAlias(70_000),
        group_id,
        subgroup_id: SubgroupId::Zero,
        publisher_priority: Some(128),
        extensions: false,
        end_of_group: false,
    };
    let mut writer = SubgroupWriter::new(draft, header);
    let mut bytes = BytesMut::from(&writer.opening().unwrap()[..]);
    for object_id in 0..4 {
        let payload = payload(group_id, object_id);
        let header = ObjectHeader {
            object_id,
            extensions: Extensions::NONE,
            status: ObjectStatus::Normal,
            payload_length: payload.len() as u64,
        };
        bytes.extend_from_slice(&writer.object(&header).unwrap());
        bytes.extend_from_slice(&payload);
    }
    bytes.freeze()
}

/// From nothing to more than a packet.
fn payload(group: u64, object: u64) -> Bytes {
    Bytes::from(format!("{group}.{object} ").repeat(object as usize * 300))
}

/// The control stream.
struct Control<S> {
    stream: S,
    assembler: Assembler,
    draft: &'static dyn Draft,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Control<S> {
    async fn say(&mut self, message: &Message) {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w).unwrap();
        self.stream.write_all(&w.take()).await.unwrap();
    }

    /// The next message; `None` once the client is gone.
    async fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = self.assembler.next_frame() {
                return Some(self.draft.decode_control(&frame).unwrap());
            }
            let mut bytes = BytesMut::with_capacity(1024);
            match self.stream.read_buf(&mut bytes).await {
                Ok(1..) => self.assembler.push(bytes.freeze()),
                _ => return None,
            }
        }
    }
}

fn track() -> FullTrackName {
    FullTrackName::new(TrackNamespace::from_path("live/cam").unwrap(), "video").unwrap()
}

/// Fails a test that hangs rather than waiting for it.
async fn within<T>(behaviour: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), behaviour).await.expect("hangs")
}
