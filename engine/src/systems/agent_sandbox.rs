//! agent-sandbox of kubernetes-sigs: <https://github.com/kubernetes-sigs/agent-sandbox>.
//!
//! A Sandbox creates one pod of its own name. Its pods carry the [hashes](name_hash) of names,
//! never the names: that of the Sandbox, and where a SandboxWarmPool made the Sandbox those of the
//! pool and its SandboxTemplate. Old releases made warm pods without a Sandbox, with the pool's
//! hash, the same one, in [`OLD_POOL_LABEL`]. The pod of a claim that found no warm one carries the
//! template's label only.

/// The API group of the Sandbox.
pub const GROUP: &str = "agents.x-k8s.io";
/// The API group of templates, warm pools and claims.
pub const EXTENSIONS_GROUP: &str = "extensions.agents.x-k8s.io";

/// The hash of the Sandbox's name; on every pod.
pub const NAME_HASH_LABEL: &str = "agents.x-k8s.io/sandbox-name-hash";
/// The hash of the SandboxWarmPool's name.
pub const POOL_LABEL: &str = "agents.x-k8s.io/warm-pool-sandbox";
/// The hash of the SandboxWarmPool's name on warm pods of releases before v0.4.
pub const OLD_POOL_LABEL: &str = "agents.x-k8s.io/pool";
/// The hash of the SandboxTemplate's name.
pub const TEMPLATE_LABEL: &str = "agents.x-k8s.io/sandbox-template-ref-hash";
/// The uid of the SandboxClaim that made the Sandbox.
pub const CLAIM_UID_LABEL: &str = "agents.x-k8s.io/claim-uid";
/// Which client made the Sandbox; on pods one of [`CREATED_BY_VALUES`], or `unknown`.
pub const CREATED_BY_LABEL: &str = "agents.x-k8s.io/created-by";
/// The values of [`CREATED_BY_LABEL`] that the controller copies to pods as they are.
pub const CREATED_BY_VALUES: [&str; 3] = ["go-client", "python-client", "controller"];
/// The annotation of pods that lists the labels of their template.
pub const PROPAGATED_LABELS: &str = "agents.x-k8s.io/propagated-labels";
/// The annotation of pods that lists the annotations of their template.
pub const PROPAGATED_ANNOTATIONS: &str = "agents.x-k8s.io/propagated-annotations";

/// The controller's account, in the kustomize installation and in the chart.
pub const CONTROLLER_ACCOUNTS: [&str; 1] =
    ["system:serviceaccount:agent-sandbox-system:agent-sandbox-controller"];

/// The kinds of [`GROUP`] and [`EXTENSIONS_GROUP`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentSandboxKind {
    /// One sandbox.
    Sandbox,
    /// What sandboxes are made of.
    SandboxTemplate,
    /// A pool of sandboxes.
    SandboxWarmPool,
    /// A request for a sandbox.
    SandboxClaim,
}

impl AgentSandboxKind {
    /// The kind of that name.
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "Sandbox" => Some(Self::Sandbox),
            "SandboxTemplate" => Some(Self::SandboxTemplate),
            "SandboxWarmPool" => Some(Self::SandboxWarmPool),
            "SandboxClaim" => Some(Self::SandboxClaim),
            _ => None,
        }
    }
}

/// The value that labels carry for a name: its FNV-1a 32-bit hash in 8 hexadecimal digits.
///
/// ```
/// assert_eq!(engine::systems::agent_sandbox::name_hash("sandbox-example"), "8302e04b");
/// ```
pub fn name_hash(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}")
}

/// Whether a label or annotation of a pod template reaches the pod: the controller removes those
/// under its own prefixes.
pub(crate) fn template_key_reaches_pod(key: &str) -> bool {
    !matches!(key.split_once('/'), Some((GROUP | EXTENSIONS_GROUP, _)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sandbox-example", "8302e04b")]
    #[case("python-pool-x7k2m", "60d75e6a")]
    #[case("python-template", "cede6d20")]
    #[case("python-pool", "ed572cc4")]
    #[case("my-stateful-sandbox", "afb8e8fc")]
    #[case("stateful-sandbox-template", "40b016f4")]
    #[case("", "811c9dc5")]
    fn the_name_hash_is_the_controllers(#[case] name: &str, #[case] hash: &str) {
        assert_eq!(name_hash(name), hash);
    }
}
