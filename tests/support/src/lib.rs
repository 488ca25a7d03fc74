//! What the tests over real sockets share: a server to test, a client like the API server,
//! certificates, a writer like the kubelet, a reader of metrics.

pub mod apiserver;
pub mod binary;
pub mod certificates;
pub mod client;
pub mod kubelet;
pub mod metrics;
pub mod process;
pub mod raw;
pub mod server;
pub mod service;

use std::ffi::OsString;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Far more than anything that is waited for takes, even on a busy machine.
pub const LONG: Duration = Duration::from_secs(20);

/// Asks until there is an answer, and fails with `what` when that takes too long.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The path of the program, which Cargo tells every test of it.
pub fn program() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_sandbox-injector")
        .expect("run by Cargo, which names the program")
}
