//! One line for an endpoint, as relay_probe 0.9.8 prints it, and below it what is explained.

use std::fmt::Write;

use crate::report::EndpointReport;

/// `host:port  quic      draft-14,draft-16  ✓ (405ms)`, or `host:port  h3/wt     ✗ error`; behind it what is wrong with the
/// certificate.
pub(crate) fn line(endpoint: &EndpointReport) -> String {
    let EndpointReport { host, port, transport, drafts, latency_ms, error, .. } = endpoint;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let mut line = format!("{host}:{port}  {:<8}  ", transport.to_lowercase());
    // Writing to a string cannot fail.
    let _ = if endpoint.live {
        write!(line, "{}  \u{2713} ({latency_ms}ms)", drafts.join(","))
    } else {
        write!(line, "\u{2717} {}", error.as_deref().unwrap_or("unreachable"))
    };
    if let Some(tls) = endpoint.tls.as_ref().filter(|_| endpoint.is_untrusted()) {
        let _ = write!(line, "  tls: untrusted ({})", tls.error.as_deref().unwrap_or("no reason is known"));
    }
    line
}

/// What happened to each draft that failed, and what to try; the certificate too.
pub(crate) fn explanations(endpoint: &EndpointReport) -> Vec<String> {
    let mut lines = Vec::new();
    let mut told: Vec<(String, String)> = Vec::new();
    for probe in &endpoint.probes {
        let Some(failure) = &probe.failure else { continue };
        let what = format!("{}: {}", failure.cause.words(), failure.what);
        match told.iter_mut().find(|(_, known)| *known == what) {
            Some((drafts, _)) => {
                let _ = write!(drafts, ", draft-{}", probe.offered);
            }
            None => told.push((format!("draft-{}", probe.offered), what)),
        }
    }
    for (drafts, what) in told {
        let failures = endpoint.probes.iter().filter_map(|probe| probe.failure.as_ref());
        let advice = failures
            .filter(|failure| what == format!("{}: {}", failure.cause.words(), failure.what))
            .map(|failure| failure.advice.as_str())
            .next();
        lines.push(format!("    {drafts}: {what}"));
        lines.extend(advice.map(|advice| format!("      try: {advice}")));
    }
    if let Some(tls) = endpoint.tls.as_ref().filter(|_| endpoint.is_untrusted())
        && let (Some(error), Some(advice)) = (&tls.error, tls.advice)
    {
        lines.push(format!("    tls: {error}"));
        lines.push(format!("      try: {advice}"));
    }
    lines
}

/// What sessions answered to requests.
pub(crate) fn answers(endpoint: &EndpointReport) -> Vec<String> {
    let deep = |probe: &crate::DraftReport| {
        let deep = probe.deep.as_ref()?;
        let (track, namespace) = (&deep.track, &deep.namespace);
        let (offered, one, other) = (probe.offered, &track.answer, &namespace.answer);
        Some(format!(
            "    draft-{offered}: a missing track: {one} ({:.0}ms); a namespace: {other} ({:.0}ms)",
            track.ms, namespace.ms
        ))
    };
    endpoint.probes.iter().filter_map(deep).collect()
}
