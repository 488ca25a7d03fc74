//! The webhook in service: the configuration in use, and the reviews that are answered with it.

pub mod store;
pub mod webhook;
