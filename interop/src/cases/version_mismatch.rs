//! A client that offers only a version that does not exist is turned away, and not with another.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use moqingbird::wire::model::{Message, SessionErrorCode, Setup};
use moqingbird::{TransportKind, Version};

use super::Case;
use crate::Context;
use crate::context::{ANSWER_LIMIT, mismatch};
use crate::raw::{Client, Hearer, Refused};
use crate::report::{Failure, Origin, Role, Verdict};

pub(super) const CASE: Case = Case {
    roles: &[Role::Client, Role::Client],
    limit: Duration::from_secs(5),
    ..Case::new("version-mismatch", Origin::Moqingbird, |cx| Box::pin(run(cx)))
};

/// A protocol, and a version inside SETUP, that no relay knows.
const PROTOCOL: &str = "moqt-9999";
const VERSION: u64 = 0xff00_270f;

async fn run(cx: &Context) -> Verdict {
    // That a version it knows is taken shows that the other is refused for what it is.
    let session = cx.connect(Role::Client).await?;
    let version = session.version();
    let address = session.remote_address();
    cx.close(session).await?;
    let address = address.ok_or_else(|| mismatch("an address", "nothing", "the session has no address"))?;

    let url = cx.url(Role::Client);
    let in_setup = version.draft().rules().setup_version.is_some();
    let offer = match (in_setup, url.transport()) {
        // draft-14 over WebTransport has no name for itself.
        (true, TransportKind::WebTransport) => vec![],
        (true, _) => vec![version.protocol()],
        (false, _) => vec![PROTOCOL],
    };
    let expected = if in_setup { "VERSION_NEGOTIATION_FAILED" } else { "refusal of the protocol" };
    let connected = cx.within(expected, ANSWER_LIMIT, Client::connect(address, url, &offer)).await?;
    match connected {
        Ok(client) => {
            cx.note(client.facts(Role::Client, version));
            let verdict = match in_setup {
                true => set_up(cx, &client, version).await,
                false => unnamed(&client),
            };
            client.close();
            Ok(verdict?)
        }
        Err(Refused::Protocol(how)) if !in_setup => Ok(how),
        Err(Refused::Protocol(how)) => {
            Err(mismatch("a connection", how, "the relay spoke this draft before").into())
        }
        Err(Refused::Other(how)) => Err(mismatch(expected, "connection failed", how).into()),
    }
}

/// A WebTransport server may also take the session and name no protocol.
fn unnamed(client: &Client) -> Result<String, Failure> {
    match client.protocol() {
        None => Ok("WebTransport without a protocol".to_owned()),
        Some(name) => {
            let message = format!("the relay agreed on `{name}`, which does not exist");
            Err(mismatch("refusal of the protocol", name, message))
        }
    }
}

/// CLIENT_SETUP with the unknown version alone (draft-14 §9.3).
async fn set_up(cx: &Context, client: &Client, version: Version) -> Result<String, Failure> {
    let code = SessionErrorCode::VersionNegotiationFailed;
    let expected = code.to_string();
    let broken = |error: &dyn std::fmt::Display| mismatch(&expected, "connection failed", error.to_string());
    let (mut sayer, mut hearer) =
        client.open_control(version.draft()).await.map_err(|error| broken(&error))?;
    let url = cx.url(Role::Client);
    let raw = url.transport() == TransportKind::Quic;
    let setup = Setup {
        versions: vec![VERSION],
        max_request_id: 100,
        path: raw.then(|| Bytes::from(url.path())),
        authority: raw.then(|| Bytes::from(url.authority().to_owned())),
        ..Setup::default()
    };
    sayer.say(&Message::ClientSetup(setup)).await.map_err(|error| broken(&error))?;
    let (number, reason) = tokio::select! {
        closed = cx.within(&expected, ANSWER_LIMIT, client.closed()) => closed?,
        message = answer(&mut hearer) => {
            let (received, message) = match message {
                Message::ServerSetup(setup) => ("SERVER_SETUP", format!("the relay selected {:#x?}", setup.versions)),
                other => ("another message", format!("{other:?}")),
            };
            return Err(mismatch(&expected, received, message));
        }
    };
    let wanted = version.draft().session_code(code);
    match number {
        Some(number) if number == wanted => Ok(format!("session closed with {code} ({number:#x})")),
        Some(number) => {
            let received =
                format!("session closed with {} ({number:#x})", version.draft().session_error(number));
            Err(mismatch(&expected, received, format!("the relay said: {reason}")))
        }
        None => Err(mismatch(&expected, "session closed", reason)),
    }
}

/// The server's next message. That it has none is told by the session's end.
async fn answer(hearer: &mut Hearer) -> Message {
    match hearer.hear().await {
        io::Result::Ok(Some(message)) => message,
        _ => std::future::pending().await,
    }
}
