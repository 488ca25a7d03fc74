//! What the engine decides, without a socket: golden cases, properties, hooks that run, findings,
//! validation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod budget;
mod findings;
mod golden;
#[cfg(unix)]
mod hooks;
mod oracles;
mod policy;
mod properties;
mod replay;
mod repository;
mod validate;
mod workload;
