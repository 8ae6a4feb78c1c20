//! `relay` for libFuzzer; what it does stands in `src/targets/relay.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::relay::run(octets));
