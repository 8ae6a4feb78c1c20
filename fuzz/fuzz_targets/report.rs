//! `report` for libFuzzer; what it does stands in `src/targets/report.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::report::run(octets));
