//! The server over real sockets: HTTP, TLS, limits, drain, reloads, and whatever a hostile client
//! sends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod admission;
mod drain;
mod faults;
mod hostile;
mod http;
mod limits;
mod process;
mod serve;
mod tls_clients;
mod tls_reload;
