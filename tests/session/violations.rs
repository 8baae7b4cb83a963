//! What is well-formed and unlawful, each with the code that it closes with.

use moqingbird::session::Side;
use moqingbird::wire::model::{
    GoAway, Message, PublishDone, PublishDoneCode, ReasonPhrase, RequestError, RequestErrorCode, RequestId,
    RequestKind, SessionErrorCode, Target,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::raw::Raw;
use crate::support::{ok, publish_as, publish_namespace, subscribe, subscribe_ok_as};
use moqingbird::wire::model::Request;

fn answer(id: RequestId, alias: u64) -> Message {
    Message::Response { target: Target::Id(id), response: subscribe_ok_as(alias, None) }
}

in_every_draft! {
    fn second_answer_closes(draft) {
        covers!("D14-5.1-07", "D16-5.1-03");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&answer(id, 1));
        raw.assert_open();
        raw.say(&answer(id, 1));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn answer_to_nothing_closes(draft) {
        covers!("D14-5.1-08");
        let mut raw = Raw::new(draft, Side::Client);
        raw.say(&answer(RequestId(0), 1));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn answer_of_another_kind_closes(draft) {
        covers!("D16-9.7-02");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        let response = ok(RequestKind::PublishNamespace);
        raw.say(&Message::Response { target: Target::Id(id), response });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn second_answer_to_a_namespace_closes(draft) {
        covers!("D14-6.2-06", "D16-6.2-07");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, publish_namespace("live")).unwrap();
        let message = Message::Response { target: Target::Id(id), response: ok(RequestKind::PublishNamespace) };
        raw.say(&message);
        raw.assert_open();
        raw.say(&message);
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn alias_for_two_tracks_in_subscribe_ok_closes(draft) {
        covers!("D14-9.8-02", "D16-9.10-02");
        let mut raw = Raw::new(draft, Side::Client);
        let first = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        let second = raw.session.request(raw.now, subscribe("live/cam/audio")).unwrap();
        raw.say(&answer(first, 7));
        raw.say(&answer(second, 7));
        raw.assert_closed(SessionErrorCode::DuplicateTrackAlias);
    }

    fn alias_for_two_tracks_in_publish_closes(draft) {
        covers!("D14-9.13-02", "D16-9.13-02");
        let mut raw = Raw::new(draft, Side::Client);
        let first = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        raw.say(&answer(first, 7));
        let request = Request::Publish(publish_as("live/cam/audio", 7));
        raw.say(&Message::Request { id: RequestId(1), request });
        raw.assert_closed(SessionErrorCode::DuplicateTrackAlias);
    }

    fn messages_about_requests_that_never_were_close(draft) {
        let done = PublishDone { code: PublishDoneCode::TrackEnded, stream_count: 0, reason: ReasonPhrase::default() };
        for message in [
            Message::Unsubscribe(RequestId(40)),
            Message::FetchCancel(RequestId(40)),
            Message::PublishDone { target: RequestId(41), done },
        ] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&message);
            raw.assert_closed(SessionErrorCode::InvalidRequestId);
        }
    }

    fn unsubscribe_of_what_is_no_subscription_closes(draft) {
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::Request { id: RequestId(0), request: publish_namespace("live") });
        raw.say(&Message::Unsubscribe(RequestId(0)));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn publish_done_of_what_is_not_established_closes(draft) {
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        let done = PublishDone { code: PublishDoneCode::TrackEnded, stream_count: 0, reason: ReasonPhrase::default() };
        raw.say(&Message::PublishDone { target: id, done });
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn second_goaway_closes(draft) {
        covers!("D14-9.4-04", "D16-9.4-07");
        let mut raw = Raw::new(draft, Side::Client);
        raw.say(&Message::GoAway(GoAway::default()));
        raw.assert_open();
        raw.say(&Message::GoAway(GoAway::default()));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn goaway_of_a_client_with_a_uri_closes(draft) {
        covers!("D14-9.4-09", "D16-9.4-11");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&Message::GoAway(GoAway { new_session_uri: "x".into() }));
        raw.assert_closed(SessionErrorCode::ProtocolViolation);
    }

    fn unknown_error_codes_fail_the_request_only(draft) {
        covers!("D14-9.9-02", "D16-9.8-07");
        let mut raw = Raw::new(draft, Side::Client);
        let id = raw.session.request(raw.now, subscribe("live/cam/video")).unwrap();
        let error = RequestError::new(RequestErrorCode::Unknown(0x7777), "?");
        let kind = Some(RequestKind::Subscribe);
        raw.say(&Message::RequestError { target: Target::Id(id), kind, error: error.clone() });
        raw.assert_open();
        let rejected = |event: &moqingbird::session::Event| match event {
            moqingbird::session::Event::Rejected { id: it, error: why } => *it == id && *why == error,
            _ => false,
        };
        assert!(rejected(&raw.events[0]));
        assert!(raw.session.is_idle());
    }
}
