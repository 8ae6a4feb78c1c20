//! `pop3_session` for libFuzzer; what it does stands in `src/targets/pop3_session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::pop3_session::run(octets));
