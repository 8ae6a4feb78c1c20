//! `imap_session` for libFuzzer; what it does stands in `src/targets/imap_session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::imap_session::run(octets));
