use bytes::Bytes;
use moqingbird::session::{Config, Event, Side};
use moqingbird::wire::model::{
    AuthorizationToken, Message, Request, RequestId, SessionErrorCode, Setup, Subscribe,
};
use moqingbird_ledger::covers;

use crate::in_every_draft;
use crate::support::raw::Raw;
use crate::support::track;

fn register() -> AuthorizationToken {
    AuthorizationToken::Register { alias: 1, token_type: 0, value: Bytes::from_static(b"tok") }
}

fn by_value(value: &'static [u8]) -> AuthorizationToken {
    AuthorizationToken::UseValue { token_type: 0, value: Bytes::from_static(value) }
}

fn subscribe_with(tokens: Vec<AuthorizationToken>) -> Message {
    let subscribe = Subscribe { authorization_tokens: tokens, ..Subscribe::new(track("a/b/c")) };
    Message::Request { id: RequestId(0), request: Request::Subscribe(subscribe) }
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

    fn registering_over_the_cache_closes(draft) {
        covers!("D14-9.2.1.1-16", "D14-9.3.2.4-01", "D16-9.2.2.1-18", "D16-9.3.1.4-01");
        let mut raw = Raw::new(draft, Side::Server);
        raw.say(&subscribe_with(vec![register()]));
        raw.assert_closed(SessionErrorCode::AuthTokenCacheOverflow);
    }

    fn unknown_alias_closes(draft) {
        covers!("D14-9.2.1.1-08", "D16-9.2.2.1-09");
        for token in [AuthorizationToken::UseAlias { alias: 9 }, AuthorizationToken::Delete { alias: 9 }] {
            let mut raw = Raw::new(draft, Side::Server);
            raw.say(&subscribe_with(vec![token]));
            raw.assert_closed(SessionErrorCode::UnknownAuthTokenAlias);
        }
    }

    fn registering_in_client_setup_uses_the_value(draft) {
        covers!("D14-9.3.2.5-01", "D14-9.3.2.5-02", "D16-9.3.1.5-01", "D16-9.3.1.5-02");
        let mut raw = Raw::opening(draft, Side::Server, Config::default());
        let setup = Setup { authorization_tokens: vec![register()], ..raw.setup() };
        raw.say_setup(setup);
        let [Event::Established(setup)] = &raw.events[..] else { panic!() };
        assert_eq!(setup.authorization_tokens, [register()]);
        raw.say(&subscribe_with(vec![AuthorizationToken::UseAlias { alias: 1 }]));
        raw.assert_closed(SessionErrorCode::UnknownAuthTokenAlias);
    }

    fn aliases_in_client_setup_close(draft) {
        covers!("D16-9.2.2.1-05");
        for token in [AuthorizationToken::UseAlias { alias: 1 }, AuthorizationToken::Delete { alias: 1 }] {
            let mut raw = Raw::opening(draft, Side::Server, Config::default());
            let setup = Setup { authorization_tokens: vec![token], ..raw.setup() };
            raw.say_setup(setup);
            raw.assert_closed(match draft.rules().setup_token_aliases {
                true => SessionErrorCode::UnknownAuthTokenAlias,
                false => SessionErrorCode::ProtocolViolation,
            });
        }
    }
}
