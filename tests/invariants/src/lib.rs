//! What must hold of the engine for any input at all, said once.
//!
//! Each function takes bytes as a fuzzer makes them up and panics where something does not hold.
//! The fuzz targets call them on ever new inputs; the engine's tests call them on the inputs that
//! are kept.

mod configuration;
mod decoder;
mod edge;
pub mod generate;
mod pair;
pub mod paths;

pub use self::configuration::configuration;
pub use self::decoder::review_decoder;
pub use self::edge::review;
pub use self::pair::pod_and_configuration;
