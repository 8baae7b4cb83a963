use bytes::Bytes;
use moqingbird::session::{Config, Event, Misuse, Side};
use moqingbird::wire::Draft;
use moqingbird::wire::model::{
    AuthorizationToken, Message, Request, RequestError, RequestErrorCode, RequestId, SessionErrorCode, Setup,
    SubgroupId, Subscribe,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::pair::{CLIENT, Pair, SERVER};
use crate::support::raw::Raw;
use crate::support::{publish_as, subscribe, track};

fn register() -> AuthorizationToken {
    registering(1, b"tok")
}

fn registering(alias: u64, value: &'static [u8]) -> AuthorizationToken {
    AuthorizationToken::Register { alias, token_type: 0, value: Bytes::from_static(value) }
}

const fn using(alias: u64) -> AuthorizationToken {
    AuthorizationToken::UseAlias { alias }
}

const fn deleting(alias: u64) -> AuthorizationToken {
    AuthorizationToken::Delete { alias }
}

fn by_value(value: &'static [u8]) -> AuthorizationToken {
    AuthorizationToken::UseValue { token_type: 0, value: Bytes::from_static(value) }
}

fn with(tokens: Vec<AuthorizationToken>) -> Request {
    Request::Subscribe(Subscribe { authorization_tokens: tokens, ..Subscribe::new(track("a/b/c")) })
}

fn subscribe_with(tokens: Vec<AuthorizationToken>) -> Message {
    Message::Request { id: RequestId(0), request: with(tokens) }
}

fn caching(bytes: u64) -> Config {
    let mut config = Config::default();
    config.max_auth_token_cache_size = bytes;
    config
}

/// A server that remembers this many bytes.
fn remembering(draft: &'static dyn Draft, bytes: u64) -> Raw {
    Raw::with(draft, Side::Server, caching(bytes))
}

/// Subscribes to a new track with these tokens. Gives those of which the application was told.
fn tell(raw: &mut Raw, n: u64, tokens: Vec<AuthorizationToken>) -> Option<Vec<AuthorizationToken>> {
    let subscribe = Subscribe { authorization_tokens: tokens, ..Subscribe::new(track(&format!("a/b/{n}"))) };
    raw.say(&Message::Request { id: RequestId(2 * n), request: Request::Subscribe(subscribe) });
    match raw.events.pop() {
        Some(Event::Request { request: Request::Subscribe(subscribe), .. }) => {
            Some(subscribe.authorization_tokens)
        }
        other => {
            raw.events.extend(other);
            None
        }
    }
}

in_every_draft! {
    fn tokens_by_value_reach_the_application(draft) {
        covers!("D14-9.2.1.1-01", "D14-9.2.1.1-02", "D16-9.2.2.1-01", "D16-9.2.2.1-19");
        let mut raw = Raw::new(draft, Side::Server);
        let tokens = vec![by_value(b"x"), by_value(b"y")];
        raw.say(&subscribe_with(tokens.clone()));
        let [Event::Request { request: Request::Subscribe(subscribe), .. }] = &raw.events[..] else { panic!() };
        assert_eq!(subscribe.authorization_tokens, tokens);
    }

    fn registering_where_nothing_is_remembered_closes(draft) {
        covers!("D14-9.3.2.4-01", "D16-9.3.1.4-01");
        let mut raw = remembering(draft, 0);
        raw.say(&subscribe_with(vec![register()]));
        raw.assert_closed(SessionErrorCode::AuthTokenCacheOverflow);
    }

    fn registered_token_is_used_by_its_alias_until_it_is_deleted(draft) {
        covers!("D14-9.2.1.1-04", "D14-9.2.1.1-05", "D16-9.2.2.1-03", "D16-9.2.2.1-20");
        let mut raw = Raw::new(draft, Side::Server);
        assert_eq!(tell(&mut raw, 0, vec![register()]), Some(vec![by_value(b"tok")]));
        assert_eq!(tell(&mut raw, 1, vec![using(1)]), Some(vec![by_value(b"tok")]));
        assert_eq!(tell(&mut raw, 2, vec![deleting(1)]), Some(vec![]));
        // What the alias stood for may be registered again.
        assert_eq!(tell(&mut raw, 3, vec![register()]), Some(vec![by_value(b"tok")]));
        assert_eq!(tell(&mut raw, 4, vec![deleting(1), by_value(b"x")]), Some(vec![by_value(b"x")]));
        raw.assert_open();
        tell(&mut raw, 5, vec![using(1)]);
        raw.assert_closed(SessionErrorCode::UnknownAuthTokenAlias);
    }

    fn token_registered_by_any_request_is_known_to_all(draft) {
        covers!("D16-9.2.2.1-04");
        let mut raw = Raw::new(draft, Side::Server);
        let publish = Request::Publish(moqingbird::wire::model::Publish {
            authorization_tokens: vec![register()],
            ..publish_as("a/b/p", 3)
        });
        raw.say(&Message::Request { id: RequestId(0), request: publish });
        assert_eq!(tell(&mut raw, 1, vec![using(1)]), Some(vec![by_value(b"tok")]));
    }

    fn registering_an_alias_twice_closes(draft) {
        covers!("D14-9.2.1.1-07", "D16-9.2.2.1-08", "D14-9.2.1.1-13", "D16-9.2.2.1-13");
        let mut raw = Raw::new(draft, Side::Server);
        tell(&mut raw, 0, vec![register()]);
        // That the application finds it expired frees no alias.
        let error = RequestError::new(RequestErrorCode::ExpiredAuthToken, "");
        raw.session.reject(raw.now, RequestId(0), error).unwrap();
        tell(&mut raw, 1, vec![register()]);
        raw.assert_closed(SessionErrorCode::DuplicateAuthTokenAlias);
    }

    fn registration_counts_even_if_its_request_fails(draft) {
        covers!("D14-9.2.1.1-10", "D14-9.2.1.1-12", "D14-9.2.1.1-11", "D16-9.2.2.1-11");
        let mut raw = remembering(draft, 19);
        tell(&mut raw, 0, vec![register()]);
        raw.session.reject(raw.now, RequestId(0), RequestError::new(RequestErrorCode::Unauthorized, "")).unwrap();
        assert_eq!(tell(&mut raw, 1, vec![using(1)]), Some(vec![by_value(b"tok")]));
        tell(&mut raw, 2, vec![registering(2, b"")]);
        raw.assert_closed(SessionErrorCode::AuthTokenCacheOverflow);
    }

    fn tokens_cost_16_bytes_more_than_their_value(draft) {
        covers!("D14-9.2.1.1-16", "D14-9.3.2.4-02", "D16-9.2.2.1-18", "D16-9.3.1.4-02");
        let mut raw = remembering(draft, 40);
        for (n, tokens) in [
            vec![registering(1, b"four"), registering(2, b"four")],
            vec![deleting(1), registering(3, b"for!")],
        ].into_iter().enumerate() {
            assert!(tell(&mut raw, n as u64, tokens).is_some());
        }
        tell(&mut raw, 2, vec![deleting(3), registering(4, b"fives")]);
        raw.assert_closed(SessionErrorCode::AuthTokenCacheOverflow);
    }

    fn cache_may_be_filled_to_the_last_byte(draft) {
        covers!("D14-9.2.1.1-17");
        let mut raw = remembering(draft, 19);
        assert!(tell(&mut raw, 0, vec![register()]).is_some());
        raw.assert_open();
    }

    fn deleting_an_alias_undoes_no_subscription(draft) {
        covers!("D14-9.2.1.1-19", "D16-9.2.2.1-20");
        let mut raw = Raw::new(draft, Side::Server);
        tell(&mut raw, 0, vec![register()]);
        raw.session.accept(raw.now, RequestId(0), crate::support::subscribe_ok(None)).unwrap();
        tell(&mut raw, 1, vec![deleting(1)]);
        assert!(raw.session.open_subgroup(RequestId(0), 0, SubgroupId::Zero, 1, false, false).is_ok());
    }

    fn unknown_alias_closes(draft) {
        covers!("D14-9.2.1.1-08", "D16-9.2.2.1-09");
        for token in [using(9), deleting(9)] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&subscribe_with(vec![token]));
            raw.assert_closed(SessionErrorCode::UnknownAuthTokenAlias);
        }
    }

    fn tokens_that_the_application_finds_bad_fail_their_request(draft) {
        covers!("D14-9.2.1.1-09", "D14-9.2.1.1-14", "D16-9.2.2.1-10", "D16-9.2.2.1-15");
        for code in [RequestErrorCode::MalformedAuthToken, RequestErrorCode::ExpiredAuthToken] {
            let mut pair = Pair::new(draft);
            let id = pair.ask(CLIENT, with(vec![register()]));
            let now = pair.now;
            pair.session(SERVER).reject(now, id, RequestError::new(code, "")).unwrap();
            let Event::Rejected { error, .. } = pair.event(CLIENT) else { panic!() };
            assert_eq!(error.code, code);
        }
    }

    fn registering_in_client_setup_counts_if_it_fits(draft) {
        covers!("D14-9.3.2.5-01", "D14-9.3.2.5-02", "D16-9.3.1.5-01", "D16-9.3.1.5-02");
        for (bytes, known) in [(18, false), (19, true)] {
            let mut raw = Raw::opening(draft, Side::Server, caching(bytes));
            let setup = Setup { authorization_tokens: vec![register()], ..raw.setup() };
            raw.say_setup(setup);
            let Some(Event::Established(setup)) = raw.events.pop() else { panic!() };
            assert_eq!(setup.authorization_tokens, [by_value(b"tok")]);
            assert_eq!(tell(&mut raw, 0, vec![using(1)]), known.then(|| vec![by_value(b"tok")]));
            if !known {
                raw.assert_closed(SessionErrorCode::UnknownAuthTokenAlias);
            }
        }
    }

    fn registering_too_much_in_server_setup_closes(draft) {
        let mut raw = Raw::opening(draft, Side::Client, caching(18));
        let setup = Setup { authorization_tokens: vec![register()], ..raw.setup() };
        raw.say_setup(setup);
        raw.assert_closed(SessionErrorCode::AuthTokenCacheOverflow);
    }

    fn aliases_in_client_setup_close(draft) {
        covers!("D16-9.2.2.1-05");
        for token in [using(1), deleting(1)] {
            let mut raw = Raw::opening(draft, Side::Server, Config::default());
            let setup = Setup { authorization_tokens: vec![token], ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(match draft.rules().setup_token_aliases {
                true => SessionErrorCode::UnknownAuthTokenAlias,
                false => SessionErrorCode::ProtocolViolation,
            });
        }
    }

    fn ours_are_registered_as_far_as_the_peer_has_room(draft) {
        covers!("D14-9.3.2.4-01", "D16-9.3.1.4-01");
        let mut pair = Pair::with(draft, Config::default(), caching(20));
        let now = pair.now;
        let client = pair.session(CLIENT);
        let full = Misuse::WrongState("the peer's token cache has no room");
        assert_eq!(client.request(now, with(vec![registering(1, b"fives")])), Err(full.clone()));
        assert!(matches!(client.request(now, with(vec![using(1)])), Err(Misuse::WrongState(_))));
        let id = client.request(now, with(vec![registering(1, b"four")])).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Request { id: it, .. } if it == id));
        let client = pair.session(CLIENT);
        client.cancel(now, id).unwrap();
        assert!(matches!(client.request(now, with(vec![registering(1, b"")])), Err(Misuse::WrongState(_))));
        assert_eq!(client.request(now, with(vec![registering(2, b"")])), Err(full));
        client.request(now, with(vec![deleting(1), registering(2, b"")])).unwrap();
        assert!(matches!(pair.event(SERVER), Event::Cancelled { .. }));
        assert!(matches!(pair.event(SERVER), Event::Request { .. }));
    }

    fn ours_in_setup_are_known_as_far_as_they_fit(draft) {
        covers!("D14-9.3.2.5-03", "D16-9.3.1.5-03");
        let mut client = Config::default();
        client.authorization_tokens = vec![registering(1, b"too long"), registering(2, b"four")];
        let mut pair = Pair::with(draft, client.clone(), caching(20));
        let now = pair.now;
        assert!(matches!(pair.session(CLIENT).request(now, with(vec![using(1)])), Err(Misuse::WrongState(_))));
        pair.ask(CLIENT, with(vec![using(2)]));
        // The same in the other direction, where the server knows before it speaks.
        let mut pair = Pair::with(draft, caching(20), client);
        assert!(matches!(pair.session(SERVER).request(now, with(vec![using(1)])), Err(Misuse::WrongState(_))));
        pair.ask(SERVER, with(vec![using(2)]));
    }

    fn registration_of_a_request_that_is_taken_back_while_it_waits_is_said_all_the_same(draft) {
        let mut raw = Raw::opening(draft, Side::Client, Config::default());
        let setup = Setup { max_request_id: 0, max_auth_token_cache_size: 100, ..raw.setup() };
        raw.say_setup(setup);
        let id = raw.session.request(raw.now, with(vec![register()])).unwrap();
        raw.session.cancel(raw.now, id).unwrap();
        raw.session.request(raw.now, with(vec![using(1)])).unwrap();
        raw.heard();
        raw.say(&Message::MaxRequestId(100));
        let heard = raw.heard();
        let [Message::Request { request: Request::TrackStatus(status), .. }, Message::Request { .. }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(status.authorization_tokens, [register()]);
    }

    fn each_direction_has_aliases_of_its_own(draft) {
        covers!("D14-9.2.1.1-18", "D16-9.2.2.1-06");
        let mut pair = Pair::new(draft);
        pair.ask(CLIENT, with(vec![registering(1, b"ours")]));
        pair.ask(SERVER, with(vec![registering(1, b"theirs")]));
        let now = pair.now;
        let request = Request::TrackStatus(Subscribe {
            authorization_tokens: vec![using(1)],
            ..Subscribe::new(track("a/b/c"))
        });
        pair.session(CLIENT).request(now, request).unwrap();
        let Event::Request { request: Request::TrackStatus(asked), .. } = pair.event(SERVER) else { panic!() };
        assert_eq!(asked.authorization_tokens, [by_value(b"ours")]);
    }

    fn refused_registration_changes_nothing(draft) {
        let mut pair = Pair::with(draft, Config::default(), caching(20));
        let now = pair.now;
        let twice = vec![registering(1, b"four"), registering(2, b"four")];
        assert!(pair.session(CLIENT).request(now, with(twice)).is_err());
        pair.ask(CLIENT, subscribe("a/b/other"));
        pair.ask(CLIENT, with(vec![registering(1, b"four")]));
    }
}

#[test]
fn update_carries_what_permits_it() {
    covers!("D16-9.2.2.6-02");
    let draft = moqingbird::Version::Draft16.draft();
    let mut raw = Raw::new(draft, Side::Client);
    let id = raw.session.request(raw.now, subscribe("a/b/c")).unwrap();
    let response = crate::support::subscribe_ok_as(7, None);
    raw.say(&Message::Response { target: moqingbird::wire::model::Target::Id(id), response });
    raw.heard();
    let authorization_tokens = vec![by_value(b"fresh")];
    let update = moqingbird::wire::model::RequestUpdate { authorization_tokens, ..Default::default() };
    raw.session.update(raw.now, id, update.clone()).unwrap();
    let Message::RequestUpdate { update: said, .. } = raw.heard_one() else { panic!() };
    assert_eq!(said.authorization_tokens, update.authorization_tokens);
}
