//! The engine of sandbox-injector: what a pod gets, decided without touching the world.
//!
//! Pure: no I/O, no async, no clock, no globals. A review and a configuration go in; a decision
//! comes out, or the questions that a caller who can reach a cluster has to ask first. How much
//! work a decision may take is a [`Budget`] that the caller gives.
//!
//! # From a review to a patch
//!
//! ```text
//!  the entries of the ConfigMap          the body of a review
//!            │                                     │
//!   config::load     read each, and       review::decode        JSON to the borrowed view of a pod
//!            │       put the region in             │
//!   config::lint     check what is read   runtimes::select      which rule decides, on which runtimes
//!            │                                     │    ├─────▶ Question, to the caller that asks a cluster
//!   config::compile  encode every item             │    ◀────── Answer, and select once more
//!            │                                     │
//!            └──────────── Config ──────▶ runtimes::privileged  may this pod have them
//!                                                  │
//!                                         inject   context ─▶ metadata ─▶ containers ─▶ volumes ─▶
//!                                                  │    mains (env, mounts, hooks) ─▶ guard ─▶ Plan
//!                                                  │
//!                                         review::respond       patch::write of the plan's operations
//!                                                  │
//!                                         the body of the response
//! ```
//!
//! A pod's `env` becomes a patch in `inject/mains.rs`, which compares every wanted variable with
//! the pod's by `inject/reconcile.rs` and leaves the rest to [`patch`]. `review::decide` walks the
//! right-hand side from `select` to the plan.
//!
//! # Who imports whom
//!
//! Imports run downwards.
//!
//! | floor | modules |
//! |---|---|
//! | 5 | [`workload`]: the pods that a manifest stands for, for decisions offline |
//! | 4 | [`review`]: decode, decide, respond; and validate, for what is stored |
//! | 3 | [`runtimes`]: who gets what; [`inject`]: what that changes |
//! | 2 | [`config`]: the runtimes, checked and compiled |
//! | 1 | [`kube`]: the API's defaults, quantities and names; [`patch`]: operations and their bytes |
//! | 0 | [`pod`]: the borrowed view; [`place`]: places in a pod; [`json_path`]: places in a document; `json_text`: strings as JSON; [`systems`]: what is known of each sandbox system; [`yaml`], [`text`], [`pattern`], [`annotations`], [`budget`] |

pub mod annotations;
pub mod budget;
pub mod config;
pub mod inject;
pub mod json_path;
mod json_text;
pub mod kube;
pub mod patch;
pub mod pattern;
pub mod place;
pub mod pod;
pub mod review;
pub mod runtimes;
pub mod systems;
pub mod text;
pub mod workload;
pub mod yaml;

pub use budget::Budget;
pub use config::Config;
pub use review::decide::{Decided, Progress, Settings, Verdict, decide};
pub use review::decode::{MalformedReview, PodReview, decode};
pub use runtimes::{Answer, Candidate, Question};
