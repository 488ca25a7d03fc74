//! sandbox-injector: storage and runtime sidecars for agent-sandbox pods.

pub mod certs;
pub mod chain;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod duration;
pub mod inject;
pub mod metrics;
pub mod normal;
pub mod patch;
pub mod pattern;
pub mod pod;
pub mod policy;
pub mod quantity;
pub mod review;
pub mod runtimes;
pub mod server;
pub mod telemetry;
pub mod watch;
pub mod webhook;
pub mod workload;
pub mod yaml;
