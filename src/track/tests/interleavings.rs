//! The track's core under every order in which its threads may run, as far as chance finds them: each taking of the lock is
//! a place where another thread may go first. A wake-up that is lost is a thread that never ends, which the explorer tells.

use shuttle::future::{block_on, spawn};
use shuttle::thread;

use super::*;

const SCHEDULES: usize = 400;

/// Runs a scenario under many schedules.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let config = {
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 20;
        config
    };
    let runner = shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(SCHEDULES), config);
    runner.run(move || {
        let _interleaved = Interleaved::begin();
        scenario();
    });
}

/// Everything that a reader gives, and how it ends.
async fn read_all(mut reader: Reader) -> (Vec<Location>, Option<TrackEnd>) {
    let mut locations = Vec::new();
    while let Some(delivery) = reader.next().await {
        match delivery {
            Delivery::Datagram(it) => locations.push(Location::new(it.group_id, it.object_id)),
            Delivery::Subgroup(mut subgroup) => {
                let mut items = Vec::new();
                while subgroup.next(&mut items).await.is_none() {}
                let group = subgroup.info().group_id;
                locations.extend(items.iter().filter_map(|item| match item {
                    Item::Object(header) => Some(Location::new(group, header.object_id)),
                    Item::Payload(_) => None,
                }));
            }
        }
    }
    (locations, reader.end().cloned())
}

fn write_two_groups(writer: &Writer) {
    let mut group = writer.append_group();
    group.write_frame("0/0").unwrap();
    group.write_frame("0/1").unwrap();
    group.finish().unwrap();
    writer.write_frame("1/0");
}

fn complete(writer: Writer) {
    writer.complete();
}

#[test]
fn readers_made_before_get_everything_and_the_end() {
    explore(|| {
        let writer = Writer::new(TrackOptions::default());
        let readers = [writer.reader(None), writer.reader(None)];
        let writes = thread::spawn(move || {
            write_two_groups(&writer);
            complete(writer);
        });
        block_on(async {
            let reads = readers.map(|reader| spawn(read_all(reader)));
            for read in reads {
                let (locations, end) = read.await.unwrap();
                assert_eq!(
                    locations,
                    [(0, 0), (0, 1), (1, 0)].map(|(group, object)| Location::new(group, object))
                );
                assert!(matches!(end, Some(TrackEnd::Finished { .. })));
            }
        });
        writes.join().unwrap();
    });
}

#[test]
fn a_reader_made_meanwhile_has_past_and_present_without_a_seam() {
    explore(|| {
        let writer = Writer::new(TrackOptions::default());
        let track = writer.track();
        let writes = thread::spawn(move || {
            write_two_groups(&writer);
            complete(writer);
        });
        let reads = thread::spawn(move || {
            let reader = track.reader(Some(SubscriptionFilter::LargestObject));
            let largest = reader.largest();
            block_on(async move {
                let mut locations = Vec::new();
                if let Some(Location { group, object }) = largest {
                    let end = EndLocation { group, object: Some(object) };
                    let mut held = track.held(Location::default(), end, GroupOrder::Ascending).unwrap();
                    while let Some(item) = held.next().await.unwrap() {
                        if let HeldItem::Object(object) = item {
                            locations.push(object.location);
                        }
                    }
                }
                locations.extend(read_all(reader).await.0);
                assert_eq!(
                    locations,
                    [(0, 0), (0, 1), (1, 0)].map(|(group, object)| Location::new(group, object))
                );
            });
        });
        writes.join().unwrap();
        reads.join().unwrap();
    });
}

#[test]
fn a_feeder_that_waits_for_readers_is_always_woken() {
    explore(|| {
        let options = TrackOptions { window: 100, ..TrackOptions::default() };
        let writer = Writer::new(options);
        let reader = writer.reader(None);
        let reads = thread::spawn(move || block_on(read_all(reader)));
        block_on(async {
            for _ in 0..3 {
                writer.ready().await;
                writer.write_frame(vec![0; 200]);
            }
        });
        complete(writer);
        assert_eq!(reads.join().unwrap().0.len(), 3);
    });
}

#[test]
fn a_writer_hears_of_readers_that_come_and_go() {
    explore(|| {
        let writer = Writer::new(TrackOptions::default());
        let track = writer.track();
        let (come, gone) = (shuttle::sync::mpsc::channel(), shuttle::sync::mpsc::channel());
        let comes_and_goes = thread::spawn(move || {
            let reader = track.reader(None);
            come.1.recv().unwrap();
            drop(reader);
            gone.0.send(()).unwrap();
        });
        block_on(writer.used());
        come.0.send(()).unwrap();
        block_on(writer.unused());
        gone.1.recv().unwrap();
        comes_and_goes.join().unwrap();
    });
}
