//! `mime` for libFuzzer; what it does stands in `src/targets/mime.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::mime::run(octets));
