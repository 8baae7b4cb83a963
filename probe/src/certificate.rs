//! What a certificate says, and what is wrong with it, in words.

use moqingbird::{DistrustKind, SeenCertificate, ServerUrl};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::report::TlsReport;
use crate::stamp;

/// `waived`: whether it need not be trusted.
pub(crate) fn report(seen: &SeenCertificate, url: &ServerUrl, waived: bool) -> TlsReport {
    let read = X509Certificate::from_der(&seen.der).ok().map(|(_, certificate)| certificate);
    let said = read.as_ref().map(Said::of).unwrap_or_default();
    let problem = seen.distrust.as_ref().map(|distrust| {
        let (word, what, advice) = explain(distrust.kind, &distrust.reason, &said, url);
        (word, format!("{word}: {what}"), advice)
    });
    let date = |time: &Option<OffsetDateTime>| time.map(stamp::plain);
    TlsReport {
        verified: seen.distrust.is_none(),
        subject: said.subject.clone(),
        not_after: date(&said.not_after),
        error: problem.as_ref().map(|(_, error, _)| error.clone()),
        problem: problem.as_ref().map(|(word, _, _)| *word),
        advice: problem.as_ref().map(|(_, _, advice)| *advice),
        issuer: said.issuer.clone(),
        not_before: date(&said.not_before),
        sha256: seen.sha256().to_string(),
        waived,
        not_after_unix: said.not_after.map(OffsetDateTime::unix_timestamp),
        names: said.names,
    }
}

/// What stands in a certificate.
#[derive(Debug, Default)]
struct Said {
    subject: Option<String>,
    issuer: Option<String>,
    not_before: Option<OffsetDateTime>,
    not_after: Option<OffsetDateTime>,
    names: Vec<String>,
}

impl Said {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
        Self {
            subject: Some(certificate.subject().to_string()),
            issuer: Some(certificate.issuer().to_string()),
            not_before: Some(certificate.validity().not_before.to_datetime()),
            not_after: Some(certificate.validity().not_after.to_datetime()),
            names: names.iter().filter_map(name).collect(),
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The problem in a word and in a sentence, and what to try.
fn explain(
    kind: DistrustKind,
    reason: &str,
    said: &Said,
    url: &ServerUrl,
) -> (&'static str, String, &'static str) {
    let date = |time: Option<OffsetDateTime>| time.map_or_else(|| "another time".to_owned(), stamp::plain);
    match kind {
        DistrustKind::Expired => (
            "expired",
            format!("it was valid until {}", date(said.not_after)),
            "renew the certificate and have the relay load it; if it is new, check this machine's clock",
        ),
        DistrustKind::NotYetValid => (
            "not-yet-valid",
            format!("it is valid from {}", date(said.not_before)),
            "check the clocks of the relay and of this machine",
        ),
        DistrustKind::WrongName => (
            "wrong-name",
            format!("it is for {}, not for {}", listed(&said.names), url.host()),
            "use a name that stands in the certificate, or issue one that has this name",
        ),
        DistrustKind::UnknownIssuer => (
            "unknown-issuer",
            match &said.issuer {
                issuer if *issuer == said.subject => "it is signed by nobody but itself".to_owned(),
                Some(issuer) => format!("no trusted root leads to its issuer {issuer}"),
                None => "no trusted root leads to it".to_owned(),
            },
            "have the relay send its whole chain, name the root by --ca, or let it pass by verify_tls: false or --insecure",
        ),
        DistrustKind::NoRoots => (
            "no-roots",
            reason.to_owned(),
            "install root certificates on this machine (package ca-certificates), or name one by --ca",
        ),
        _ => (
            "other",
            reason.trim_start_matches("invalid peer certificate: ").to_owned(),
            "examine the certificate with `openssl x509 -text`",
        ),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no name at all".to_owned(),
        names if names.len() > 5 => format!("{} and {} more", names[..5].join(", "), names.len() - 5),
        names => names.join(", "),
    }
}
