//! What is read from a cluster: declared runtimes, the configuration's ConfigMap, the node's
//! region.
//!
//! [`connect`] decides whether there is a cluster and creates the one client. [`lookups`] answers
//! the questions of [`engine::runtimes`] about a pod's owner, [`config_map`] and [`region`] give
//! [`crate::serve::follow`] what it offers to the store, and [`readiness`] holds back readiness
//! until the API server has answered once.
//!
//! All of it only reads, and keeps no object: there is no informer to warm up and none that could
//! lag, and the bytes held for each Sandbox, SandboxSet and pod are zero. Nothing here decides on a
//! pod. The API calls per pod:
//!
//! | the pod | GETs |
//! |---|---|
//! | of a Sandbox that exists: the usual one | 1 |
//! | of a Sandbox that the API server's memory does not have yet, or has under another uid | 2 |
//! | of a Sandbox that is gone, with the label of a SandboxSet | 2 and 1, or 2 and 2 where that is gone too |
//! | that names its runtimes in the annotation, or of another system | 0 |
//! | of a kind that is not installed | 0, except for one pod per second that looks again |
//!
//! What the service account needs:
//!
//! | rule | for |
//! |---|---|
//! | `get` on `sandboxes` and `sandboxsets` of `agents.kruise.io`, in every namespace with sandboxes | look-ups |
//! | `list` and `watch` on the one `configmaps` name in its namespace | `--config-map` |
//! | `list` on `pods` | `stale` and `check --live`, run by a person |
//! | `get` on `nodes` | the region, where `--region-id` does not say it |

mod api;
pub(crate) mod backoff;
pub mod config_map;
pub mod connect;
pub mod lookups;
mod objects;
pub mod pods;
pub mod readiness;
pub mod region;
mod settle;

pub use api::{ApiError, MalformedAnswer, Rule};
pub use connect::Access;
pub use lookups::Lookups;
pub use settle::settle;
