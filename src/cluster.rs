//! What is asked of a cluster: declared runtimes, the configuration's ConfigMap, the node's region.
//!
//! [`connect`] decides whether there is a cluster to ask and makes the one client. [`lookups`] answers the questions
//! of [`crate::runtimes`] about a pod's owner, [`config_map`] and [`region`] feed [`crate::config::store`], and
//! [`reach`] holds back readiness until the API server has answered once.
//!
//! All of it only reads, and keeps no object: a pod whose owner is a Sandbox costs one GET, and no bytes stay
//! behind. There is no informer to warm up and none that could be behind. Nothing here decides on a pod.
//!
//! What the service account needs:
//!
//! | rule | for |
//! |---|---|
//! | `get` on `sandboxes` and `sandboxsets` of `agents.kruise.io`, in every namespace with sandboxes | look-ups |
//! | `list` and `watch` on the one `configmaps` name in its namespace | `--config-map` |
//! | `get` on `nodes` | the region, where `--region-id` does not say it |

mod ask;
mod backoff;
pub mod config_map;
pub mod connect;
pub mod lookups;
mod objects;
pub mod reach;
pub mod region;

pub use connect::Access;
pub use lookups::Lookups;
