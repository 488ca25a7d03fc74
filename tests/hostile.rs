//! Bad input over real TLS: whatever is sent, it is answered or closed as the tables say, nothing panics, and the next
//! good review is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "hostile/body.rs"]
mod body;
#[path = "hostile/exchange.rs"]
mod exchange;
#[path = "hostile/framing.rs"]
mod framing;
#[path = "hostile/heads.rs"]
mod heads;
#[path = "hostile/json.rs"]
mod json;
mod support;
#[path = "hostile/tls.rs"]
mod tls;
#[path = "hostile/verdict.rs"]
mod verdict;
