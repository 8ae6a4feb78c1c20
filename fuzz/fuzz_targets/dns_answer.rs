//! `dns_answer` for libFuzzer; what it does stands in `src/targets/dns_answer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::dns_answer::run(octets));
