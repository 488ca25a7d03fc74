//! The `sandbox-injector` binary.
fn main() {}
