//! Data that breaks the draft's encoding closes the session with the draft's code, though the control stream is in order.

use moqingbird_ledger::{Rows, covers};
use moqingbird_wire::model::SessionErrorCode;

use super::publisher::Publisher;
use super::*;
use crate::Delivery;

/// On what the bytes come.
#[derive(Clone, Copy, Debug)]
enum On {
    Stream,
    Datagram,
    /// The stream that answers a FETCH, behind its header.
    Fetch,
    Control,
}

type Case = (On, &'static str, Rows);

fn bytes(digits: &str) -> Bytes {
    let digits: Vec<_> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A subscriber that reads all it is given is told this, and closes the session for it.
async fn close(version: Version, cases: &[Case]) {
    for (on, digits, _) in cases {
        let mut publisher = Publisher::in_memory(version).await;
        let data = bytes(digits);
        match on {
            On::Fetch => {
                let (_, mut fetched, _stream) = publisher.fetched(None, data).await;
                while fetched.next_item().await.is_ok() {}
                is_closed(&publisher, on, digits).await;
                continue;
            }
            On::Stream => std::mem::forget(publisher.raw.open_stream(data).await),
            On::Datagram => publisher.raw.connection.send_datagram(data).await.unwrap(),
            On::Control => publisher.control.say_bytes(data).await,
        }
        while let Ok(Some(delivery)) = publisher.subscription.next().await {
            if let Delivery::Subgroup(mut subgroup) = delivery {
                while subgroup.next_item().await.is_ok() {}
            }
        }
        is_closed(&publisher, on, digits).await;
    }
}

async fn is_closed(publisher: &Publisher, on: &On, digits: &str) {
    let (code, reason) = publisher.raw.closed().await;
    assert_eq!(code, SessionErrorCode::ProtocolViolation, "{on:?} {digits}: {reason}");
}

#[tokio::test(start_paused = true)]
async fn data_that_draft_14_forbids_is_fatal() {
    let cases: &[Case] = &[
        // An object that does not exist, and an extension header.
        (On::Stream, "11 07 05 80  00 02 3c01 00 01", covers!("D14-10.2.1.2-01")),
        (On::Datagram, "21 07 05 02 80 02 3c01 01", covers!("D14-10.2.1.2-01")),
        (On::Fetch, "05 02 04 80 02 3c01 00 01", covers!("D14-10.2.1.2-01")),
        (On::Datagram, "01 07 05 02 80 00 6869", covers!("D14-10.3.1-01")),
        (On::Stream, "10 07 05 80  00 00 02", covers!("D14-10.2.1.1-08")),
        (On::Stream, "10 07 05 80  00 00 05", covers!("D14-10.2.1.1-08")),
        (On::Datagram, "20 07 05 02 80 02", covers!("D14-10.2.1.1-08")),
        // SUBSCRIBE with two delivery timeouts.
        (On::Control, "03 000f 00 01 0161 0162 80 00 01 02 02 0205 0205", covers!("D14-9.2-02")),
    ];
    within(close(Version::Draft14, cases)).await;
}

#[tokio::test(start_paused = true)]
async fn data_that_draft_16_forbids_is_fatal() {
    // SUBSCRIBE_OK with Track Extensions: five distances of 2^62-1 less one, each to an even type of value 0.
    let types = "04 0030 00 07 00 fffffffffffffffe00 fffffffffffffffe00 fffffffffffffffe00 fffffffffffffffe00 \
                 fffffffffffffffe00";
    let cases: &[Case] = &[
        (On::Control, types, covers!("D16-1.4.2-06")),
        // Extension headers of 70,000 bytes, of which 65,536 are one value; none of which has come.
        (On::Stream, "35 07 03 01  05 80011170 4041 80010000", covers!("D16-1.4.2-08")),
        // The status End of Group, and an extension header.
        (On::Stream, "35 07 03 01  05 02 3e05 00 03", covers!("D16-10.2.1.2-01")),
        (On::Datagram, "21 07 03 04 80 02 3c01 03", covers!("D16-10.2.1.2-01")),
        (On::Datagram, "01 07 03 04 80 00 68", covers!("D16-10.3.1-01")),
        // The status that draft-14 had for objects that do not exist, and two that nobody had.
        (On::Stream, "34 07 03 01  05 00 01", covers!("D16-10.2.1.1-06")),
        (On::Stream, "34 07 03 01  05 00 02", covers!("D16-10.2.1.1-06")),
        (On::Datagram, "20 07 03 04 80 05", covers!("D16-10.2.1.1-06")),
        // SUBSCRIBE with FORWARD twice.
        (On::Control, "03 000b 00 01 0161 0162 02 1001 0001", covers!("D16-9.2-05")),
        (On::Fetch, "4080 01 01 01", covers!("D16-10.4.4-02")),
        (On::Fetch, "408d 01 01 01", covers!("D16-10.4.4-02")),
        (On::Fetch, "4100 01 01 01", covers!("D16-10.4.4-02")),
        // The first object refers to one before: by group and object, priority, subgroup, group.
        (On::Fetch, "00 01 01 01 01", covers!("D16-10.4.4.1-01")),
        (On::Fetch, "0c 01 01 01 01", covers!("D16-10.4.4.1-01")),
        (On::Fetch, "1d 01 01 01 01", covers!("D16-10.4.4.1-01")),
        (On::Fetch, "18 01 01 01 01", covers!("D16-10.4.4.1-01")),
    ];
    within(close(Version::Draft16, cases)).await;
}

#[tokio::test(start_paused = true)]
async fn types_that_draft_16_does_not_define_are_fatal() {
    for kind in ["16", "17", "1e", "1f", "36", "37", "3e", "3f"] {
        let stream = format!("{kind} 07 03 01 80");
        within(close(Version::Draft16, &[(On::Stream, stream.leak(), covers!("D16-10.4.2-03"))])).await;
    }
    for kind in ["22", "23", "26", "27", "2a", "2b", "2e", "2f", "10", "30", "3f", "4040", "7fff"] {
        let datagram = format!("{kind} 07 03 04 80 02 3c01 00");
        within(close(Version::Draft16, &[(On::Datagram, datagram.leak(), covers!("D16-10.3.1-02"))])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_exist_may_stand_on_a_stream_with_extension_headers() {
    covers!("D14-10.2.1.2-02");
    let mut publisher = Publisher::in_memory(Version::Draft14).await;
    publisher.send(bytes("15 07 05 00 80"), &bytes("00 00 00 01  00 02 3c01 01 61")).await;
    let mut subgroup = publisher.next_subgroup().await;
    let absent = subgroup.next_object().await.unwrap().unwrap();
    assert_eq!(absent.header.status, ObjectStatus::DoesNotExist);
    assert_eq!(subgroup.next_object().await.unwrap().unwrap().payload, "a");
    publisher.goes_on().await;
}
