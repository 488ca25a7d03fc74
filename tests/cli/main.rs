//! The verbs of the command line, and the manifests and examples that are written for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed test panics, and a skipped one says so"
)]

mod certs;
mod check;
mod documents;
mod examples;
mod explain;
mod manifests;
mod stale;
mod verbs;
