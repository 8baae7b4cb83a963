//! How much decoding allocates.

use allocation_counter::measure;
use moqingbird_wire::buf::Reader;
use moqingbird_wire::model::Message;
use moqingbird_wire::stream::SubgroupCursor;
use moqingbird_wire::{DecodeError, Frame};

use crate::support::{draft, hex};

#[test]
fn an_object_header_is_read_without_an_allocation() {
    let at = SubgroupCursor { extensions: true, previous: Some(4) };
    let bytes = hex("00 09 3cc000000000000001 44ff");
    // As a transport's buffer is: already shared, so that slices are counted references.
    let _shared = bytes.clone();
    let allocated = measure(|| {
        let object = draft().decode_object(&at, &mut Reader::new(&bytes)).unwrap();
        assert!(!object.extensions.is_empty());
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_subscribe_is_read_with_four_allocations_at_most() {
    let payload = hex("00 03 0161 0162 0163 0164 03 1001 104040 010102");
    let frame = Frame { kind: 0x03, payload };
    let allocated = measure(|| {
        draft().decode_control(&frame).unwrap();
    });
    assert!(allocated.count_total <= 4, "{} allocations", allocated.count_total);
}

#[test]
fn a_count_that_the_bytes_do_not_justify_allocates_next_to_nothing() {
    // SUBSCRIBE of 32 fields, of which two bytes are there; and CLIENT_SETUP of 2^62-1 parameters.
    for (kind, payload) in [(0x03, "00 20 01 61"), (0x20, "ffffffffffffffff")] {
        let frame = Frame { kind, payload: hex(payload) };
        let read = || -> Result<Message, DecodeError> { draft().decode_control(&frame) };
        let allocated = measure(|| {
            assert!(read().is_err());
        });
        assert!(allocated.bytes_total <= 256, "{} bytes", allocated.bytes_total);
    }
}
