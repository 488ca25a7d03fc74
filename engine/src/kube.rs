//! What Kubernetes itself does and demands: normal forms, quantities, names, and hooks that run two
//! commands.

pub mod hook_chain;
pub mod names;
pub mod normalize;
pub mod quantity;
pub(crate) mod token_mount;
