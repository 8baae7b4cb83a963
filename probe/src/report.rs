//! What a probe found, in the form of the status file: that of relay_probe 0.9.8, whose fields come first, and ours behind
//! them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::deep::Deep;
use crate::explain::Failure;
use crate::{Relay, stamp};

/// The version of our own fields.
const SCHEMA: u32 = 1;

/// The status file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// When the round ended, in ISO 8601.
    pub timestamp: String,
    /// Each relay under its key, in the order of the list.
    #[serde(serialize_with = "in_order")]
    pub relays: Vec<(String, RelayReport)>,
    /// The version of the fields that relay_probe does not have.
    pub schema: u32,
    /// Who wrote it.
    pub generator: &'static str,
}

impl Status {
    /// A status of this time.
    pub fn new(time: OffsetDateTime, relays: Vec<(String, RelayReport)>) -> Self {
        let generator = concat!("moqingbird-probe/", env!("CARGO_PKG_VERSION"));
        Self { timestamp: stamp::precise(time), relays, schema: SCHEMA, generator }
    }

    /// As JSON, indented by two, with a line end.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

fn in_order<S: Serializer>(relays: &[(String, RelayReport)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(relays.len()))?;
    for (id, relay) in relays {
        map.serialize_entry(id, relay)?;
    }
    map.end()
}

/// A relay.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RelayReport {
    /// What people call it.
    pub name: String,
    /// Whether any of its endpoints is live.
    pub live: bool,
    /// The drafts of all its endpoints, as `draft-14`, in order. None where nothing could be probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drafts: Option<Vec<String>>,
    /// Its endpoints, in the order of the list. None where nothing could be probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<EndpointReport>>,
    /// Why nothing could be probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The drafts, as numbers.
    pub draft_numbers: Vec<u16>,
    /// The newest of them.
    pub newest_draft: Option<u16>,
    /// What the list expects, against what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expectation>,
    /// Whether the list says that it is not to be probed.
    pub disabled: bool,
    /// When it was probed.
    pub probed_at: Option<String>,
}

impl RelayReport {
    /// From what was found at its endpoints, in the drafts that were tried.
    pub fn new(relay: &Relay, endpoints: Vec<EndpointReport>, tried: &[u16]) -> Self {
        let mut numbers: Vec<_> =
            endpoints.iter().flat_map(|endpoint| &endpoint.draft_numbers).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self {
            name: relay.name.clone(),
            live: endpoints.iter().any(|endpoint| endpoint.live),
            drafts: Some(numbers.iter().map(|number| draft_name(*number)).collect()),
            endpoints: Some(endpoints),
            error: None,
            newest_draft: numbers.last().copied(),
            expected: relay.expected.as_ref().map(|expected| Expectation::new(expected, &numbers, tried)),
            draft_numbers: numbers,
            disabled: false,
            probed_at: Some(stamp::precise(OffsetDateTime::now_utc())),
        }
    }

    /// A relay that the list disables.
    pub fn disabled(relay: &Relay) -> Self {
        let report = Self::new(&Relay { expected: None, ..relay.clone() }, Vec::new(), &[]);
        Self { disabled: true, probed_at: None, ..report }
    }

    /// A relay that could not be probed.
    pub fn failed(relay: &Relay, error: String) -> Self {
        let report = Self::new(&Relay { expected: None, ..relay.clone() }, Vec::new(), &[]);
        Self { drafts: None, endpoints: None, error: Some(error), ..report }
    }

    /// The endpoints that were probed.
    pub fn endpoints(&self) -> &[EndpointReport] {
        self.endpoints.as_deref().unwrap_or_default()
    }

    /// Whether something that was probed is not live.
    pub fn is_dead(&self) -> bool {
        !self.disabled && (self.error.is_some() || self.endpoints().iter().any(|endpoint| !endpoint.live))
    }

    /// Whether other drafts were found than expected.
    pub fn is_unexpected(&self) -> bool {
        self.expected.as_ref().is_some_and(|expected| !expected.met)
    }

    /// Whether a certificate that should be is not trusted.
    pub fn is_untrusted(&self) -> bool {
        self.endpoints().iter().any(EndpointReport::is_untrusted)
    }
}

/// The drafts that a relay should speak, against those that it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Expectation {
    /// What the list expects.
    pub drafts: Vec<u16>,
    /// What was found.
    pub found: Vec<u16>,
    /// Expected, tried and not found.
    pub missing: Vec<u16>,
    /// Found and not expected.
    pub surplus: Vec<u16>,
    /// Expected and not tried.
    pub not_tried: Vec<u16>,
    /// Whether nothing is missing and nothing is surplus.
    pub met: bool,
}

impl Expectation {
    fn new(expected: &[u16], found: &[u16], tried: &[u16]) -> Self {
        let without = |from: &[u16], these: &[u16]| -> Vec<_> {
            from.iter().filter(|number| !these.contains(number)).copied().collect()
        };
        let not_tried = without(expected, tried);
        let missing = without(&without(expected, found), &not_tried);
        let surplus = without(found, expected);
        let met = missing.is_empty() && surplus.is_empty();
        Self { drafts: expected.to_vec(), found: found.to_vec(), missing, surplus, not_tried, met }
    }
}

/// An endpoint of a relay.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EndpointReport {
    /// Where.
    pub url: String,
    /// `QUIC` or `H3/WT`.
    pub transport: &'static str,
    /// The URL's host.
    pub host: String,
    /// The URL's port.
    pub port: u16,
    /// Whether any draft is live.
    pub live: bool,
    /// The live drafts, as `draft-14`, oldest first.
    pub drafts: Vec<String>,
    /// The oldest of them.
    pub draft: Option<String>,
    /// How long all drafts took together.
    pub latency_ms: u64,
    /// Each draft that was tried, oldest first.
    pub probes: Vec<DraftReport>,
    /// How the last draft failed, where none is live.
    pub error: Option<String>,
    /// The live drafts, as numbers.
    pub draft_numbers: Vec<u16>,
    /// The newest of them.
    pub newest_draft: Option<u16>,
    /// The address that answered.
    pub address: Option<String>,
    /// The certificate. None where none was seen.
    pub tls: Option<TlsReport>,
}

impl EndpointReport {
    /// Whether its certificate should be trusted and is not.
    pub fn is_untrusted(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.verified && !tls.waived)
    }
}

/// One draft at one endpoint.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DraftReport {
    /// Whether the server answered SETUP.
    pub live: bool,
    /// The draft that was agreed, as `draft-14`.
    pub draft: Option<String>,
    /// The draft's version number, `0xff00000e`.
    pub version_hex: Option<String>,
    /// The ALPN.
    pub alpn: Option<&'static str>,
    /// Empty: relay_probe never filled it.
    pub params: NoParams,
    /// How it failed, in a few words.
    pub error: Option<String>,
    /// The draft that was tried.
    pub offered: u16,
    /// The name on which both ends agreed: the ALPN, or WebTransport's `wt-protocol`.
    pub protocol: Option<String>,
    /// What the server says it is (MOQT_IMPLEMENTATION).
    pub implementation: Option<String>,
    /// How long QUIC's handshake took.
    pub handshake_ms: Option<f64>,
    /// How long it took from there to SETUP, the WebTransport request included.
    pub setup_ms: Option<f64>,
    /// How it failed, at length.
    pub failure: Option<Failure>,
    /// What it answered to requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<Deep>,
}

/// `{}`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct NoParams {}

/// A server's certificate.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TlsReport {
    /// Whether it is trusted.
    pub verified: bool,
    /// Whose it is.
    pub subject: Option<String>,
    /// The end of its time, in ISO 8601.
    pub not_after: Option<String>,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The same in a word: `expired`, `not-yet-valid`, `wrong-name`, `unknown-issuer`, `no-roots`, `other`.
    pub problem: Option<&'static str>,
    /// What to try.
    pub advice: Option<&'static str>,
    /// Who signed it.
    pub issuer: Option<String>,
    /// The beginning of its time, in ISO 8601.
    pub not_before: Option<String>,
    /// The names that it is for.
    pub names: Vec<String>,
    /// The SHA-256 of the certificate.
    pub sha256: String,
    /// Whether the list or the command line lets it pass.
    pub waived: bool,
    /// The end of its time, in seconds since 1970.
    #[serde(skip)]
    pub(crate) not_after_unix: Option<i64>,
}

pub(crate) fn draft_name(number: u16) -> String {
    format!("draft-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drafts_that_were_tried_can_be_missing() {
        let expectation = Expectation::new(&[14, 16, 18], &[14], &[14, 16]);
        assert_eq!(
            (expectation.missing.as_slice(), expectation.not_tried.as_slice(), expectation.met),
            (&[16][..], &[18][..], false)
        );
        assert!(Expectation::new(&[14, 18], &[14], &[14, 16]).met);
        let surplus = Expectation::new(&[14], &[14, 16], &[14, 16]);
        assert_eq!((surplus.surplus.as_slice(), surplus.met), (&[16][..], false));
    }
}
