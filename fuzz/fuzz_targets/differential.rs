//! `differential` for libFuzzer; what it does stands in `src/targets/differential.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::differential::run(octets));
