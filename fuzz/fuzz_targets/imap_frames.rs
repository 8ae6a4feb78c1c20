//! `imap_frames` for libFuzzer; what it does stands in `src/targets/imap_frames.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::imap_frames::run(octets));
