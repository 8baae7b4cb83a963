//! The publisher in a peer: subscriptions that it serves, fetches that it answers.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::session::{Misuse, StreamId, fetch_end};
use moqingbird::wire::list::Keys;
use moqingbird::wire::model::{
    Datagram, DatagramBody, EndLocation, Extensions, Fetch, FetchItem, FetchObject, FetchOk, FetchRange,
    GroupOrder, Location, ObjectHeader, ObjectStatus, Publish, PublishDoneCode, RangeStatus, Request,
    RequestError, RequestErrorCode, RequestId, ResetCode, Response, SubgroupId, Subscribe, SubscribeOk,
    TrackAlias, TrackExtensions,
};
use moqingbird::wire::stream::{FetchWriter, SubgroupWriter};

use super::{Mine, Peer};
use crate::content::{self, Content};
use crate::host::{Host, Scene};
use crate::rng::Rng;

/// A subscription by which it sends.
#[derive(Debug)]
pub(crate) struct Publication {
    content: Content,
    /// What comes next.
    next: Location,
    groups_left: u64,
    streams: Vec<Writing>,
}

#[derive(Debug)]
struct Writing {
    stream: StreamId,
    writer: SubgroupWriter,
    group: u64,
    todo: VecDeque<u64>,
    end_status: Option<u64>,
}

/// A FETCH that it answers.
#[derive(Debug)]
pub(crate) struct Serving {
    content: Content,
    todo: VecDeque<Location>,
    last: Option<Location>,
    ascending: bool,
    stream: Option<(StreamId, FetchWriter)>,
}

impl Publication {
    fn new(content: Content, next: Location, groups_left: u64) -> Self {
        Self { content, next, groups_left, streams: Vec::new() }
    }
}

impl Peer {
    pub(super) fn publish(&mut self, host: &mut Host, scene: &mut Scene) {
        let track = content::track(self.own + self.rng.below(4));
        let content = Content::of(&track);
        let largest = self.edges.get(&content).copied();
        let request = Publish {
            track,
            track_alias: TrackAlias(0),
            largest,
            forward: self.rng.once_in(2),
            expires: None,
            authorization_tokens: Vec::new(),
            extensions: TrackExtensions::default(),
        };
        if let Some(id) = self.ask(host, scene, Request::Publish(request), Mine::Publication) {
            let next = largest.map_or(Location::default(), |at| Location::new(at.group, at.object + 1));
            self.publications.insert(id, Publication::new(content, next, self.rng.within(1, 5)));
        }
    }

    pub(super) fn accept_subscribe(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        subscribe: &Subscribe,
    ) -> Result<(), Misuse> {
        let content = Content::of(&subscribe.track);
        let extensions = TrackExtensions {
            delivery_timeout: self.rng.once_in(4).then(|| Duration::from_millis(self.rng.within(20, 400))),
            dynamic_groups: self.rng.once_in(3),
            ..TrackExtensions::default()
        };
        let expires = self.rng.once_in(10).then(|| Duration::from_millis(self.rng.within(50, 3_000)));
        let largest = self.edges.get(&content).copied();
        let ok = SubscribeOk { track_alias: TrackAlias(0), expires, largest, extensions };
        host.run(scene, |session, now| session.accept(now, id, Response::Subscribe(ok)))?;
        let Some(start) = host.session.subscription(id).map(|state| state.range.start) else { return Ok(()) };
        self.publications.insert(id, Publication::new(content, start, self.rng.within(1, 6)));
        Ok(())
    }

    /// Sends something of everything that is subscribed to.
    pub(super) fn produce(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.publications.keys().copied().collect();
        for id in ids {
            if self.closing || !self.rng.once_in(3) {
                self.produce_one(host, scene, id);
            }
        }
        let ids: Vec<_> = self.servings.keys().copied().collect();
        for id in ids {
            self.serve_one(host, scene, id);
        }
    }

    fn produce_one(&mut self, host: &mut Host, scene: &mut Scene, id: RequestId) {
        let Some(mut publication) = self.publications.remove(&id) else { return };
        if host.session.subscription(id).is_none() {
            return;
        }
        match publication.content.in_datagrams() {
            true => self.send_datagrams(host, scene, id, &mut publication),
            false => {
                if publication.streams.len() < 5 && !self.closing {
                    self.open_group(host, scene, id, &mut publication);
                }
                self.write(host, scene, &mut publication);
            }
        }
        let is_done = publication.groups_left == 0 && publication.streams.is_empty();
        if is_done
            && host
                .run(scene, |session, now| session.finish(now, id, PublishDoneCode::TrackEnded, "".into()))
                .is_ok()
        {
            self.finished.insert(id);
            self.mine.remove(&id);
            return;
        }
        self.publications.insert(id, publication);
    }

    fn advance(&mut self, content: Content, at: Location) {
        let edge = self.edges.entry(content).or_insert(at);
        *edge = (*edge).max(at);
    }

    fn send_datagrams(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        publication: &mut Publication,
    ) {
        for _ in 0..self.rng.below(4) {
            let (content, at) = (publication.content, publication.next);
            let end = content.group_end(at.group);
            if at.object >= end {
                publication.groups_left = publication.groups_left.saturating_sub(1);
                publication.next = Location::new(at.group + 1, 0);
                if publication.groups_left == 0 {
                    return;
                }
                continue;
            }
            publication.next.object += 1;
            let wanted = host.session.subscription(id).is_some_and(|state| state.range.contains(at));
            if !content.exists(at) || !wanted {
                continue;
            }
            let datagram = Datagram {
                track_alias: TrackAlias(0),
                group_id: at.group,
                object_id: at.object,
                publisher_priority: Some(content.priority(at.group, 0)),
                end_of_group: content.flags_end(at.group, content.subgroup_of(at.object))
                    && at.object + 1 == end,
                extensions: content.extensions(at, host.draft.rules().extension_keys),
                body: DatagramBody::Payload(content.payload(at)),
            };
            // The subscriber may not want it now.
            if let Ok(data) = host.session.datagram(id, datagram) {
                self.advance(content, at);
                scene.net.datagram(host.conn, host.end, data);
            }
            host.drain(scene);
        }
    }

    /// Opens streams for all subgroups of the next group.
    fn open_group(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        publication: &mut Publication,
    ) {
        if publication.groups_left == 0 || self.rng.once_in(3) {
            return;
        }
        let Some(range) = host.session.subscription(id).filter(|it| it.forward).map(|it| it.range) else {
            return;
        };
        let Publication { content, next, .. } = *publication;
        publication.groups_left -= 1;
        publication.next = Location::new(next.group + 1, 0);
        let keys = host.draft.rules().extension_keys;
        for subgroup in 0..content.subgroups() {
            let at = |object| Location::new(next.group, object);
            let wanted = |object: &u64| *object >= next.object && range.contains(at(*object));
            let todo: VecDeque<u64> = content.objects(next.group, subgroup).filter(wanted).collect();
            let Some(&first) = todo.front() else { continue };
            let extensions = todo.iter().any(|object| !content.extensions(at(*object), keys).is_empty());
            let subgroup_id = match subgroup {
                _ if first == subgroup && self.rng.once_in(3) => SubgroupId::FirstObject,
                0 if self.rng.once_in(2) => SubgroupId::Zero,
                _ => SubgroupId::Id(subgroup),
            };
            let priority = content.priority(next.group, subgroup);
            let flags = (extensions, content.flags_end(next.group, subgroup));
            let Ok((stream, writer)) =
                host.open_subgroup(scene, id, next.group, subgroup_id, priority, flags)
            else {
                return;
            };
            let end_status = content.end_status(next.group, subgroup);
            publication.streams.push(Writing { stream, writer, group: next.group, todo, end_status });
        }
    }

    fn write(&mut self, host: &mut Host, scene: &mut Scene, publication: &mut Publication) {
        let content = publication.content;
        let mut at = 0;
        while at < publication.streams.len() {
            let writing = &mut publication.streams[at];
            if !host.is_writable(writing.stream) {
                publication.streams.remove(at);
                continue;
            }
            for _ in 0..self.rng.within(1, 4) {
                let Some(object) = writing.todo.pop_front() else { break };
                let location = Location::new(writing.group, object);
                let header = content.header(location, host.draft.rules().extension_keys);
                write_object(
                    host,
                    scene,
                    writing.stream,
                    &mut writing.writer,
                    location.group,
                    &header,
                    content.payload(location),
                );
                let edge = self.edges.entry(content).or_insert(location);
                *edge = (*edge).max(location);
            }
            if publication.streams[at].todo.is_empty() && (self.closing || !self.rng.once_in(4)) {
                let Writing { stream, mut writer, group, end_status, .. } = publication.streams.remove(at);
                if let Some(object_id) = end_status {
                    let header = ObjectHeader {
                        object_id,
                        extensions: Extensions::NONE,
                        status: ObjectStatus::EndOfGroup,
                        payload_length: 0,
                    };
                    write_object(host, scene, stream, &mut writer, group, &header, Bytes::new());
                }
                match self.rng.once_in(12) {
                    true => host.reset(scene, stream, ResetCode::InternalError),
                    false => host.finish(scene, stream),
                }
            } else {
                at += 1;
            }
        }
    }

    pub(super) fn unwritable(&mut self, stream: StreamId) {
        for publication in self.publications.values_mut() {
            publication.streams.retain(|writing| writing.stream != stream);
        }
        self.servings.retain(|_, serving| !matches!(&serving.stream, Some((it, _)) if *it == stream));
    }

    pub(super) fn reset_one(&mut self, host: &mut Host, scene: &mut Scene) {
        let streams: Vec<_> =
            self.publications.values().flat_map(|it| it.streams.iter().map(|it| it.stream)).collect();
        if let Some(stream) = self.rng.of(&streams) {
            host.reset(scene, stream, ResetCode::Cancelled);
            self.unwritable(stream);
        }
    }

    pub(super) fn finish_one(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.publications.keys().copied().collect();
        if let Some(id) = self.rng.of(&ids) {
            self.finish_publication(host, scene, id);
        }
    }

    pub(super) fn finish_all(&mut self, host: &mut Host, scene: &mut Scene) {
        let ids: Vec<_> = self.publications.keys().copied().collect();
        for id in ids {
            self.finish_publication(host, scene, id);
        }
    }

    /// Ends a publication where it is. Its streams end first.
    fn finish_publication(&mut self, host: &mut Host, scene: &mut Scene, id: RequestId) {
        let Some(publication) = self.publications.remove(&id) else { return };
        for writing in publication.streams {
            host.reset(scene, writing.stream, ResetCode::Cancelled);
        }
        let code = PublishDoneCode::SubscriptionEnded;
        // It fails if the subscription has ended meanwhile.
        let _ = host.run(scene, |session, now| session.finish(now, id, code, "enough".into()));
        self.finished.insert(id);
        self.mine.remove(&id);
    }
}

/// Fetches.
impl Peer {
    pub(super) fn accept_fetch(
        &mut self,
        host: &mut Host,
        scene: &mut Scene,
        id: RequestId,
        fetch: Fetch,
    ) -> Result<(), Misuse> {
        let FetchRange::Standalone { track, start, end } = fetch.range else {
            scene.oracle.fail(format!("an application is given {fetch:?}"));
            return Ok(());
        };
        let content = Content::of(&track);
        let Some(edge) = self.edges.get(&content).copied().filter(|edge| start <= *edge) else {
            let error = RequestError::new(RequestErrorCode::NoObjects, "nothing yet");
            return host.run(scene, |session, now| session.reject(now, id, error));
        };
        let end = fetch_end(end, edge, false);
        let order = fetch.group_order.unwrap_or(GroupOrder::Ascending);
        let ok = FetchOk {
            group_order: Some(order),
            end_of_track: false,
            end,
            extensions: TrackExtensions::default(),
        };
        host.run(scene, |session, now| session.accept(now, id, Response::Fetch(ok)))?;
        let todo = in_order(content.range(start, end), order);
        let ascending = order == GroupOrder::Ascending;
        self.servings.insert(id, Serving { content, todo, last: None, ascending, stream: None });
        Ok(())
    }

    fn serve_one(&mut self, host: &mut Host, scene: &mut Scene, id: RequestId) {
        let Some(mut serving) = self.servings.remove(&id) else { return };
        if serving.stream.is_none() {
            match host.open_fetch(scene, id, 128) {
                Ok(stream) => serving.stream = Some(stream),
                // It was cancelled.
                Err(_) => return,
            }
        }
        let content = serving.content;
        let Some((stream, writer)) = &mut serving.stream else { return };
        let stream = *stream;
        for _ in 0..self.rng.within(1, 6) {
            let Some(at) = serving.todo.pop_front() else { break };
            if serving.ascending && serving.last.is_some_and(|last| last.group + 1 < at.group) {
                let end = Location::new(at.group - 1, 1 << 20);
                // Draft-14 cannot say it.
                if let Ok(bytes) =
                    writer.item(&FetchItem::EndOfRange { end, status: RangeStatus::NonExistent })
                {
                    host.send(scene, stream, bytes);
                }
            }
            serving.last = Some(at);
            let item = FetchItem::Object(fetched(content, at, host.draft.rules().extension_keys));
            match writer.item(&item) {
                Ok(bytes) => {
                    host.send(scene, stream, bytes);
                    host.send(scene, stream, content.payload(at));
                }
                Err(error) => scene.oracle.fail(format!("{item:?} cannot be said: {error}")),
            }
        }
        if !host.is_writable(stream) {
            return;
        }
        match serving.todo.is_empty() {
            true => host.finish(scene, stream),
            false if self.rng.once_in(60) => host.reset(scene, stream, ResetCode::InternalError),
            false => {
                self.servings.insert(id, serving);
            }
        }
    }
}

/// Writes an object on a subgroup's stream, and notes that it was.
pub(crate) fn write_object(
    host: &mut Host,
    scene: &mut Scene,
    stream: StreamId,
    writer: &mut SubgroupWriter,
    group: u64,
    header: &ObjectHeader,
    payload: Bytes,
) {
    match writer.object(header) {
        Ok(bytes) => {
            if let Some(sent) = host.sent(scene, stream) {
                sent.objects.push((group, header.object_id));
            }
            host.send(scene, stream, bytes);
            host.send(scene, stream, payload);
        }
        Err(error) => scene.oracle.fail(format!("{header:?} cannot be said: {error}")),
    }
}

/// An object as a FETCH brings it.
pub(crate) fn fetched(content: Content, at: Location, keys: Keys) -> FetchObject {
    let subgroup = content.subgroup_of(at.object);
    let in_datagrams = content.in_datagrams();
    FetchObject {
        location: at,
        subgroup_id: (!in_datagrams).then_some(subgroup),
        publisher_priority: content.priority(at.group, if in_datagrams { 0 } else { subgroup }),
        extensions: content.extensions(at, keys),
        status: ObjectStatus::Normal,
        payload_length: content.length(at) as u64,
    }
}

/// Locations that ascend, in the order of a FETCH.
pub(crate) fn in_order(mut all: Vec<Location>, order: GroupOrder) -> VecDeque<Location> {
    if order == GroupOrder::Descending {
        all.sort_by_key(|at| (std::cmp::Reverse(at.group), at.object));
    }
    all.into()
}

/// A random end of a range that begins at `start`.
pub(crate) fn end_after(rng: &mut Rng, start: Location) -> EndLocation {
    let group = start.group + rng.below(5);
    let object = if group == start.group { start.object + rng.below(4) } else { rng.below(8) };
    EndLocation { group, object: rng.once_in(2).then_some(object) }
}
