//! The crate in seven steps, and the drafts' terms with their names here. Every example is a test of the crate.
//!
//! 1. [Connect](#1-connect)
//! 2. [Publish](#2-publish)
//! 3. [Subscribe](#3-subscribe)
//! 4. [Fetch](#4-fetch)
//! 5. [Errors](#5-errors)
//! 6. [Back-pressure](#6-back-pressure)
//! 7. [Without I/O](#7-without-io)
//! 8. [The drafts' terms](#8-the-drafts-terms)
//!
//! There are two ways to work, and they mix. **Live tracks** ([`Origin`], [`Broadcast`], [`track::Writer`],
//! [`track::TrackSubscription`]) know no request, stream or session: a program writes and reads, and connections come and
//! go beneath. **Requests** ([`Session`] and its handles) are the protocol itself, a handle for each request, with every
//! parameter and error code.
//!
//! # 1. Connect
//!
//! `moqt://` is raw QUIC, `https://` WebTransport. The newest draft that both ends speak is agreed on. [`connect`] makes one
//! session; [`Client`] keeps an [`Origin`] connected, with back-off, and follows GOAWAY. A [`Server`] takes both transports
//! and every draft on one port; [`Origin::serve_clients`] serves all who come.
//!
//! ```
//! use moqingbird::{Client, ClientOptions, Origin, Server, ServerOptions, Trust};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind(&ServerOptions::default())?; // a free port of loopback, a fresh certificate
//! let url = format!("https://{}/", server.local_addrs()[0]);
//! let mut options = ClientOptions::default();
//! options.connect.trust = Trust::Pinned(vec![server.certificate_sha256()]);
//!
//! let origin = Origin::new();
//! let client = Client::start(url.parse()?, options, &origin);
//! let theirs = server.accept().await.ok_or("the server is closed")?.accept().await?;
//! let ours = client.connected().await?;
//! println!("{} over {}", ours.version(), ours.transport());
//! assert_eq!(ours.version(), theirs.version());
//! # Ok(())
//! # }
//! ```
//!
//! In the examples that follow the two ends are in one process ([`memory_pair`]); all else is the same.
//!
//! # 2. Publish
//!
//! A [`Broadcast`] is a namespace with tracks, announced to every session of its origin. [`Writer::write_frame`] makes a group
//! of one object; [`Writer::append_group`] one of several; [`Writer::write_datagram`] sends an object by itself.
//!
//! ```
//! use moqingbird::track::{TrackOptions, Writer};
//! use moqingbird::wire::model::TrackNamespace;
//! use moqingbird::Origin;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let origin = Origin::new(); // sessions may come later, or never
//! let broadcast = origin.create_broadcast(TrackNamespace::from_path("live/cam")?)?;
//!
//! let catalog = broadcast.create_track("catalog", TrackOptions::default())?;
//! catalog.write_frame(r#"{"tracks":["video"]}"#);
//!
//! let video = broadcast.create_track("video", TrackOptions::default())?;
//! for picture in 0..3 {
//!     let mut group = video.append_group();
//!     group.write_frame(format!("key frame {picture}"))?;
//!     group.write_frame(format!("the next {picture}"))?;
//!     group.finish()?;
//! }
//! video.complete(); // dropped instead, or by `abort`, the track would be broken off
//! # Ok(())
//! # }
//! ```
//!
//! [`Writer::used`] waits until somebody reads the track. Where every field matters (priorities, several subgroups, extension
//! headers, statuses), [`Writer::open_subgroup`] takes objects as the protocol has them.
//!
//! # 3. Subscribe
//!
//! [`Origin::subscribe`] needs no announcement. The reader begins with the current group, unless [`ReadOptions`] say
//! otherwise: SUBSCRIBE delivers nothing that is older than itself (draft-14 §5.1, draft-16 §5.1.2), so what precedes it is
//! fetched, and both come as one sequence, each object once.
//!
//! ```
//! use moqingbird::track::{ReadOptions, Start, TrackEvent, TrackOptions};
//! use moqingbird::wire::model::{FullTrackName, TrackNamespace};
//! use moqingbird::{NamespaceEvent, Origin, Version, memory_pair};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (publisher, namespace) = (Origin::new(), TrackNamespace::from_path("live/cam")?);
//! # let broadcast = publisher.create_broadcast(namespace.clone())?;
//! # let video = broadcast.create_track("video", TrackOptions::default())?;
//! # for group in 0..5 { video.write_frame(format!("group {group}")); }
//! # let (ours, theirs) = memory_pair(Version::Draft16).await?;
//! # let _served = publisher.attach(&theirs);
//! let origin = Origin::new();
//! let _attached = origin.attach(&ours);
//!
//! // What there is:
//! let mut announced = origin.announced(TrackNamespace::from_path("live")?);
//! assert_eq!(announced.next().await, NamespaceEvent::Namespace(namespace.clone()));
//!
//! // From two groups before the current one:
//! let options = ReadOptions::default().start(Start::GroupsBefore(2));
//! let mut track = origin.subscribe(FullTrackName::new(namespace, "video")?, options);
//! # video.complete();
//! let mut groups = Vec::new();
//! while let Some(event) = track.next().await? {
//!     match event {
//!         TrackEvent::Object(object) => groups.push(object.location.group),
//!         TrackEvent::Gap(gap) => println!("not to be had: {gap}"),
//!         _ => {}
//!     }
//! }
//! assert_eq!(groups, [2, 3, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! A session that is lost is replaced by the next, and what was missed is fetched; a hole that cannot be filled is a
//! [`TrackEvent::Gap`](track::TrackEvent::Gap) with its range. [`ReadOptions::max_latency`] says how late is too late.
//!
//! By hand, SUBSCRIBE is [`Session::subscribe`], and its streams and datagrams come as the publisher sends them; what the peer
//! asks comes from [`Session::next_request`], to be accepted or rejected:
//!
//! ```
//! use moqingbird::wire::model::{FullTrackName, PublishDoneCode, Subscribe, TrackNamespace};
//! use moqingbird::{Delivery, IncomingRequest, SubgroupOptions, TrackInfo, Version, memory_pair};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (subscriber, publisher) = memory_pair(Version::Draft14).await?;
//! tokio::spawn(async move {
//!     while let Some(request) = publisher.next_request().await {
//!         let IncomingRequest::Subscribe(request) = request else { continue };
//!         let publication = request.accept(TrackInfo::default()).expect("it is still wanted");
//!         let mut group = publication.open_subgroup(SubgroupOptions::new(7)).await.expect("a stream");
//!         group.write("hello".into()).await.expect("it is read");
//!         group.finish().expect("nothing is unfinished");
//!         let _ = publication.finish(PublishDoneCode::TrackEnded, "that was all").await;
//!     }
//! });
//!
//! let track = FullTrackName::new(TrackNamespace::from_path("live/cam")?, "video")?;
//! let mut subscription = subscriber.subscribe(Subscribe { subscriber_priority: 10, ..Subscribe::new(track) }).await?;
//! while let Some(Delivery::Subgroup(mut subgroup)) = subscription.next().await? {
//!     while let Some(object) = subgroup.next_object().await? {
//!         assert_eq!((object.location.group, &object.payload[..]), (7, &b"hello"[..]));
//!     }
//! }
//! assert_eq!(subscription.done().map(|done| done.code), Some(PublishDoneCode::TrackEnded));
//! # Ok(())
//! # }
//! ```
//!
//! # 4. Fetch
//!
//! FETCH brings a range of the past, in the order of groups that is asked for; TRACK_STATUS tells how far a track is. What
//! precedes a subscription is asked for by [`Subscription::join`].
//!
//! ```
//! use moqingbird::track::TrackOptions;
//! use moqingbird::wire::model::{
//!     EndLocation, Fetch, FetchRange, FullTrackName, Location, Subscribe, TrackNamespace,
//! };
//! use moqingbird::{Origin, Version, memory_pair};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (publisher, namespace) = (Origin::new(), TrackNamespace::from_path("live/cam")?);
//! # let broadcast = publisher.create_broadcast(namespace.clone())?;
//! # let video = broadcast.create_track("video", TrackOptions::default())?;
//! # for group in 0..5 { video.write_frame(format!("group {group}")); }
//! # let (session, theirs) = memory_pair(Version::Draft16).await?;
//! # let _served = publisher.attach(&theirs);
//! let track = FullTrackName::new(namespace, "video")?;
//! let status = session.track_status(Subscribe::new(track.clone())).await?;
//! assert_eq!(status.largest, Some(Location::new(4, 0)));
//!
//! let (start, end) = (Location::new(1, 0), EndLocation { group: 3, object: None });
//! let mut fetched = session.fetch(Fetch::new(FetchRange::Standalone { track, start, end })).await?;
//! let mut payloads = Vec::new();
//! while let Some(object) = fetched.next_object().await? {
//!     payloads.push(object.payload);
//! }
//! assert_eq!(payloads, ["group 1", "group 2", "group 3"]);
//! # Ok(())
//! # }
//! ```
//!
//! # 5. Errors
//!
//! Three kinds of trouble are three types. What the peer **lawfully declines** is [`Rejected`]: the code by meaning and as
//! it stood on the wire, the reason, when to try again, and the draft. What **we asked wrongly** is
//! [`Misuse`](session::Misuse); nothing was sent. What **ended the session** is [`Closed`](session::Closed), by whose doing
//! and with which code.
//!
//! ```
//! use moqingbird::wire::model::{FullTrackName, RequestErrorCode, Subscribe, TrackNamespace};
//! use moqingbird::{Origin, RequestFailed, Version, memory_pair};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (session, theirs) = memory_pair(Version::Draft16).await?;
//! # let nothing = Origin::new();
//! # let _served = nothing.attach(&theirs);
//! let track = FullTrackName::new(TrackNamespace::from_path("nobody/here")?, "video")?;
//! match session.subscribe(Subscribe::new(track)).await {
//!     Ok(_) => unreachable!("there is no such track"),
//!     Err(RequestFailed::Rejected(rejected)) => {
//!         assert_eq!(rejected.error.code, RequestErrorCode::DoesNotExist);
//!         assert_eq!(rejected.wire_code, Some(0x10));
//!         println!("{rejected}; try again in {:?}", rejected.error.retry_after);
//!     }
//!     Err(RequestFailed::Misuse(misuse)) => println!("our mistake: {misuse}"),
//!     Err(RequestFailed::Closed(closed)) => println!("the session is over: {closed}"),
//!     Err(other) => println!("{other}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # 6. Back-pressure
//!
//! What is not read is not sent: a reader that pauses stops its publisher by QUIC's flow control, for its own streams only. A
//! writer never waits by itself: its track holds what [`TrackOptions`](track::TrackOptions) allow, and lets go of the oldest.
//! Whoever must not outrun the readers awaits [`Writer::ready`] before each write; then the fastest reader misses nothing.
//!
//! ```
//! use moqingbird::track::{TrackOptions, Writer};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut options = TrackOptions::default();
//! options.window = 100; // bytes that the fastest reader may be behind
//! let writer = Writer::new(options);
//! let mut reader = writer.reader(None);
//! let mut written = 0;
//! while tokio::time::timeout(Duration::from_millis(10), writer.ready()).await.is_ok() {
//!     writer.write_frame(vec![0; 40]);
//!     written += 1;
//! }
//! assert!(written < 10, "it is held back");
//! while let Some(moqingbird::track::Delivery::Subgroup(mut group)) = reader.try_next() {
//!     group.try_next(&mut Vec::new());
//! }
//! writer.ready().await; // the reader has caught up
//! # }
//! ```
//!
//! A stream that nobody reads holds up no other: what lies unread on all such streams may be half of the connection's window,
//! beyond which the one of lowest priority and oldest group is stopped ([`SubgroupError::Overrun`]) and counted
//! ([`Session::dropped_streams`]). The control stream is always read.
//!
//! Cancelling a future loses nothing: reads keep their place, and what a cancelled write did not hand over goes out first the
//! next time.
//!
//! # 7. Without I/O
//!
//! Without the feature `net` the crate is [`session`], a machine of values: bytes and time in, bytes and events out. Here two
//! of them talk with no transport at all; `stream` numbers are each end's own, so the pump below keeps a table of them.
//!
//! ```
//! use moqingbird::session::{Config, Event, Input, Instant, Output, Session, Side, StreamId};
//! use moqingbird::wire::model::{PublishNamespace, Request, RequestKind, RequestOk, Response, TrackNamespace};
//! use moqingbird::Version;
//!
//! let now = Instant::from_micros(0);
//! let draft = Version::Draft16.draft();
//! let mut client = Session::new(draft, Side::Client, Config::default(), now);
//! let mut server = Session::new(draft, Side::Server, Config::default(), now);
//! // The control stream, as each end numbers it.
//! let mut control: Option<(StreamId, StreamId)> = None;
//!
//! let mut pump = |client: &mut Session, server: &mut Session| {
//!     let mut events = Vec::new();
//!     loop {
//!         let mut idle = true;
//!         for from_client in [true, false] {
//!             let (from, to) = if from_client { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
//!             while let Some(output) = from.poll_output() {
//!                 idle = false;
//!                 match output {
//!                     Output::OpenLane { stream } => control = Some((stream, to.new_stream())),
//!                     Output::Write { data, fin, .. } => {
//!                         let (ours, theirs) = control.expect("it was opened");
//!                         let stream = if from_client { theirs } else { ours };
//!                         to.handle(now, Input::Lane { stream, data, fin });
//!                     }
//!                     Output::Event(event) => events.push(event),
//!                     other => println!("{other:?}"),
//!                 }
//!             }
//!         }
//!         if idle {
//!             return events;
//!         }
//!     }
//! };
//!
//! assert!(matches!(pump(&mut client, &mut server)[..], [Event::Established(_), Event::Established(_)]));
//! let namespace = TrackNamespace::from_path("live/cam")?;
//! let id = client.request(now, Request::PublishNamespace(PublishNamespace::new(namespace)))?;
//! assert!(matches!(pump(&mut client, &mut server)[..], [Event::Request { id: seen, .. }] if seen == id));
//! let ok = Response::Ok { kind: Some(RequestKind::PublishNamespace), ok: RequestOk::default() };
//! server.accept(now, id, ok)?;
//! assert!(matches!(pump(&mut client, &mut server)[..], [Event::Accepted { id: seen, .. }] if seen == id));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The codec alone is the crate `moqingbird-wire`, here [`wire`].
//!
//! # 8. The drafts' terms
//!
//! | term | here |
//! |---|---|
//! | Session, SETUP | [`Session`]; [`Session::peer_setup`], [`session::Config`] |
//! | GOAWAY | [`Session::go_away`], [`Session::goaway`]; followed by [`Client`], which also [adopts](Client::adopt) sessions that a program serves itself |
//! | Track Namespace, Full Track Name | [`TrackNamespace`], [`FullTrackName`] |
//! | Track, Group, Subgroup, Object | [`track::Writer`], [`track::GroupWriter`], [`track::SubgroupWriter`]; read: [`track::TrackObject`], by hand [`IncomingSubgroup`], [`Object`] |
//! | Location | [`Location`] |
//! | Object Status | [`ObjectStatus`] |
//! | Extension Headers, Track Extensions | [`Extensions`], [`TrackExtensions`] |
//! | Publisher and Subscriber Priority | [`SubgroupOptions::publisher_priority`], [`Subscribe::subscriber_priority`] |
//! | SUBSCRIBE, SUBSCRIBE_OK | [`Session::subscribe`] gives a [`Subscription`]; served: [`IncomingSubscribe::accept`] gives a [`Publication`] |
//! | Filter Type | [`SubscriptionFilter`], [`track::Start`] |
//! | Forward State | [`Subscribe::forward`], [`Publication::forward`] |
//! | SUBSCRIBE_UPDATE, REQUEST_UPDATE | [`Subscription::update`] |
//! | UNSUBSCRIBE | dropping the [`Subscription`] |
//! | PUBLISH, PUBLISH_OK | [`Session::publish`] gives a [`Publication`]; taken: [`IncomingPublish::accept`] gives a [`Subscription`] |
//! | PUBLISH_DONE | [`Publication::finish`]; heard: [`Subscription::done`] |
//! | FETCH, FETCH_OK | [`Session::fetch`] gives [`Fetched`]; served: [`IncomingFetch::accept`] gives a [`FetchSender`] |
//! | Joining FETCH | [`Subscription::join`], [`Subscription::join_from`]; by itself in [`track::TrackSubscription`] |
//! | FETCH_CANCEL | dropping what was [`Fetched`] |
//! | TRACK_STATUS | [`Session::track_status`] |
//! | PUBLISH_NAMESPACE, PUBLISH_NAMESPACE_DONE | [`Origin::create_broadcast`], by hand [`Session::publish_namespace`]; dropping either |
//! | PUBLISH_NAMESPACE_CANCEL | [`PeerNamespace::revoke`]; heard: [`PublishedNamespace::revoked`] |
//! | SUBSCRIBE_NAMESPACE, NAMESPACE, NAMESPACE_DONE | [`Origin::announced`], by hand [`Session::subscribe_namespace`] |
//! | REQUEST_ERROR, SUBSCRIBE_ERROR, .. | [`Rejected`]; said: [`IncomingRequest::reject`] |
//! | Object Datagram | [`track::Writer::write_datagram`], by hand [`Publication::send_datagram`] |
//! | Termination of the session | [`Session::close`], [`session::Closed`] |
//!
//! [`FullTrackName`]: wire::model::FullTrackName
//! [`TrackNamespace`]: wire::model::TrackNamespace
//! [`Location`]: wire::model::Location
//! [`ObjectStatus`]: wire::model::ObjectStatus
//! [`Extensions`]: wire::model::Extensions
//! [`TrackExtensions`]: wire::model::TrackExtensions
//! [`SubscriptionFilter`]: wire::model::SubscriptionFilter
//! [`Subscribe::subscriber_priority`]: wire::model::Subscribe::subscriber_priority
//! [`Subscribe::forward`]: wire::model::Subscribe::forward

#[expect(unused_imports, reason = "the links above are read from here")]
use crate::track::{ReadOptions, Writer};
#[expect(unused_imports, reason = "the links above are read from here")]
use crate::*;
