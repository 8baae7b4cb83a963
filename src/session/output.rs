//! What a session wants done.

use bytes::Bytes;
use moqingbird_wire::model::{
    Datagram, PublishDone, Request, RequestError, RequestId, RequestUpdate, Response, Setup, TrackNamespace,
};

use super::{Closed, StreamId, Trace};

/// What the driver has to do, in this order. Drain after every call into the session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Open a bidirectional stream, known by this number from now on, and read from it.
    OpenLane {
        /// The stream.
        stream: StreamId,
    },
    /// Write to a bidirectional stream.
    Write {
        /// The stream.
        stream: StreamId,
        /// What to write; may be empty with `fin`.
        data: Bytes,
        /// Whether to finish our half behind it.
        fin: bool,
    },
    /// Reset our half of a stream.
    Reset {
        /// The stream.
        stream: StreamId,
        /// With this code.
        code: u64,
    },
    /// Read no more from a stream, and tell the peer.
    Stop {
        /// The stream.
        stream: StreamId,
        /// With this code.
        code: u64,
    },
    /// Hand a data stream of the peer to the request it answers.
    Deliver {
        /// The stream.
        stream: StreamId,
        /// The subscription or fetch.
        to: RequestId,
    },
    /// Hand a unidirectional stream of a registered type to the application. Nothing more is told of it.
    Accept {
        /// The stream.
        stream: StreamId,
        /// Its type.
        kind: u64,
    },
    /// Hand a datagram to the subscription it belongs to.
    Datagram {
        /// The subscription.
        to: RequestId,
        /// The object. Its priority is stated: the track's default is filled in.
        datagram: Datagram,
    },
    /// Give a data stream of ours this place in the order of sending: higher first.
    Priority {
        /// The stream.
        stream: StreamId,
        /// The place.
        order: i32,
    },
    /// Something was said or heard. Only if [`Config::tap`](super::Config::tap) asks for it.
    Trace(Trace),
    /// Tell the application.
    Event(Event),
    /// Close the connection. The last output but for [`Event::Closed`].
    Close {
        /// The application's code.
        code: u64,
        /// Why.
        reason: String,
    },
}

/// What the application should know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Both SETUPs are exchanged. What the peer said in its own.
    Established(Setup),
    /// The peer asks something: answer with [`Session::accept`](super::Session::accept) or
    /// [`Session::reject`](super::Session::reject). A Joining FETCH is told, once its subscription is accepted, as the
    /// standalone one that it amounts to.
    Request {
        /// The request.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// The peer changes a request of its own, or the subscription that our PUBLISH made.
    Update {
        /// The request that is changed.
        id: RequestId,
        /// What changes.
        update: RequestUpdate,
        /// The update's own number, if it must be accepted or rejected.
        answer: Option<RequestId>,
    },
    /// The peer grants a request of ours.
    Accepted {
        /// The request.
        id: RequestId,
        /// With what.
        response: Response,
    },
    /// The peer declines a request of ours, or did not answer it in time.
    Rejected {
        /// The request.
        id: RequestId,
        /// Why.
        error: RequestError,
    },
    /// The peer withdraws a request of its own, or leaves the subscription that our PUBLISH made.
    Cancelled {
        /// The request.
        id: RequestId,
    },
    /// The track of a subscription or fetch of ours cannot be as its publisher tells it. The request has ended, the peer is
    /// told, and so it is with every other of that track.
    Malformed {
        /// The subscription or fetch.
        id: RequestId,
        /// What cannot be.
        reason: &'static str,
    },
    /// A subscription has ended because the time is over that we stated: in SUBSCRIBE_OK, PUBLISH or PUBLISH_OK. The peer
    /// is told.
    Expired {
        /// The subscription.
        id: RequestId,
    },
    /// The subscriber would like a new group to begin soon (draft-16 §9.2.2.9). Told for tracks with dynamic groups only,
    /// and not again before there is a new group, unless a later one is asked for.
    NewGroupRequest {
        /// The subscription by which we send.
        id: RequestId,
        /// Any group from this one on will do.
        group_id: u64,
    },
    /// The publisher has ended a subscription, and every stream that it counted has been delivered or waited for.
    Ended {
        /// The subscription.
        id: RequestId,
        /// How.
        done: PublishDone,
    },
    /// The peer no longer takes a namespace that we published.
    Revoked {
        /// Our PUBLISH_NAMESPACE.
        id: RequestId,
        /// Why.
        error: RequestError,
    },
    /// A namespace below a prefix that we subscribed to has come. The same in every draft: where the peer announces it
    /// by PUBLISH_NAMESPACE, the engine has accepted that.
    Namespace {
        /// Our SUBSCRIBE_NAMESPACE.
        id: RequestId,
        /// The whole namespace.
        namespace: TrackNamespace,
    },
    /// Such a namespace has gone.
    NamespaceDone {
        /// Our SUBSCRIBE_NAMESPACE.
        id: RequestId,
        /// The whole namespace.
        namespace: TrackNamespace,
    },
    /// A control message of a registered type.
    Message {
        /// Its type.
        kind: u64,
        /// What it carries.
        payload: Bytes,
    },
    /// The peer wants us to leave; to this URI, or to the same place if it is empty.
    GoAway {
        /// New Session URI.
        new_session_uri: Bytes,
    },
    /// The session is over. The last event.
    Closed(Closed),
}
