//! Trying all addresses of a name (RFC 8305): the next one a little after the last, the first to succeed wins.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long an attempt runs alone before the next begins.
const HEAD_START: Duration = Duration::from_millis(250);

/// The first success; the other attempts are dropped. Nothing if every attempt failed, and then `failures` says how, in the
/// order in which they failed. A failed attempt starts the next at once.
pub(super) async fn first<T, E, F>(
    addresses: Vec<SocketAddr>,
    failures: &mut Vec<(SocketAddr, E)>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Option<T>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    loop {
        if let Some(address) = waiting.next() {
            let attempt = attempt(address);
            running.spawn(async move { attempt.await.map_err(|error| (address, error)) });
        }
        tokio::select! {
            ended = running.join_next() => match ended? {
                Ok(Ok(winner)) => return Some(winner),
                Ok(Err(failure)) => failures.push(failure),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// The addresses with the families taking turns, the first address's family first (RFC 8305 §4): a broken family then costs
/// one head start.
pub(super) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return addresses };
    let (leading, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut leading, mut other) = (leading.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [leading.next(), other.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn three() -> Vec<SocketAddr> {
        ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(address).to_vec()
    }

    #[test]
    fn families_take_turns() {
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"].map(address).to_vec();
        let mixed = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"].map(address).to_vec();
        assert_eq!(interleave(given), mixed);
        assert!(interleave(Vec::new()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_one_head_start() {
        let start = Instant::now();
        let mut failures = Vec::<(SocketAddr, ())>::new();
        let won = first(three(), &mut failures, |address| async move {
            if address.port() == 1 { pending().await } else { Ok(address.port()) }
        });
        assert_eq!(won.await, Some(2));
        assert_eq!(start.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_address_costs_nothing() {
        let start = Instant::now();
        let mut failures = Vec::new();
        let won = first(three(), &mut failures, |address| async move {
            if address.port() < 3 { Err("no") } else { Ok(address.port()) }
        });
        assert_eq!(won.await, Some(3));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_every_failure_is_told() {
        let mut failures = Vec::new();
        let won = first(three(), &mut failures, |address| async move { Err::<(), _>(address.port()) });
        assert_eq!(won.await, None);
        assert_eq!(failures.iter().map(|(_, port)| *port).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_address_may_still_win_late() {
        let mut failures = Vec::<(SocketAddr, ())>::new();
        let won = first(three(), &mut failures, |address| async move {
            if address.port() == 1 {
                sleep(HEAD_START * 10).await;
                Ok(address.port())
            } else {
                pending().await
            }
        });
        assert_eq!(won.await, Some(1));
    }
}
