//! sandbox-injector: storage and runtime sidecars for agent-sandbox pods.

pub mod certs;
pub mod metrics;
pub mod server;
pub mod telemetry;
pub mod watch;
