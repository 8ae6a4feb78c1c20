//! `command` for libFuzzer; what it does stands in `src/targets/command.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| ringmail_fuzz::targets::command::run(octets));
