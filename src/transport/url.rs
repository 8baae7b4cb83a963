//! Where a server is, and over which transport it is reached.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::TransportKind;

/// Port of `moqt://` and `https://` URLs that name none.
const DEFAULT_PORT: u16 = 443;

/// A server's URL: `moqt://host[:port][/path][?query]` is raw QUIC, `https://host[:port]/path[?query]` is WebTransport. The
/// port is 443 where none is given.
///
/// Shown, as in logs and errors, it has no query, since that is where tokens are; [`ServerUrl::path`] has it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    url: Url,
    transport: TransportKind,
    host: String,
}

impl ServerUrl {
    /// The transport that the scheme stands for.
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// `moqt` or `https`.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// The host's name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(DEFAULT_PORT)
    }

    /// The path with the query, as the PATH parameter of raw QUIC says it (draft-14 §9.3, draft-16 §9.3.1). It may be
    /// empty for `moqt`.
    pub fn path(&self) -> String {
        let path = self.url.path();
        self.url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// Host and port as the URL writes them, as the AUTHORITY parameter of raw QUIC says it (draft-14 §9.3, draft-16
    /// §9.3.1).
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.as_str().split_once('?') {
            Some((shown, _)) => write!(f, "{shown}?.."),
            None => f.write_str(self.url.as_str()),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(input: &str) -> Result<Self, ServerUrlError> {
        let fail = |problem: String| ServerUrlError { input: input.to_owned(), problem };
        let url = Url::parse(input).map_err(|error| fail(error.to_string()))?;
        let transport = match url.scheme() {
            "moqt" => TransportKind::Quic,
            "https" => TransportKind::WebTransport,
            other => return Err(fail(format!("the scheme `{other}` is not served"))),
        };
        // For https the URL standard passes over superfluous slashes, and would take the path for a host.
        if input.split_once("://").is_none_or(|(_, rest)| rest.starts_with(['/', '\\'])) {
            return Err(fail("it has no host".to_owned()));
        }
        let host = match url.host() {
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(host) if !host.to_string().is_empty() => host.to_string(),
            _ => return Err(fail("it has no host".to_owned())),
        };
        if url.port() == Some(0) {
            return Err(fail("port 0 cannot be reached".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("a user name has no meaning here".to_owned()));
        }
        if url.fragment().is_some() {
            return Err(fail("a fragment (`#..`) is not sent to a server".to_owned()));
        }
        Ok(Self { url, transport, host })
    }
}

/// A text that is not a [`ServerUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrlError {
    input: String,
    problem: String,
}

impl fmt::Display for ServerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a server URL: {}; write moqt://HOST[:PORT][/PATH] for raw QUIC or https://HOST[:PORT]/PATH for \
             WebTransport",
            self.input, self.problem
        )
    }
}

impl std::error::Error for ServerUrlError {}

#[cfg(test)]
mod tests {
    use moqingbird_ledger::covers;

    use super::*;

    fn parse(input: &str) -> ServerUrl {
        input.parse().unwrap()
    }

    #[test]
    fn moqt_is_raw_quic() {
        let url = parse("moqt://relay.example:4443/live?token=a");
        assert_eq!(url.transport(), TransportKind::Quic);
        assert_eq!((url.scheme(), url.host(), url.port()), ("moqt", "relay.example", 4443));
        assert_eq!(url.path(), "/live?token=a");
        assert_eq!(url.authority(), "relay.example:4443");
    }

    #[test]
    fn a_query_is_not_shown() {
        let url = parse("moqt://relay.example:4443/live?token=secret");
        assert_eq!(url.to_string(), "moqt://relay.example:4443/live?..");
        assert_eq!(format!("{url:?}"), "ServerUrl(moqt://relay.example:4443/live?..)");
        assert_eq!(parse("https://relay.example/moq").to_string(), "https://relay.example/moq");
    }

    #[test]
    fn https_is_webtransport() {
        let url = parse("https://relay.example/moq");
        assert_eq!(url.transport(), TransportKind::WebTransport);
        assert_eq!((url.host(), url.port()), ("relay.example", 443));
        assert_eq!(url.path(), "/moq");
    }

    #[test]
    fn the_port_of_moqt_is_443_and_its_path_may_be_empty() {
        let url = parse("moqt://relay.example");
        assert_eq!((url.port(), url.path().as_str(), url.authority()), (443, "", "relay.example"));
    }

    #[test]
    fn addresses_are_hosts() {
        let six = parse("moqt://[::1]:4443");
        assert_eq!((six.host(), six.authority()), ("::1", "[::1]:4443"));
        assert_eq!(parse("moqt://127.0.0.1:1/").host(), "127.0.0.1");
        assert_eq!(parse("https://[2001:db8::1]/").host(), "2001:db8::1");
    }

    #[test]
    fn a_host_is_never_empty() {
        covers!("D14-3.1.2-01", "D16-3.1.2-01");
        for input in ["moqt:///x", "moqt://:443/x", "moqt://", "https:///x", "https://:443/x"] {
            assert!(input.parse::<ServerUrl>().is_err(), "{input}");
        }
        let url = parse("moqt://h/x?y=1");
        assert_eq!((url.host(), url.path().as_str()), ("h", "/x?y=1"));
    }

    #[test]
    fn what_cannot_be_reached_is_refused_with_the_input_and_the_remedy() {
        for input in [
            "relay.example:4443",
            "http://relay.example/",
            "moqt://",
            "moqt:///live",
            "https:///live",
            "https:relay.example",
            "moqt://relay.example:0",
            "https://me@relay.example/",
            "moqt://relay.example/#top",
            "moqt://relay.example:99999",
            "",
        ] {
            let error = input.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{input}` is not a server URL: ")), "{error}");
            assert!(error.contains("moqt://HOST[:PORT]"), "{error}");
        }
    }
}
