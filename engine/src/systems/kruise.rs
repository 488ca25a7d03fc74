//! OpenKruise agents, ACS: <https://github.com/openkruise/agents>.
//!
//! A SandboxSet creates Sandboxes, and a Sandbox creates one pod of its own name, of which it is
//! the controlling owner. The Sandbox's `spec.runtimes` says what the pod gets. Kinds, labels and
//! accounts are those of the controllers in `pkg/controller`.

/// The API group of its kinds.
pub const GROUP: &str = "agents.kruise.io";

/// The version that its controllers write today; others are discovered.
pub const VERSION: &str = "v1alpha1";

/// Names the SandboxSet that a pod was made for.
pub const POOL_LABEL: &str = "agents.kruise.io/sandbox-pool";
/// Names the template that a pod was made of; for a SandboxSet's inline template, the set.
pub const TEMPLATE_LABEL: &str = "agents.kruise.io/sandbox-template";
/// Whether somebody has taken the sandbox out of its pool.
pub const CLAIMED_LABEL: &str = "agents.kruise.io/sandbox-claimed";
/// Label and annotation of every pod that a Sandbox creates, with the value [`CREATED_BY_SANDBOX`].
pub const CREATED_BY: &str = "agents.kruise.io/created-by";
/// The value of [`CREATED_BY`] on pods.
pub const CREATED_BY_SANDBOX: &str = "sandbox";

/// The annotation by which a sandbox requests several volumes at run time: a JSON array.
pub const CSI_VOLUME_CONFIG: &str = "e2b.agents.kruise.io/csi-volume-config";
/// The annotation by which it requests a single one: the PersistentVolume's name.
pub const CSI_VOLUME_NAME: &str = "e2b.agents.kruise.io/csi-volume-name";
/// Where that one is mounted.
pub const CSI_MOUNT_POINT: &str = "e2b.agents.kruise.io/csi-mount-point";
/// What of that one is mounted.
pub const CSI_SUBPATH: &str = "e2b.agents.kruise.io/csi-subpath";

/// ACK's controller, and that of the kustomize installation.
pub const CONTROLLER_ACCOUNTS: [&str; 2] = [
    "system:serviceaccount:sandbox-system:ack-agent-sandbox-controller",
    "system:serviceaccount:sandbox-system:sandbox-controller-manager",
];

/// The kinds of [`GROUP`] that have to do with pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KruiseKind {
    /// One sandbox; it declares the runtimes of its pod.
    Sandbox,
    /// A pool of them; it declares the runtimes of its Sandboxes.
    SandboxSet,
    /// A pod template that the other two may refer to.
    SandboxTemplate,
    /// A request for a Sandbox out of a pool.
    SandboxClaim,
}

impl KruiseKind {
    const ALL: [Self; 4] = [
        Self::Sandbox,
        Self::SandboxSet,
        Self::SandboxTemplate,
        Self::SandboxClaim,
    ];

    /// The kind of that name.
    pub fn named(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }

    /// The kind of that plural.
    pub fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.plural() == plural)
    }

    /// The kind as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            KruiseKind::Sandbox => "Sandbox",
            KruiseKind::SandboxSet => "SandboxSet",
            KruiseKind::SandboxTemplate => "SandboxTemplate",
            KruiseKind::SandboxClaim => "SandboxClaim",
        }
    }

    /// Its name in paths and RBAC rules.
    pub fn plural(self) -> &'static str {
        match self {
            KruiseKind::Sandbox => "sandboxes",
            KruiseKind::SandboxSet => "sandboxsets",
            KruiseKind::SandboxTemplate => "sandboxtemplates",
            KruiseKind::SandboxClaim => "sandboxclaims",
        }
    }
}

/// Whether a label or annotation of a SandboxSet's inline template reaches the pod: the controller
/// removes those under its own prefix, but for the ones about cleaning up
/// (`clearAndInitInnerKeys`).
pub(crate) fn template_key_reaches_pod(key: &str) -> bool {
    match key
        .strip_prefix(GROUP)
        .and_then(|key| key.strip_prefix('/'))
    {
        Some(name) => name.starts_with("cleanup-"),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_name_and_by_its_plural() {
        for kind in KruiseKind::ALL {
            assert_eq!(KruiseKind::named(kind.as_str()), Some(kind));
            assert_eq!(KruiseKind::of_plural(kind.plural()), Some(kind));
        }
        assert_eq!(KruiseKind::named("sandbox"), None);
        assert_eq!(KruiseKind::of_plural("Sandbox"), None);
    }

    #[test]
    fn a_template_keeps_its_own_keys_and_the_ones_about_cleaning_up() {
        for (key, reaches) in [
            ("app", true),
            ("agents.kruise.io/cleanup-policy", true),
            ("agents.kruise.io/sandbox-pool", false),
            ("agents.kruise.io.example/x", true),
            ("e2b.agents.kruise.io/csi-subpath", true),
        ] {
            assert_eq!(template_key_reaches_pod(key), reaches, "{key}");
        }
    }
}
