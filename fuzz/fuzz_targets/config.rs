//! `config` for libFuzzer; what it does stands in `src/targets/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::config::run(octets));
