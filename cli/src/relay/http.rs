//! The relay's small HTTP server, for those who watch it: `/health`, `/metrics`, `/state`, `/certificate.sha256`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use moqingbird::Server;
use moqingbird::wire::model::TrackNamespace;
use moqingbird_relay::{Relay, TrackState};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::metrics;
use crate::exit::Failure;

#[derive(Clone)]
struct Watched {
    relay: Relay,
    server: Arc<Server>,
}

/// Serves in the background, as long as the program runs. The address, with the port that the system chose.
pub(super) async fn serve(
    address: SocketAddr,
    relay: &Relay,
    server: &Arc<Server>,
) -> Result<SocketAddr, Failure> {
    let fail =
        |error| Failure::input(format!("cannot listen on TCP {address}: {error}; choose another --http"));
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/state", get(state))
        .route("/certificate.sha256", get(certificate))
        .with_state(Watched { relay: relay.clone(), server: Arc::clone(server) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}

/// 200 while newcomers are welcome; 503 once the relay is about to end.
async fn health(State(watched): State<Watched>) -> impl IntoResponse {
    match watched.relay.is_draining() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ok\n"),
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render(&watched.relay.stats()))
}

async fn certificate(State(watched): State<Watched>) -> impl IntoResponse {
    format!("{}\n", watched.server.certificate_sha256())
}

async fn state(State(watched): State<Watched>) -> impl IntoResponse {
    let mut namespaces: BTreeMap<TrackNamespace, (usize, Vec<Value>)> = BTreeMap::new();
    for (namespace, announcements) in watched.relay.namespaces() {
        namespaces.entry(namespace).or_default().0 = announcements;
    }
    for track in watched.relay.tracks() {
        namespaces.entry(track.name.namespace.clone()).or_default().1.push(of_track(&track));
    }
    let namespaces: Vec<_> = namespaces
        .into_iter()
        .map(|(namespace, (announcements, tracks))| {
            json!({ "namespace": path(&namespace), "announcements": announcements, "tracks": tracks })
        })
        .collect();
    ([(CONTENT_TYPE, "application/json")], format!("{:#}\n", json!({ "namespaces": namespaces })))
}

fn of_track(track: &TrackState) -> Value {
    let largest = track.largest.map(|largest| json!({ "group": largest.group, "object": largest.object }));
    json!({
        "name": String::from_utf8_lossy(&track.name.name),
        "publishers": track.publishers,
        "subscribers": track.subscribers,
        "largest": largest,
        "cache_bytes": track.stats.kept_bytes,
        "objects_in": track.stats.written_objects,
        "bytes_in": track.stats.written_bytes,
        "objects_out": track.stats.read_objects,
        "bytes_out": track.stats.read_bytes,
        "too_far_behind": track.stats.too_far_behind,
    })
}

/// As people write it; a field that is no text is shown as well as it can be.
fn path(namespace: &TrackNamespace) -> String {
    let fields: Vec<_> = namespace.fields().iter().map(|field| String::from_utf8_lossy(field)).collect();
    fields.join("/")
}
