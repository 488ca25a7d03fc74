//! The engine of sandbox-injector: what a pod gets, decided without touching the world.
//!
//! Pure: no I/O, no async, no clock, no globals. A review and a configuration go in, a verdict comes out, or the
//! questions that somebody who can reach a cluster has to ask first. How much work a decision may take is a
//! [`Budget`](budget::Budget) that the caller gives.

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
