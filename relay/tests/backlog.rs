//! Many tracks, and many subscribers who do not read: what is kept for them is bounded over all tracks.

#[macro_use]
#[expect(dead_code, unused_macros, reason = "shared with the other tests of the relay, which use more of it")]
mod support;

use bytes::Bytes;
use moqingbird::wire::model::{FullTrackName, Subscribe};
use moqingbird::{SubgroupOptions, TrackInfo, Version};
use moqingbird_relay::{Relay, RelayOptions};
use support::*;

const TRACKS: usize = 12;
const OBJECTS: u64 = 40;
const OBJECT: usize = 8 << 10;
/// Less than a third of what all objects are.
const BACKLOG: usize = 1 << 20;

#[tokio::test]
async fn what_is_kept_for_slow_subscribers_of_many_tracks_is_bounded() {
    let mut options = RelayOptions::default();
    options.backlog = BACKLOG;
    options.cache.max_bytes = 64 << 10;
    let relay = Relay::new(options);
    let publisher = peer(&relay, Version::Draft16).await;
    let _announced = announce(&publisher).await;
    let (fast, slow) = (peer(&relay, Version::Draft16).await, peer(&relay, Version::Draft14).await);
    let mut kept = Vec::new();
    for number in 0..TRACKS {
        let track = FullTrackName::new(namespace(), format!("track {number}")).unwrap();
        let subscribing = soon("SUBSCRIBE is granted", fast.subscribe(Subscribe::new(track.clone())));
        let accepting = async { next_subscribe(&publisher).await.accept(TrackInfo::default()).unwrap() };
        let (subscription, publication) = tokio::join!(subscribing, accepting);
        let mut subscription = subscription.unwrap();
        let unread = soon("SUBSCRIBE is granted", slow.subscribe(Subscribe::new(track))).await.unwrap();
        let mut out = soon("a stream", publication.open_subgroup(SubgroupOptions::new(0))).await.unwrap();
        let writing = async {
            for _ in 0..OBJECTS {
                soon("room", out.write(Bytes::from(vec![number as u8; OBJECT]))).await.unwrap();
            }
        };
        let reading = async {
            let mut subgroup = next_subgroup(&mut subscription).await;
            for id in 0..OBJECTS {
                let object = next_object(&mut subgroup).await.expect("an object");
                assert_eq!((object.header.object_id, object.payload.len()), (id, OBJECT));
                let bytes = relay.stats().cache_bytes;
                assert!(bytes < BACKLOG + (256 << 10), "{bytes} bytes are kept");
            }
            subgroup
        };
        let ((), subgroup) = tokio::join!(writing, reading);
        kept.push((subscription, unread, publication, out, subgroup));
    }
    let bytes = relay.stats().cache_bytes;
    assert!(bytes > BACKLOG / 4, "only {bytes} bytes are kept: nobody was slow");
}
