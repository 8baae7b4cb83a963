//! What a monitor knows, for Prometheus, and the server that shows it.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::Monitor;
use crate::report::{DraftReport, EndpointReport, RelayReport};

/// A metric of endpoints or of their drafts: its name, what it says, and its value.
type Metric<T> = (&'static str, &'static str, fn(&T) -> Option<f64>);

const ENDPOINTS: &[Metric<EndpointReport>] = &[
    ("up", "Whether the endpoint answered SETUP in any draft.", |endpoint| Some(truth(endpoint.live))),
    ("tls_trusted", "Whether the endpoint's certificate is trusted.", |endpoint| {
        Some(truth(endpoint.tls.as_ref()?.verified))
    }),
    ("tls_not_after_seconds", "The end of the certificate's time, since 1970.", |endpoint| {
        Some(endpoint.tls.as_ref()?.not_after_unix? as f64)
    }),
];

const DRAFTS: &[Metric<DraftReport>] = &[
    ("draft_up", "Whether the endpoint answered SETUP in the draft.", |draft| Some(truth(draft.live))),
    ("handshake_seconds", "How long QUIC's handshake took.", |draft| Some(draft.handshake_ms? / 1000.0)),
    ("setup_seconds", "How long it took from the handshake to SETUP.", |draft| {
        Some(draft.setup_ms? / 1000.0)
    }),
];

/// In the text format of Prometheus, version 0.0.4.
pub(crate) fn render(monitor: &Monitor) -> String {
    let mut text = String::new();
    for (name, help, value) in ENDPOINTS {
        head(&mut text, name, help, "gauge");
        for (relay, endpoint) in endpoints(monitor) {
            if let Some(value) = value(endpoint) {
                line(&mut text, name, &labels(relay, endpoint), value);
            }
        }
    }
    for (name, help, value) in DRAFTS {
        head(&mut text, name, help, "gauge");
        for (relay, endpoint) in endpoints(monitor) {
            for draft in &endpoint.probes {
                if let Some(value) = value(draft) {
                    let labels = format!("{},draft=\"{}\"", labels(relay, endpoint), draft.offered);
                    line(&mut text, name, &labels, value);
                }
            }
        }
    }
    head(&mut text, "as_expected", "Whether the relay speaks the drafts that the list expects.", "gauge");
    for watched in monitor.watched() {
        if let Some(expected) = watched.report.as_ref().and_then(|report| report.expected.as_ref()) {
            let labels = format!("relay=\"{}\"", escaped(&watched.relay.id));
            line(&mut text, "as_expected", &labels, truth(expected.met));
        }
    }
    head(&mut text, "rounds_total", "How many rounds of probes there were.", "counter");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "moqt_probe_rounds_total {}", monitor.rounds());
    text
}

fn endpoints(monitor: &Monitor) -> impl Iterator<Item = (&str, &EndpointReport)> {
    monitor.watched().iter().flat_map(|watched| {
        let endpoints = watched.report.as_ref().map(RelayReport::endpoints).unwrap_or_default();
        endpoints.iter().map(|endpoint| (watched.relay.id.as_str(), endpoint))
    })
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP moqt_probe_{name} {help}\n# TYPE moqt_probe_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(text, "moqt_probe_{name}{{{labels}}} {value}");
}

fn labels(relay: &str, endpoint: &EndpointReport) -> String {
    let (relay, url) = (escaped(relay), escaped(&endpoint.url));
    format!("relay=\"{relay}\",url=\"{url}\",transport=\"{}\"", endpoint.transport)
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What the server shows: metrics, page and status, as of the last round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    texts: Arc<RwLock<Texts>>,
}

#[derive(Debug, Default)]
struct Texts {
    metrics: String,
    page: String,
    status: String,
}

impl Shown {
    pub(crate) fn show(&self, metrics: String, page: String, status: String) {
        *self.texts.write().unwrap_or_else(PoisonError::into_inner) = Texts { metrics, page, status };
    }

    fn text(&self, which: fn(&Texts) -> &String) -> String {
        which(&self.texts.read().unwrap_or_else(PoisonError::into_inner)).clone()
    }
}

/// Serves `/metrics`, the page at `/` and `/status.json`, in the background. The address, with the port that the system chose.
pub(crate) async fn serve(address: SocketAddr, shown: Shown) -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let (page, status) = (shown.clone(), shown.clone());
    let typed = |kind: &'static str, text: String| ([(CONTENT_TYPE, kind)], text).into_response();
    let router = Router::new()
        .route(
            "/metrics",
            get(
                move || async move { typed("text/plain; version=0.0.4", shown.text(|texts| &texts.metrics)) },
            ),
        )
        .route("/", get(move || async move { Html(page.text(|texts| &texts.page)) }))
        .route(
            "/status.json",
            get(move || async move { typed("application/json", status.text(|texts| &texts.status)) }),
        );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}
