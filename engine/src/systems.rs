//! The sandbox systems: what is known about each stands in its own file here, and nowhere else.
//!
//! A system's file has its API groups and kinds, the labels that make a pod one of its sandbox
//! pods, the labels that name the pool and the template of a pod, the accounts of its controller,
//! and what that controller writes on pods. A label that a release renames is one edit.
//!
//! Facts alone: nothing here reads a pod or a manifest.

pub mod agent_sandbox;
pub mod kruise;
pub mod open_sandbox;

/// A sandbox system, known by a label of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// OpenKruise agents, ACS.
    OpenKruise,
    /// kubernetes-sigs/agent-sandbox.
    AgentSandbox,
    /// OpenSandbox.
    OpenSandbox,
    /// Any other: the operator named a label of its pods by `--pod-label`.
    Other,
}

/// A label that makes a pod a sandbox pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLabel {
    /// The system of such a pod.
    pub system: System,
    /// The label's key.
    pub key: &'static str,
    /// The value that it must have; `None` stands for any value.
    pub value: Option<&'static str>,
}

/// The labels that make a pod a sandbox pod, in the order in which they are looked for.
pub const SANDBOX_LABELS: [SandboxLabel; 6] = [
    SandboxLabel {
        system: System::OpenKruise,
        key: kruise::POOL_LABEL,
        value: None,
    },
    SandboxLabel {
        system: System::OpenKruise,
        key: kruise::CREATED_BY,
        value: Some(kruise::CREATED_BY_SANDBOX),
    },
    SandboxLabel {
        system: System::AgentSandbox,
        key: agent_sandbox::NAME_HASH_LABEL,
        value: None,
    },
    SandboxLabel {
        system: System::AgentSandbox,
        key: agent_sandbox::OLD_POOL_LABEL,
        value: None,
    },
    SandboxLabel {
        system: System::OpenSandbox,
        key: open_sandbox::POOL_LABEL,
        value: None,
    },
    SandboxLabel {
        system: System::OpenSandbox,
        key: open_sandbox::BATCH_SANDBOX_LABEL,
        value: None,
    },
];

impl System {
    /// The labels of which one names the pod's pool, or holds the hash of its name.
    pub fn pool_labels(self) -> &'static [&'static str] {
        match self {
            System::OpenKruise => &[kruise::POOL_LABEL],
            System::AgentSandbox => &[agent_sandbox::POOL_LABEL, agent_sandbox::OLD_POOL_LABEL],
            System::OpenSandbox => &[open_sandbox::POOL_LABEL],
            System::Other => &[],
        }
    }

    /// The labels of which one names the pod's template, or holds the hash of its name.
    pub fn template_labels(self) -> &'static [&'static str] {
        match self {
            System::OpenKruise => &[kruise::TEMPLATE_LABEL],
            System::AgentSandbox => &[agent_sandbox::TEMPLATE_LABEL],
            System::OpenSandbox | System::Other => &[],
        }
    }

    /// The service accounts of its controllers as they are usually installed, as user names.
    pub fn controller_accounts(self) -> &'static [&'static str] {
        match self {
            System::OpenKruise => &kruise::CONTROLLER_ACCOUNTS,
            System::AgentSandbox => &agent_sandbox::CONTROLLER_ACCOUNTS,
            System::OpenSandbox => &open_sandbox::CONTROLLER_ACCOUNTS,
            System::Other => &[],
        }
    }
}
