//! `client_session` for libFuzzer; what it does stands in `src/targets/client_session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::client_session::run(octets));
