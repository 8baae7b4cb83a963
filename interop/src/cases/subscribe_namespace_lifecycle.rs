//! Whoever subscribes to a namespace hears that it comes (NAMESPACE) and goes (NAMESPACE_DONE).

use moqingbird::NamespaceEvent;
use moqingbird::wire::model::SubscribeOptions;

use super::origin::Origin as Publisher;
use super::{Case, steps};
use crate::context::ANSWER_LIMIT;
use crate::report::{Origin, Role, Verdict};
use crate::{Context, names};

pub(super) const CASE: Case = Case {
    revision: Some(1),
    roles: &[Role::Subscriber, Role::Publisher],
    ..Case::new("subscribe-namespace-lifecycle", Origin::Runner, |cx| Box::pin(run(cx)))
};

async fn run(cx: &Context) -> Verdict {
    let track = steps::fresh_track(&format!("{}/lifecycle", steps::NAMESPACE))?;
    let subscriber = cx.connect(Role::Subscriber).await?;
    let mut heard =
        steps::subscribe_namespace(cx, &subscriber, &track.namespace, SubscribeOptions::Namespace).await?;
    let (came, gone) = names::namespace_events(subscriber.version());

    let mut origin = Publisher::announce(cx, &track).await?;
    let event = cx.within(came, ANSWER_LIMIT, heard.next()).await?;
    steps::heard(event, &NamespaceEvent::Namespace(track.namespace.clone()), came)?;
    origin.withdraw();
    let event = cx.within(gone, ANSWER_LIMIT, heard.next()).await?;
    steps::heard(event, &NamespaceEvent::NamespaceDone(track.namespace.clone()), gone)?;
    cx.close(subscriber).await?;
    origin.close(cx).await?;
    Ok(format!("{came}, then {gone}"))
}
