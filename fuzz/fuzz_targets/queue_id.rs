//! `queue_id` for libFuzzer; what it does stands in `src/targets/queue_id.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::queue_id::run(octets));
