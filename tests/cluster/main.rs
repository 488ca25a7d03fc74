//! What the injector asks of the API server: look-ups, the ConfigMap, the region, pods.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod api;
mod api_types;
mod config_map;
mod lookups;
mod region;
mod systems;
mod verbs;
