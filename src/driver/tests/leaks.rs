//! After its end a session leaves no task and no memory, and while it lives nothing of what has ended in it.

use std::sync::{Arc, Weak};

use moqingbird_wire::model::{
    Datagram, DatagramBody, PublishDoneCode, PublishNamespace, PublishOk, SessionErrorCode,
    SubscribeNamespace,
};

use super::*;
use crate::driver::Shared;
use crate::{Delivery, SubgroupOptions};

in_every_draft! {
    a_close_leaves_nothing_behind;
    dropped_handles_leave_nothing_behind;
    a_lost_connection_leaves_nothing_behind;
    requests_that_ended_leave_nothing_in_a_living_session;
}

/// The tasks of the runtime before a session, and its two ends, by which nothing is held.
struct Before {
    tasks: usize,
    ends: Vec<Weak<Shared>>,
}

impl Before {
    async fn of(version: Version) -> (Self, Session, Session) {
        let tasks = alive();
        let (client, server) = memory(version).await;
        let ends = [&client, &server].map(|session| Arc::downgrade(session.shared())).to_vec();
        (Self { tasks, ends }, client, server)
    }

    async fn returns(self) {
        while alive() > self.tasks {
            settle().await;
        }
        for end in self.ends {
            assert_eq!(end.strong_count(), 0, "a task has ended, but not its hold on the session");
        }
    }
}

fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Some of everything, none of it ended.
async fn busy(client: &Session, server: &Session) -> impl Sized + use<> {
    let (subscription, publication) = subscribed(client, server).await;
    let payload = Bytes::from(vec![7; 200_000]);
    let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
    sender.begin(&object(0, &payload)).unwrap();
    sender.add(payload).unwrap();
    sender.finish().unwrap();
    let idle = publication.open_subgroup(SubgroupOptions::new(1)).await.unwrap();

    let prefix = SubscribeNamespace::new(TrackNamespace::from_path("live").unwrap());
    let accepts = async {
        let Some(IncomingRequest::SubscribeNamespace(request)) = server.next_request().await else {
            panic!()
        };
        request.accept().unwrap()
    };
    let (heard, told) = tokio::join!(client.subscribe_namespace(prefix), accepts);
    told.namespace(namespace()).unwrap();

    let accepts = async {
        let Some(IncomingRequest::PublishNamespace(request)) = client.next_request().await else { panic!() };
        request.accept().unwrap()
    };
    let announcement = PublishNamespace::new(TrackNamespace::from_path("mine").unwrap());
    let (announced, taken) = tokio::join!(server.publish_namespace(announcement), accepts);
    settle().await;
    (subscription, publication, idle, heard, told, announced, taken)
}

async fn a_close_leaves_nothing_behind(version: Version) {
    let (before, client, server) = Before::of(version).await;
    let handles = busy(&client, &server).await;
    client.close(SessionErrorCode::NoError, "");
    server.closed().await;
    drop((client, server, handles));
    before.returns().await;
}

async fn dropped_handles_leave_nothing_behind(version: Version) {
    let (before, client, server) = Before::of(version).await;
    let handles = busy(&client, &server).await;
    drop((client, server, handles));
    before.returns().await;
}

async fn a_lost_connection_leaves_nothing_behind(version: Version) {
    let (before, client, server) = Before::of(version).await;
    let handles = busy(&client, &server).await;
    client.shared().connection.close(0x1234, "gone");
    client.closed().await;
    server.closed().await;
    // The tasks end although every handle is still held.
    while alive() > before.tasks {
        settle().await;
    }
    drop((client, server, handles));
    before.returns().await;
}

async fn requests_that_ended_leave_nothing_in_a_living_session(version: Version) {
    let (client, server) = memory(version).await;
    for _ in 0..300 {
        let (mut subscription, publication) = subscribed(&client, &server).await;
        let mut sender = publication.open_subgroup(SubgroupOptions::new(0)).await.unwrap();
        let payload = Bytes::from_static(b"x");
        sender.write_object(&object(0, &payload), payload.clone()).await.unwrap();
        sender.finish().unwrap();
        let datagram = Datagram {
            track_alias: TrackAlias(0),
            group_id: 1,
            object_id: 0,
            publisher_priority: None,
            end_of_group: false,
            extensions: Extensions::NONE,
            body: DatagramBody::Payload(payload),
        };
        // Elsewhere a track that comes in both ways is malformed.
        if version.draft().rules().mixed_forwarding {
            publication.send_datagram(datagram).await.unwrap();
        }
        let reads = async {
            while let Some(delivery) = subscription.next().await.unwrap() {
                if let Delivery::Subgroup(mut subgroup) = delivery {
                    while subgroup.next_object().await.unwrap().is_some() {}
                }
            }
        };
        let finish = publication.finish(PublishDoneCode::TrackEnded, "");
        tokio::join!(reads, finish).1.unwrap();
    }
    drop(busy(&client, &server).await);
    let accepts = async {
        let Some(IncomingRequest::Publish(request)) = server.next_request().await else { panic!() };
        request.accept(PublishOk::default()).unwrap()
    };
    let (publication, subscription) = tokio::join!(client.publish(publish()), accepts);
    drop((publication, subscription));
    settle().await;
    for (end, session) in [("client", &client), ("server", &server)] {
        assert!(session.shared().is_idle(), "{end}: {:?}", session.shared());
        assert_eq!(session.close_reason(), None);
    }
}
