#![no_main]

#[path = "../holding.rs"]
mod holding;

libfuzzer_sys::fuzz_target!(|input: &[u8]| holding::hold(input));
