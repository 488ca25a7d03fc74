//! What the tests of injection share: asking as the API server asks, and applying what comes back.

pub(crate) mod apiserver;
pub(crate) mod model;
pub(crate) mod oracle;
pub(crate) mod same;
pub(crate) mod webhook;
