//! What must hold for any input at all, said once.
//!
//! Each function takes bytes as a fuzzer makes them up and panics where something does not hold. The fuzz targets call
//! them on ever new inputs; `tests/fuzz_replay.rs` includes this file and calls them on the inputs that are kept, so it
//! names nothing by `crate`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how what does not hold is said"
)]
#![allow(unreachable_pub, reason = "also a module of a test binary, which alone reaches it")]

mod configuration;
mod decoder;
mod edge;
mod generate;
mod pair;

pub use self::configuration::configuration;
pub use self::decoder::review_decoder;
pub use self::edge::review;
pub use self::pair::pod_and_configuration;
