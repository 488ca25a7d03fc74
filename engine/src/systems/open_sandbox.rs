//! OpenSandbox: <https://github.com/opensandbox-group/OpenSandbox>.
//!
//! A Pool's pods have `generateName` only and carry the Pool's name. Those of a BatchSandbox with
//! its own template are named `<name>-<index>` and carry two labels that say so, but no pool's. Its
//! server copies the metadata of requests into labels of pods, never into annotations.

/// The API group of its kinds.
pub const GROUP: &str = "sandbox.opensandbox.io";

/// Names the Pool that a pod was made for.
pub const POOL_LABEL: &str = "sandbox.opensandbox.io/pool-name";
/// Names the BatchSandbox that a pod was made for.
pub const BATCH_SANDBOX_LABEL: &str = "batch-sandbox.sandbox.opensandbox.io/name";
/// Which of the BatchSandbox's pods it is.
pub const POD_INDEX_LABEL: &str = "batch-sandbox.sandbox.opensandbox.io/pod-index";

/// The controller's account.
pub const CONTROLLER_ACCOUNTS: [&str; 1] =
    ["system:serviceaccount:opensandbox-system:opensandbox-controller-manager"];

/// The kinds of [`GROUP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenSandboxKind {
    /// A pool of warm pods.
    Pool,
    /// Sandboxes, from a pool or from a template of their own.
    BatchSandbox,
}

impl OpenSandboxKind {
    /// The kind of that name.
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "Pool" => Some(Self::Pool),
            "BatchSandbox" => Some(Self::BatchSandbox),
            _ => None,
        }
    }
}
