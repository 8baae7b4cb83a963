//! The relay's certificate and keys, kept current while it runs.

use std::time::Duration;

use moqingbird::{Server, ServerCertificate};
use moqingbird_relay::auth::jwt::JwtAuthorizer;
use tokio::time::sleep;

use crate::signals::Reload;

/// How long a development certificate is used; it is valid for 10 days.
const DEVELOPMENT: Duration = Duration::from_secs(9 * 24 * 3600);

/// Shows a new development certificate when the old one becomes old, and reads certificate and keys of tokens anew when asked
/// to. Of files that change the server takes notice by itself. Does not end.
pub(super) async fn keep(
    server: &Server,
    certificate: &ServerCertificate,
    keys: Option<&JwtAuthorizer>,
    mut reload: Reload,
) {
    let is_development = matches!(certificate, ServerCertificate::Development);
    loop {
        let asked = tokio::select! {
            () = sleep(DEVELOPMENT), if is_development => false,
            () = reload.asked() => true,
        };
        // One for development is not changed by a signal: clients have pinned it.
        if asked != is_development {
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
