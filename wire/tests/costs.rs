//! What reading costs besides time: allocations, copied payload, attempts. Time is measured by `benches/codec.rs`.

#[path = "../benches/cases/mod.rs"]
mod cases;

#[test]
fn payload_is_never_copied_and_objects_allocate_nothing() {
    for (name, stream) in cases::streams() {
        let costs = stream.costs();
        assert_eq!(costs.copied, 0, "{name}");
        // Room for headers that straddle chunks is allocated once and used again.
        assert!(costs.allocations <= 4, "{name}: {costs:?}");
        assert!(costs.objects >= 100, "{name}: {costs:?}");
    }
}

#[test]
fn values_allocate_for_the_lists_they_hold_alone() {
    let mut cases = 0;
    cases::each_value(|name, once| {
        once();
        let allocations = allocation_counter::measure(&mut *once).count_total;
        let most = match name.rsplit('/').next().unwrap() {
            // The namespace's fields; PUBLISH has a list of tokens too.
            "decode SUBSCRIBE" => 1,
            "decode PUBLISH" => 2,
            encode if encode.ends_with("SUBSCRIBE") => 3,
            encode if encode.ends_with("PUBLISH") => 7,
            _ => 0,
        };
        assert!(allocations <= most, "{name}: {allocations}");
        cases += 1;
    });
    assert_eq!(cases, 24);
}
