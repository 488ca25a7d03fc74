//! What the tests of injection share: asking as the API server asks, and applying what comes back.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unreachable_pub, reason = "a module of a test binary is reached by that binary alone")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say so"
)]

pub mod apiserver;
pub mod generate;
pub mod model;
pub mod oracle;
pub mod paths;
pub mod same;
pub mod webhook;
