//! `text` for libFuzzer; what it does stands in `src/targets/text.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::text::run(octets));
