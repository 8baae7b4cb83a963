//! The other relays to which this one is linked.

use moqingbird::{CertificateHash, ClientOptions, Pem, ServerUrl, Trust};
use moqingbird_relay::{LinkOptions, Relay};
use tokio::task::JoinSet;

use super::settings::Settings;
use crate::exit::Failure;

/// Another relay, and what it is to this one.
#[derive(Debug)]
pub(super) struct Link {
    url: ServerUrl,
    options: LinkOptions,
}

/// The relays that are named. One that is named twice is both.
pub(super) fn links(settings: &Settings) -> Result<Vec<Link>, Failure> {
    let mut links: Vec<Link> = Vec::new();
    for (rank, text) in (0..).zip(&settings.upstream) {
        links.push(Link { url: url("upstream", text)?, options: LinkOptions::upstream(rank) });
    }
    for text in &settings.announce {
        let url = url("announce", text)?;
        match links.iter_mut().find(|link| link.url.to_string() == url.to_string()) {
            Some(link) => link.options.announce = true,
            None => links.push(Link { url, options: LinkOptions::announce() }),
        }
    }
    Ok(links)
}

fn url(key: &str, text: &str) -> Result<ServerUrl, Failure> {
    text.parse().map_err(|error| Failure::input(format!("{key}: {text}: {error}")))
}

/// How other relays are recognised.
pub(super) fn client(settings: &Settings) -> Result<ClientOptions, Failure> {
    let mut client = ClientOptions::default();
    client.connect.trust = if settings.link_insecure == Some(true) {
        Trust::Insecure
    } else if settings.link_pin.is_empty() {
        let extra = settings.link_ca.iter().cloned().map(Pem::Path).collect();
        Trust::Roots { system: true, extra }
    } else {
        let pins = settings.link_pin.iter().map(|pin| {
            pin.parse::<CertificateHash>()
                .map_err(|error| Failure::input(format!("link-pin: {pin}: {error}")))
        });
        Trust::Pinned(pins.collect::<Result<_, _>>()?)
    };
    Ok(client)
}

/// Keeps the links for as long as this lives.
pub(super) async fn keep(relay: &Relay, links: Vec<Link>, client: &ClientOptions) {
    let mut kept = JoinSet::new();
    for Link { url, options } in links {
        let (relay, client) = (relay.clone(), client.clone());
        kept.spawn(async move { relay.keep_link(&url, client, options).await });
    }
    while kept.join_next().await.is_some() {}
    // Without a link there is nothing to wait for.
    std::future::pending::<()>().await;
}
