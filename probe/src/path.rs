//! Why a WebTransport request was refused: because of its path, or because of the drafts.
//!
//! A status alone seldom says. If the server refuses every draft, it is asked once more, for a protocol that cannot be: who
//! takes that does not mind the path, and who answers it otherwise than the drafts knows these.

use moqingbird::{ConnectOptions, ServerUrl, ask_web_transport};

use crate::explain::{Cause, Failure};
use crate::report::DraftReport;

/// A protocol that nobody speaks.
const IMPOSSIBLE: &str = "moqt-none";

/// Gives refusals their cause. `live`: some draft is.
pub(crate) async fn judge(url: &ServerUrl, options: &ConnectOptions, probes: &mut [DraftReport]) {
    let live = probes.iter().any(|probe| probe.live);
    let refused = |probe: &DraftReport| probe.failure.as_ref().and_then(|failure| failure.http_status);
    if !probes.iter().any(|probe| refused(probe).is_some()) {
        return;
    }
    let answer = if live { None } else { ask_web_transport(url, options, &[IMPOSSIBLE]).await.ok() };
    let answer = answer.map(|answer| answer.status);
    for probe in probes {
        if let Some(status) = refused(probe) {
            let failure = cause(url, status, live, answer, probe.offered);
            probe.error = Some(failure.error());
            probe.failure = Some(failure);
        }
    }
}

/// `impossible`: how the server answered the impossible protocol.
fn cause(url: &ServerUrl, status: u16, live: bool, impossible: Option<u16>, draft: u16) -> Failure {
    let path = url.path();
    let refused = format!("the server refused WebTransport at the path `{path}` with HTTP status {status}");
    let (cause, what, advice) = match (live, status, impossible) {
        (true, ..) => (
            Cause::DraftRefused,
            format!("{refused} for draft-{draft}, and took another draft there"),
            format!("enable draft-{draft} over WebTransport at the relay, or ask for another draft"),
        ),
        (_, 404, _) => (
            Cause::PathRefused,
            refused,
            "check the path of the URL: the server has nothing there".to_owned(),
        ),
        (_, 401 | 403 | 407, _) => (
            Cause::PathRefused,
            refused,
            "check the path of the URL, and whether it needs a token".to_owned(),
        ),
        (_, _, Some(200)) => (
            Cause::DraftRefused,
            format!("{refused}, but takes a protocol that it cannot know: the path is right, the draft is not"),
            format!("enable draft-{draft} over WebTransport at the relay"),
        ),
        (_, _, Some(other)) if other != status => (
            Cause::PathRefused,
            format!("{refused}, and answers a protocol that it cannot know with {other}: it knows the draft"),
            "check the path of the URL, and whether it needs a token".to_owned(),
        ),
        _ => (
            Cause::WebTransportRefused,
            format!("{refused}, whatever is offered"),
            "check the path of the URL; if it is right, the relay speaks none of these drafts over WebTransport"
                .to_owned(),
        ),
    };
    Failure { http_status: Some(status), ..Failure::new(cause, what, advice) }
}
