//! `header` for libFuzzer; what it does stands in `src/targets/header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::header::run(octets));
