//! The relay's certificate and keys, kept current while it runs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use moqingbird::{Pem, Server, ServerCertificate};
use moqingbird_relay::auth::jwt::JwtAuthorizer;
use tokio::time::sleep;

use crate::signals::Reload;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long a development certificate is used; it is valid for 10 days.
const DEVELOPMENT: Duration = Duration::from_secs(9 * 24 * 3600);

/// Shows a new certificate when its files have changed, or the one for development becomes old; reads it and the keys of
/// tokens anew when asked to. Does not end.
pub(super) async fn keep(
    server: &Server,
    certificate: &ServerCertificate,
    keys: Option<&JwtAuthorizer>,
    mut reload: Reload,
) {
    let mut seen = state(certificate);
    loop {
        let asked = tokio::select! {
            () = changed(certificate, &seen) => false,
            () = reload.asked() => true,
        };
        seen = state(certificate);
        // One for development is not changed by a signal: clients have pinned it.
        if !asked || !seen.is_empty() {
            match server.show_certificate(certificate) {
                Ok(hash) => tracing::info!(sha256 = %hash, "the certificate was read anew"),
                Err(error) => tracing::warn!(%error, "the certificate stays the old one"),
            }
        }
        if let (true, Some(keys)) = (asked, keys) {
            match keys.reload() {
                Ok(()) => tracing::info!("the keys of tokens were read anew"),
                Err(error) => tracing::warn!(%error, "the keys of tokens stay the old ones"),
            }
        }
    }
}

/// Of each file, when it was changed and how long it is.
type State = Vec<Option<(SystemTime, u64)>>;

fn state(certificate: &ServerCertificate) -> State {
    let of_file = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    match certificate {
        ServerCertificate::Pem { chain: Pem::Path(chain), key: Pem::Path(key) } => {
            vec![of_file(chain), of_file(key)]
        }
        _ => Vec::new(),
    }
}

async fn changed(certificate: &ServerCertificate, seen: &State) {
    if seen.is_empty() {
        return sleep(DEVELOPMENT).await;
    }
    loop {
        sleep(LOOK).await;
        let now = state(certificate);
        if now != *seen {
            // Both files are written one after the other: they are read once they stay as they are.
            sleep(LOOK).await;
            if state(certificate) == now {
                return;
            }
        }
    }
}
