//! `server_session` for libFuzzer; what it does stands in `src/targets/server_session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::server_session::run(octets));
