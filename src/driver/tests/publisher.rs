//! A peer that publishes by hand what no publisher of ours would.

use moqingbird_wire::buf::Writer;
use moqingbird_wire::model::{
    Datagram, DatagramBody, EndLocation, Fetch, FetchRange, GroupOrder, Location, Message, Opening, Request,
    RequestId, Response, SubgroupHeader, SubgroupId, SubscribeOk, Target,
};

use super::raw::{self, Lane, Raw};
use super::*;
use crate::transport::SendStream;
use crate::{Delivery, Fetched, TransportKind};

/// A peer that publishes by hand, and the session that has subscribed to it, under alias 7.
pub(super) struct Publisher {
    pub(super) raw: Raw,
    pub(super) control: Lane,
    pub(super) id: RequestId,
    pub(super) asked: Subscribe,
    pub(super) session: Session,
    pub(super) subscription: Subscription,
    pub(super) _server: Option<crate::Server>,
}

impl Publisher {
    pub(super) async fn of(kind: TransportKind, version: Version) -> Self {
        let (raw, session, server, ..) = raw::server_of(kind, version).await;
        let control = raw.set_up().await;
        Self::granted(raw, control, session.await.unwrap().unwrap(), Some(server)).await
    }

    pub(super) async fn in_memory(version: Version) -> Self {
        let (raw, session) = raw::server_of_memory(version);
        let control = raw.set_up().await;
        Self::granted(raw, control, session.await.unwrap().unwrap(), None).await
    }

    async fn granted(raw: Raw, mut control: Lane, session: Session, server: Option<crate::Server>) -> Self {
        let grants = async {
            let said = hear(&mut control).await;
            let Message::Request { id, request: Request::Subscribe(asked) } = said else {
                panic!("not SUBSCRIBE: {said:?}")
            };
            let ok = SubscribeOk {
                track_alias: TrackAlias(7),
                expires: None,
                largest: None,
                extensions: TrackExtensions::default(),
            };
            let response = Response::Subscribe(ok);
            control.say(&Message::Response { target: Target::Id(id), response }).await;
            (id, asked)
        };
        let (subscription, (id, asked)) = tokio::join!(session.subscribe(Subscribe::new(track())), grants);
        Self { raw, control, id, asked, session, subscription: subscription.unwrap(), _server: server }
    }

    pub(super) fn header(&self, group_id: u64, subgroup: u64, priority: u8) -> Bytes {
        let header = SubgroupHeader {
            track_alias: TrackAlias(7),
            group_id,
            subgroup_id: SubgroupId::Id(subgroup),
            publisher_priority: Some(priority),
            extensions: false,
            end_of_group: false,
        };
        let mut w = Writer::new();
        self.raw.draft.encode_opening(&Opening::Subgroup(header), &mut w).unwrap();
        w.take()
    }

    /// Sends a header and what follows it, and ends the stream.
    pub(super) async fn send(&self, header: Bytes, objects: &[u8]) {
        self.raw.open_stream([&header[..], objects].concat().into()).await.finish();
    }

    pub(super) async fn send_datagram(&self, alias: u64, payload: &'static [u8]) {
        let body = DatagramBody::Payload(Bytes::from_static(payload));
        let datagram = Datagram { track_alias: TrackAlias(alias), body, ..datagram(9, 0) };
        self.say_datagram_as(&datagram).await;
    }

    /// Sends an object in a datagram; whether it is the last of its group.
    pub(super) async fn say_datagram(&self, group_id: u64, object_id: u64, end_of_group: bool) {
        self.say_datagram_as(&Datagram { end_of_group, ..datagram(group_id, object_id) }).await;
    }

    async fn say_datagram_as(&self, datagram: &Datagram) {
        let mut w = Writer::new();
        self.raw.draft.encode_datagram(datagram, &mut w).unwrap();
        self.raw.connection.send_datagram(w.take()).await.unwrap();
    }

    pub(super) async fn next_subgroup(&mut self) -> crate::IncomingSubgroup {
        match self.subscription.next().await.unwrap() {
            Some(Delivery::Subgroup(subgroup)) => subgroup,
            other => panic!("not a subgroup: {other:?}"),
        }
    }

    /// The next delivery that is no subgroup.
    pub(super) async fn next_datagram(&mut self) -> Datagram {
        match self.subscription.next().await.unwrap() {
            Some(Delivery::Datagram(datagram)) => datagram,
            other => panic!("not a datagram: {other:?}"),
        }
    }

    /// A whole subgroup still arrives, in a group of its own: neither session nor subscription has come to harm.
    pub(super) async fn goes_on(&mut self) {
        self.send(self.header(1000, 0, 128), &[0, 1, b'!']).await;
        let mut subgroup = loop {
            match self.subscription.next().await.unwrap() {
                Some(Delivery::Subgroup(subgroup)) => break subgroup,
                Some(Delivery::Datagram(_)) => {}
                None => panic!("the subscription has ended"),
            }
        };
        assert_eq!(subgroup.group_id(), 1000);
        assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "!");
        assert_eq!(self.session.close_reason(), None);
    }

    /// The session fetches groups 0 to 9; the answer is a stream of these bytes behind its header, and nothing else yet.
    pub(super) async fn fetched(
        &mut self,
        group_order: Option<GroupOrder>,
        items: Bytes,
    ) -> (RequestId, Fetched, SendStream) {
        let range = FetchRange::Standalone {
            track: track(),
            start: Location::new(0, 0),
            end: EndLocation { group: 9, object: None },
        };
        let fetch = Fetch { group_order, ..Fetch::new(range) };
        let Self { session, control, raw, .. } = self;
        let answers = async {
            let Message::Request { id, request: Request::Fetch(_) } = hear(control).await else { panic!() };
            let mut w = Writer::new();
            raw.draft.encode_opening(&Opening::Fetch(id), &mut w).unwrap();
            (id, raw.open_stream([&w.take()[..], &items].concat().into()).await)
        };
        let (fetched, (id, stream)) = tokio::join!(session.fetch(fetch), answers);
        (id, fetched.unwrap(), stream)
    }

    /// What the session says next, credit excepted.
    pub(super) async fn hear(&mut self) -> Message {
        hear(&mut self.control).await
    }

    /// The track has been found malformed: the subscription is left, and the session goes on.
    pub(super) async fn is_left(&mut self) {
        let said = self.hear().await;
        assert!(matches!(said, Message::Unsubscribe(id) if id == self.id), "{said:?}");
        let other = FullTrackName::new(namespace(), "audio").unwrap();
        let said = tokio::select! {
            _ = self.session.subscribe(Subscribe::new(other)) => panic!("nobody has answered"),
            said = hear(&mut self.control) => said,
        };
        assert!(matches!(said, Message::Request { request: Request::Subscribe(_), .. }), "{said:?}");
        assert_eq!(self.session.close_reason(), None);
    }
}

fn datagram(group_id: u64, object_id: u64) -> Datagram {
    Datagram {
        track_alias: TrackAlias(7),
        group_id,
        object_id,
        publisher_priority: Some(128),
        end_of_group: false,
        extensions: Extensions::NONE,
        body: DatagramBody::Payload(Bytes::from_static(b"datagram")),
    }
}

async fn hear(control: &mut Lane) -> Message {
    loop {
        match control.hear().await {
            Message::MaxRequestId(_) => {}
            said => return said,
        }
    }
}
