#![no_main]
//! See `fuzz/README.md`; what has to hold is in `fuzz/src`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| sandbox_injector_fuzz::configuration(data));
