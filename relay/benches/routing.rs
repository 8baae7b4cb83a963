//! What routing costs where much is announced: no session, no transport, the pure core alone.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use moqingbird::wire::model::{FullTrackName, TrackNamespace};

/// The core is the relay's own affair: it is built here once more.
#[expect(
    dead_code,
    unused_imports,
    reason = "what the relay and its tests need of it and the bench does not"
)]
#[path = "../src"]
mod relay {
    pub(crate) mod core;
    pub(crate) mod tree;
}
use relay::{core, tree};

use self::core::{Action, Core, Input, Path, PeerId, Policy, RelayId};
use self::tree::NamespaceTree;

/// How many namespaces are announced.
const ANNOUNCED: u64 = 100_000;

/// The path of each namespace.
type Shape = fn(u64) -> String;

/// `apps/NUMBER` for all, one of the widest trees that there may be, and of three fields, as conferences have them.
fn shapes() -> [(&'static str, Shape); 2] {
    [
        ("wide", |number| format!("apps/stream-{number}")),
        ("deep", |number| format!("conference/room-{}/user-{}", number / 100, number % 100)),
    ]
}

fn namespace(path: &str) -> TrackNamespace {
    TrackNamespace::from_path(path).expect("a namespace")
}

/// A number of those announced, each time another, near no other.
fn next(number: &mut u64) -> u64 {
    *number = (*number + 61_803) % ANNOUNCED;
    *number
}

/// Who publishes a track: every announced prefix of its namespace.
fn lookup(c: &mut Criterion) {
    for (shape, path) in shapes() {
        let mut tree = NamespaceTree::default();
        (0..ANNOUNCED).for_each(|number| {
            tree.insert(namespace(&path(number)), number);
        });
        let asked: Vec<_> =
            (0..ANNOUNCED).map(|number| namespace(&format!("{}/camera", path(number)))).collect();
        let mut number = 0;
        c.bench_function(&format!("prefix_lookup_{shape}"), |b| {
            b.iter(|| {
                let asked = &asked[next(&mut number) as usize];
                let mut found = tree.prefixes_of(black_box(asked));
                assert_eq!(found.next(), Some(number));
            });
        });
    }
}

/// A SUBSCRIBE from its coming to the SUBSCRIBE that goes to the publisher, and the end of it.
fn subscribe(c: &mut Criterion) {
    for (shape, path) in shapes() {
        let mut core = Core::new(RelayId(1), Policy::default());
        let (publisher, subscriber) = (PeerId(1), PeerId(2));
        for number in 0..ANNOUNCED {
            let (request, namespace) = (core.new_request(), namespace(&path(number)));
            core.handle(Input::PublishNamespace { peer: publisher, request, namespace, path: Path::new() });
        }
        let mut number = 0;
        c.bench_function(&format!("subscribe_and_unsubscribe_{shape}"), |b| {
            b.iter(|| {
                let announced = namespace(&path(next(&mut number)));
                let track = FullTrackName::new(announced, "video").expect("a track");
                let request = core.new_request();
                let asked = Input::Subscribe {
                    peer: subscriber,
                    request,
                    track,
                    forward: true,
                    new_group: None,
                    path: Path::new(),
                };
                let actions = core.handle(asked);
                assert!(
                    actions
                        .iter()
                        .any(|action| matches!(action, Action::Subscribe { peer, .. } if *peer == publisher))
                );
                black_box(core.handle(Input::Ended(request)));
            });
        });
    }
}

criterion_group!(benches, lookup, subscribe);
criterion_main!(benches);
