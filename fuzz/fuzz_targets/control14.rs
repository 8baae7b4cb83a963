//! See `moqingbird_fuzz::TARGETS`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| moqingbird_fuzz::run("control14", data));
