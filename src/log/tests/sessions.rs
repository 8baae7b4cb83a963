//! Files of sessions: what is in them, and when they are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use moqingbird_wire::Version;
use moqingbird_wire::model::*;
use serde_json::Value;

use super::schema::Schema;
use crate::api::{Place, SubgroupOptions, TrackInfo};
use crate::log::{sampled, unique_id};
use crate::session::{Config, Direction, Instant, Side, StreamId, Trace};
use crate::{
    ClientOptions, Delivery, EventLog, IncomingRequest, Publication, Server, ServerOptions, Session,
    Subscription, Trust, connect, transport,
};

const SECRET: &[u8] = b"s3cr3t-t0ken";

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("moqingbird-log-{}", unique_id())))
    }

    fn log(&self) -> EventLog {
        EventLog::new(&self.0).unwrap()
    }

    /// The content of the only file whose name ends so.
    fn file(&self, ending: &str) -> Vec<u8> {
        let mut files = self.names().into_iter().filter(|name| name.ends_with(ending));
        let (Some(name), None) = (files.next(), files.next()) else { panic!("{ending}: {:?}", self.names()) };
        fs::read(self.0.join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

fn namespace() -> TrackNamespace {
    TrackNamespace::from_path("live/cam").unwrap()
}

fn track(name: &'static str) -> FullTrackName {
    FullTrackName::new(namespace(), name).unwrap()
}

async fn subscribed(client: &Session, server: &Session, name: &'static str) -> (Subscription, Publication) {
    let accepts = async {
        let Some(IncomingRequest::Subscribe(request)) = server.next_request().await else { panic!() };
        request.accept(TrackInfo::default()).unwrap()
    };
    let asked = Subscribe { authorization_tokens: tokens(), ..Subscribe::new(track(name)) };
    let (subscription, publication) = tokio::join!(client.subscribe(asked), accepts);
    (subscription.unwrap(), publication)
}

fn tokens() -> Vec<AuthorizationToken> {
    vec![AuthorizationToken::UseValue { token_type: 0, value: Bytes::from_static(SECRET) }]
}

/// Two ends in memory that write into one log.
async fn ends(version: Version, log: &EventLog) -> (Session, Session) {
    let (client, server) = transport::pair(Some(version.protocol()));
    let start = |connection, side| {
        let config = Config { authorization_tokens: tokens(), ..Config::default() };
        Session::start_logged(connection, version, side, config, Place::default(), Some(log))
    };
    tokio::try_join!(start(client, Side::Client), start(server, Side::Server)).unwrap()
}

async fn end(log: &EventLog, client: Session, server: Session) {
    client.close(SessionErrorCode::NoError, "");
    server.closed().await;
    drop((client, server));
    log.finished().await;
}

/// A subscription with an object of each way, an update and an end; a namespace; a prefix.
async fn converse(client: &Session, server: &Session) {
    let (mut subscription, publication) = subscribed(client, server, "video").await;
    publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap().finish().unwrap();
    assert!(matches!(subscription.next().await.unwrap(), Some(Delivery::Subgroup(_))));
    publication.finish(PublishDoneCode::TrackEnded, "over").await.unwrap();
    assert!(subscription.next().await.unwrap().is_none());

    let (mut subscription, publication) = subscribed(client, server, "audio").await;
    let datagram = Datagram {
        track_alias: TrackAlias(0),
        group_id: 1,
        object_id: 0,
        publisher_priority: Some(1),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"ping")),
    };
    publication.send_datagram(datagram).await.unwrap();
    assert!(matches!(subscription.next().await.unwrap(), Some(Delivery::Datagram(_))));
    publication.finish(PublishDoneCode::TrackEnded, "over").await.unwrap();
    assert!(subscription.next().await.unwrap().is_none());

    let announced = PublishNamespace { namespace: namespace(), authorization_tokens: tokens() };
    let accepts = async {
        let Some(IncomingRequest::PublishNamespace(request)) = client.next_request().await else { panic!() };
        request.accept().unwrap()
    };
    let (published, peer) = tokio::join!(server.publish_namespace(announced), accepts);
    published.unwrap().done();
    peer.withdrawn().await;

    let asked = SubscribeNamespace { authorization_tokens: tokens(), ..SubscribeNamespace::new(namespace()) };
    let declines = async {
        let Some(IncomingRequest::SubscribeNamespace(request)) = server.next_request().await else {
            panic!()
        };
        request.reject(RequestError::new(RequestErrorCode::Uninterested, "not here"));
    };
    let (declined, ()) = tokio::join!(client.subscribe_namespace(asked), declines);
    declined.unwrap_err();
}

/// The records of a file, whose framing is checked to the byte (RFC 7464 §2.2).
fn records(file: &[u8]) -> Vec<Value> {
    let mut records = Vec::new();
    let mut rest = file;
    while let [separator, text @ ..] = rest {
        assert_eq!(*separator, 0x1e);
        let end = text.iter().position(|&byte| byte == b'\n').expect("a record ends with a line feed");
        assert!(!text[..end].contains(&0x1e));
        records.push(serde_json::from_slice(&text[..end]).unwrap());
        rest = &text[end + 1..];
    }
    records
}

/// How often each control message is told of by an event of this name.
fn messages(records: &[Value], name: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for record in records.iter().filter(|record| record["name"] == name) {
        *found.entry(record["data"]["message"].to_string()).or_default() += 1;
    }
    found
}

fn kinds(records: &[Value], name: &str) -> Vec<String> {
    let of_name = records.iter().filter(|record| record["name"] == name);
    of_name.map(|record| record["data"]["message"]["type"].as_str().unwrap().to_owned()).collect()
}

const CREATED: &str = "moqt:control_message_created";
const PARSED: &str = "moqt:control_message_parsed";

/// The files of the client and the server after a conversation.
async fn logged(version: Version) -> (Vec<u8>, Vec<u8>) {
    let directory = Directory::new();
    let log = directory.log();
    let (client, server) = ends(version, &log).await;
    converse(&client, &server).await;
    end(&log, client, server).await;
    assert_eq!(log.dropped(), 0);
    (directory.file("_client.sqlog"), directory.file("_server.sqlog"))
}

#[tokio::test]
async fn a_file_begins_with_what_it_is_and_goes_on_in_order() {
    let schema = Schema::load();
    for version in Version::ALL {
        let (client, server) = soon(logged(*version)).await;
        for file in [client, server] {
            let beginning = String::from_utf8_lossy(&file[..256]);
            assert!(beginning.contains("urn:ietf:params:qlog:file:sequential"), "{beginning}");
            assert!(beginning.contains("application/qlog+json-seq"), "{beginning}");
            let records = records(&file);
            assert_eq!(schema.check_header(&records[0]), Ok(()));
            let times: Vec<_> = records[1..].iter().map(|record| record["time"].as_f64().unwrap()).collect();
            assert!(times.is_sorted(), "{times:?}");
            for record in &records[1..] {
                assert_eq!(schema.check_event(record), Ok(()), "{record}");
            }
        }
    }
}

#[tokio::test]
async fn every_control_message_is_there_once_at_each_end() {
    for version in Version::ALL {
        let (client, server) = soon(logged(*version)).await;
        let (client, server) = (records(&client), records(&server));
        assert_eq!(messages(&client, CREATED), messages(&server, PARSED));
        assert_eq!(messages(&server, CREATED), messages(&client, PARSED));

        let said = kinds(&client, CREATED);
        for (kind, times) in [("subscribe", 2), ("subscribe_namespace", 1), ("request_ok", 1)] {
            assert_eq!(said.iter().filter(|said| *said == kind).count(), times, "{kind} in {said:?}");
        }
        let said = kinds(&server, CREATED);
        let ends = [("publish_namespace", 1), ("publish_namespace_done", 1), ("request_error", 1)];
        for (kind, times) in [("subscribe_ok", 2), ("publish_done", 2)].into_iter().chain(ends) {
            assert_eq!(said.iter().filter(|said| *said == kind).count(), times, "{kind} in {said:?}");
        }
    }
}

#[tokio::test]
async fn streams_and_datagrams_are_there_once_at_each_end() {
    for version in Version::ALL {
        let (client, server) = soon(logged(*version)).await;
        let count =
            |file: &[u8], name: &str| records(file).iter().filter(|record| record["name"] == name).count();
        assert_eq!(count(&server, "moqt:subgroup_header_created"), 1);
        assert_eq!(count(&client, "moqt:subgroup_header_parsed"), 1);
        assert_eq!(count(&server, "moqt:object_datagram_created"), 1);
        assert_eq!(count(&client, "moqt:object_datagram_parsed"), 1);
        assert_eq!(count(&server, "moqt:stream_type_set"), count(&client, "moqt:stream_type_set"));
    }
}

#[tokio::test]
async fn the_value_of_a_token_is_nowhere_in_the_files() {
    for version in Version::ALL {
        let (client, server) = soon(logged(*version)).await;
        for file in [client, server] {
            assert!(
                file.windows(b"authorization_token".len()).any(|window| window == b"authorization_token")
            );
            assert!(!file.windows(SECRET.len()).any(|window| window == SECRET));
        }
    }
}

#[tokio::test]
async fn both_files_of_a_connection_have_its_id() {
    let directory = Directory::new();
    let log = directory.log();
    let server = Server::bind(&ServerOptions::default()).unwrap().with_event_log(log.clone());
    let mut options = ClientOptions::default();
    options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
    options.event_log = Some(log.clone());
    for scheme in ["moqt", "https"] {
        let url = format!("{scheme}://{}/", server.local_addrs()[0]).parse().unwrap();
        let accepts = async { server.accept().await.unwrap().accept().await };
        let (client, accepted) = soon(async { tokio::join!(connect(&url, &options), accepts) }).await;
        let (client, accepted) = (client.unwrap(), accepted.unwrap());
        let id = client.connection_id().unwrap();
        soon(end(&log, client, accepted)).await;
        for side in ["client", "server"] {
            let records = records(&directory.file(&format!("{id}_{side}.sqlog")));
            assert_eq!(records[0]["trace"]["common_fields"]["group_id"], *id);
            assert_eq!(records[0]["trace"]["vantage_point"]["type"], *side);
        }
    }
    assert_eq!(directory.names().len(), 4);
}

#[tokio::test]
async fn a_sampling_of_nothing_writes_nothing() {
    let directory = Directory::new();
    let log = directory.log().with_sampling(0.0);
    let (client, server) = soon(ends(Version::ALL[0], &log)).await;
    soon(end(&log, client, server)).await;
    assert!(directory.names().is_empty());
    assert_eq!(log.dropped(), 0);
}

#[tokio::test]
async fn a_sampling_of_all_writes_a_file_for_each_end() {
    let directory = Directory::new();
    let log = directory.log().with_sampling(1.0);
    let (client, server) = soon(ends(Version::ALL[0], &log)).await;
    soon(end(&log, client, server)).await;
    assert_eq!(directory.names().len(), 2);
}

#[test]
fn sampling_takes_about_the_fraction_and_always_the_same() {
    let ids: Vec<_> = (0..10_000).map(|number| format!("{:016x}", number * 0x9e37)).collect();
    let taken = |fraction| ids.iter().filter(|id| sampled(id, fraction)).collect::<Vec<_>>();
    assert_eq!(taken(0.5), taken(0.5));
    for (fraction, least, most) in [(0.0, 0, 0), (0.01, 60, 140), (0.5, 4_800, 5_200), (1.0, 10_000, 10_000)]
    {
        let count = taken(fraction).len();
        assert!((least..=most).contains(&count), "{count} of 10000 for {fraction}");
    }
    // Who is in a small sample is in a larger one.
    assert!(taken(0.01).iter().all(|id| sampled(id, 0.5)));
    // The algorithm is part of what operators rely on: both ends, and the next version, choose the same.
    let chosen = ["00", "01", "0123456789abcdef", "ffffffff"].map(|id| sampled(id, 0.5));
    assert_eq!(chosen, [false, false, true, false]);
}

/// The writer cannot run while this test does not yield, so that the queue is full after two records.
#[tokio::test]
async fn what_a_full_queue_does_not_take_is_dropped_and_counted() {
    let directory = Directory::new();
    let log = directory.log().with_capacity(2);
    let session = log.begin(Some("abcd".into()), Side::Server, Version::ALL[0].draft()).unwrap();
    for number in 0..5 {
        let message = Box::new(Message::MaxRequestId(number));
        let trace = Trace::Message { direction: Direction::Sent, stream: StreamId::from_number(0), message };
        session.record(Instant::from_micros(number), trace);
    }
    assert_eq!(log.dropped(), 3);
    drop(session);
    soon(log.finished()).await;

    let records = records(&directory.file("abcd_server.sqlog"));
    assert_eq!(kinds(&records, CREATED), ["max_request_id", "max_request_id"]);
    let warnings: Vec<_> = records.iter().filter(|record| record["name"] == "loglevel:warning").collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0]["data"]["message"].as_str().unwrap().starts_with("3 records"));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_costs_records_and_not_the_session() {
    let directory = Directory::new();
    let log = directory.log();
    fs::write(directory.0.join("abcd_client.sqlog"), "another's").unwrap();
    let session = log.begin(Some("abcd".into()), Side::Client, Version::ALL[0].draft()).unwrap();
    let trace = Trace::Message {
        direction: Direction::Sent,
        stream: StreamId::from_number(0),
        message: Box::new(Message::MaxRequestId(1)),
    };
    session.record(Instant::default(), trace);
    drop(session);
    soon(log.finished()).await;
    assert_eq!(log.dropped(), 1);
    assert_eq!(directory.file("abcd_client.sqlog"), b"another's");
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let directory = Directory::new();
    fs::write(&directory.0, "a file").unwrap();
    let error = EventLog::new(directory.0.join("logs")).unwrap_err().to_string();
    assert!(error.contains(directory.0.to_str().unwrap()), "{error}");
    fs::remove_file(&directory.0).unwrap();
}
