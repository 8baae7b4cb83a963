//! CLIENT_SETUP and SERVER_SETUP (draft-14 §9.3, draft-16 §9.3).

use moqingbird_wire::EncodeError;
use moqingbird_wire::model::{AuthorizationToken, Message, SessionErrorCode, Setup};

use super::auth::OurTokens;
use super::lanes::Role;
use super::timers::Timer;
use super::{Checked, Event, Instant, Output, Phase, Session, Side, Violation};

impl Session {
    /// Opens the control stream and says CLIENT_SETUP on it.
    pub(super) fn say_client_setup(&mut self) -> Result<(), EncodeError> {
        let tokens = OurTokens::in_setup(&self.config.authorization_tokens);
        let setup = self.our_setup(tokens);
        let encoded = self.encode(&Message::ClientSetup(setup))?;
        let stream = self.new_stream();
        self.lanes.open(stream, Role::Control);
        self.outputs.push_back(Output::OpenLane { stream });
        self.write_message(stream, encoded);
        Ok(())
    }

    fn our_setup(&self, authorization_tokens: Vec<AuthorizationToken>) -> Setup {
        let client = self.side == Side::Client;
        Setup {
            versions: self.rules.setup_version.into_iter().collect(),
            path: self.config.path.clone().filter(|_| client),
            authority: self.config.authority.clone().filter(|_| client),
            max_request_id: self.config.max_request_id,
            max_auth_token_cache_size: self.config.max_auth_token_cache_size,
            authorization_tokens,
            implementation: self.config.implementation.clone(),
            unknown: self.config.setup_parameters.clone(),
        }
    }

    /// The first message that a server gets.
    pub(super) fn client_setup(&mut self, now: Instant, mut setup: Setup) -> Checked {
        if let Some(version) = self.rules.setup_version
            && !setup.versions.contains(&version)
        {
            return Err(version_failure(&format!(
                "the client offers {:#x?}, not {version:#x}",
                setup.versions
            )));
        }
        self.check_place(&setup, self.config.accept_path)?;
        self.their_tokens.resolve_client_setup(&mut setup.authorization_tokens, self.rules)?;
        let mut tokens = OurTokens::in_setup(&self.config.authorization_tokens);
        self.our_tokens = OurTokens::limited(setup.max_auth_token_cache_size, &mut tokens);
        let answer = Message::ServerSetup(self.our_setup(tokens));
        self.send(None, &answer)?;
        self.established(now, setup)
    }

    /// The first message that a client gets.
    ///
    /// In draft-14 the text gives AUTHORITY and MOQT_IMPLEMENTATION one number (§9.3.2). It is read as AUTHORITY, which
    /// a server must not send: implementations tell their name under 0x07.
    pub(super) fn server_setup(&mut self, now: Instant, mut setup: Setup) -> Checked {
        if let Some(version) = self.rules.setup_version
            && setup.versions != [version]
        {
            return Err(version_failure(&format!(
                "the server selects {:#x?}, not {version:#x}",
                setup.versions
            )));
        }
        self.check_place(&setup, false)?;
        self.their_tokens.resolve(&mut setup.authorization_tokens)?;
        let mut said = OurTokens::in_setup(&self.config.authorization_tokens);
        self.our_tokens = OurTokens::limited(setup.max_auth_token_cache_size, &mut said);
        self.established(now, setup)
    }

    /// PATH and AUTHORITY: from clients over raw QUIC only, and of the URI's syntax.
    fn check_place(&self, setup: &Setup, lawful: bool) -> Checked {
        if let Some(path) = &setup.path {
            if !lawful {
                return Err(Violation::new(SessionErrorCode::InvalidPath, "PATH may not be sent here"));
            }
            if !is_path(path) {
                return Err(Violation::new(SessionErrorCode::MalformedPath, "PATH is not a path"));
            }
        }
        if let Some(authority) = &setup.authority {
            if !lawful {
                return Err(Violation::new(
                    SessionErrorCode::InvalidAuthority,
                    "AUTHORITY may not be sent here",
                ));
            }
            if !is_authority(authority) {
                return Err(Violation::new(
                    SessionErrorCode::MalformedAuthority,
                    "AUTHORITY is not host and port",
                ));
            }
        }
        Ok(())
    }

    fn established(&mut self, now: Instant, setup: Setup) -> Checked {
        self.phase = Phase::Established;
        self.timers.clear(Timer::Setup);
        self.requests.ours.limit = setup.max_request_id;
        self.event(Event::Established(setup));
        self.send_waiting(now)?;
        self.release_lanes(now)
    }
}

fn version_failure(reason: &str) -> Violation {
    Violation::new(SessionErrorCode::VersionNegotiationFailed, reason)
}

/// `path-abempty [ "?" query ]` of RFC 3986.
fn is_path(bytes: &[u8]) -> bool {
    matches!(bytes.first(), None | Some(b'/' | b'?')) && is_spelled(bytes, b"/:@?")
}

/// `[ userinfo "@" ] host [ ":" port ]` of RFC 3986, with a host.
fn is_authority(bytes: &[u8]) -> bool {
    let host_port = bytes.rsplit(|&byte| byte == b'@').next().unwrap_or_default();
    let (host, port) = match host_port.strip_prefix(b"[") {
        Some(literal) => match literal.iter().position(|&byte| byte == b']') {
            Some(end) => (&literal[..end], &literal[end + 1..]),
            None => return false,
        },
        None => match host_port.iter().position(|&byte| byte == b':') {
            Some(colon) => host_port.split_at(colon),
            None => (host_port, &[][..]),
        },
    };
    let port_is_number = port.is_empty() || (port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit));
    !host.is_empty() && port_is_number && is_spelled(bytes, b":@[]")
}

/// Unreserved characters, sub-delimiters, percent-escapes, and those of `also`.
fn is_spelled(bytes: &[u8], also: &[u8]) -> bool {
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        rest = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (b'%', _) => return false,
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) || also.contains(byte) => {
                tail
            }
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_what_is_none() {
        for good in ["", "/", "/live/a%20b?x=1&y=/", "?q"] {
            assert!(is_path(good.as_bytes()), "{good}");
        }
        for bad in ["live", "/a b", "/%zz", "/%2", "/#x", "/\u{e9}"] {
            assert!(!is_path(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn authorities_are_told_from_what_is_none() {
        for good in ["a", "a.example:4443", "[::1]:443", "u@h:1", "a:"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in ["", ":443", "a b", "a:b", "[::1", "[]:1", "a/b", "a:1:2", "@"] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
