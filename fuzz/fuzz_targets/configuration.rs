#![no_main]
//! See `fuzz/README.md`; the invariants are in `tests/invariants`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::configuration(data));
