//! `round_trip` for libFuzzer; what it does stands in `src/targets/round_trip.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::round_trip::run(octets));
