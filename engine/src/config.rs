//! The injection configuration, compiled for use: what each runtime adds to a pod.
//!
//! Loading is all or nothing: the entries are parsed, the region is substituted, everything is
//! checked, and only a configuration without errors is compiled. The engine then emits the
//! configuration's own JSON; a table of the API's types serves to check it.

mod compile;
pub mod config_map;
pub mod document;
pub mod finding;
pub mod lint;
mod load;
pub mod pools;
pub mod region;
mod schema;
mod size;

use std::fmt;

use config_map::Entries;
use document::RuntimeDoc;
use finding::{Finding, Severity};
use pools::PoolRule;
use region::Region;
use serde_json::Value;

use crate::json_path::JsonPath;
use crate::kube::hook_chain::Chain;
use crate::patch::Fragment;

/// The runtimes that come first whenever they are asked for, in this order: others may rely on
/// them.
pub const FIRST_RUNTIMES: [&str; 2] = ["agent-runtime", "csi"];

/// A key of the ConfigMap that holds pool rules rather than a runtime.
pub const POOLS_KEY: &str = "pools";

/// Names that mean something else where runtimes are listed.
pub const RESERVED_NAMES: [&str; 3] = ["all", "none", POOLS_KEY];

/// A compiled configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    runtimes: Vec<Runtime>,
    pools: Vec<PoolRule>,
    warnings: Vec<Finding>,
}

/// One runtime: a named set of things to add to a pod.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The key of the configuration.
    pub name: String,
    /// The sha256 of the region-substituted JSON with sorted keys and no white space, in hex.
    pub digest: String,
    /// What goes to the main container.
    pub main: MainContainer,
    /// `csiSidecar` and then `initContainers`.
    pub init_containers: Vec<Container>,
    /// `containers`.
    pub containers: Vec<Container>,
    /// `volume`.
    pub volumes: Vec<Volume>,
    /// `labels`.
    pub labels: Vec<(String, String)>,
    /// `annotations`.
    pub annotations: Vec<(String, String)>,
    /// Why the runtime is privileged, a reason each; empty when it is not.
    pub privileged: Vec<String>,
    /// Mounts of volumes that this runtime does not define itself.
    pub borrowed_volumes: Vec<BorrowedVolume>,
}

/// The part of a runtime that completes the main container.
#[derive(Debug, Clone, Default)]
pub struct MainContainer {
    /// The container's name; `None` where the pod decides which one is main.
    pub name: Option<String>,
    /// Environment variables.
    pub env: Vec<Item>,
    /// Volume mounts, known by cleaned mount path.
    pub volume_mounts: Vec<Item>,
    /// `lifecycle.postStart`.
    pub post_start: Option<Hook>,
    /// `lifecycle.preStop`.
    pub pre_stop: Option<Hook>,
}

/// Something to add to a list of the pod.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is known by: a name, or a cleaned path.
    pub identity: String,
    /// The configuration's own JSON, compact.
    pub json: Fragment,
    /// Its normal form.
    pub normal: Option<Value>,
}

/// A lifecycle hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The configuration's own JSON, compact.
    pub json: Fragment,
    /// Its normal form.
    pub normal: Option<Value>,
    /// The command of an exec hook, and how to run it beside the pod's.
    pub exec: Option<(Vec<String>, Chain)>,
}

/// A container to add.
#[derive(Debug, Clone)]
pub struct Container {
    /// Name and JSON.
    pub item: Item,
    /// It is privileged, adds capabilities or mounts Bidirectional: nobody else may add to it.
    pub privileged: bool,
    /// It sets runAsUser or runAsNonRoot.
    pub sets_user: bool,
    /// It has a mount with `mountPropagation: Bidirectional`.
    pub bidirectional: bool,
    /// The volumes that it mounts.
    pub volumes: Vec<String>,
}

/// A volume to add.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Name and JSON.
    pub item: Item,
    /// Brought by a privileged runtime: the pod's must be exactly this one.
    pub must_match: bool,
    /// It must match and is not mounted into the main container: no container of the pod may mount
    /// it.
    pub exclusive: bool,
}

/// A mount whose volume must come from another runtime or from the pod.
#[derive(Debug, Clone)]
pub struct BorrowedVolume {
    /// The volume's name.
    pub volume: String,
    /// The place of the mount in the runtime.
    pub at: JsonPath,
    /// The mount is in a privileged container, which must not mount what the pod brought.
    pub privileged: bool,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Errors and warnings, in order of place.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        if let Some(first) = errors.next() {
            write!(f, "{first}")?;
        }
        match errors.count() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}
impl std::error::Error for Rejected {}

impl Config {
    /// Parses, checks and compiles the `entries`: the keys of the ConfigMap and their texts.
    ///
    /// All of it succeeds or nothing does. Warnings are kept with the configuration.
    pub fn load(entries: &Entries, region: Option<&Region>) -> Result<Self, Rejected> {
        let checked = lint::check(entries, region);
        if checked
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
        {
            return Err(Rejected {
                findings: checked.findings,
            });
        }
        let runtimes = checked.runtimes.iter();
        let runtimes = runtimes
            .map(|(name, value)| compile::runtime(name, RuntimeDoc::new(value)))
            .collect();
        Ok(Self {
            runtimes,
            pools: checked.pools,
            warnings: checked.findings,
        })
    }

    /// The runtimes, in the order of their keys.
    pub fn runtimes(&self) -> &[Runtime] {
        &self.runtimes
    }

    /// The runtime of that name.
    pub fn runtime(&self, name: &str) -> Option<&Runtime> {
        self.runtimes.iter().find(|runtime| runtime.name == name)
    }

    /// The pool rules, in the order in which they are asked.
    pub fn pools(&self) -> &[PoolRule] {
        &self.pools
    }

    /// What is risky in it, though it works.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

/// So many digits of a digest are shown.
const REVISION_DIGITS: usize = 12;

impl Runtime {
    /// The first 12 hex digits of the digest: how a revision is shown.
    pub fn revision(&self) -> &str {
        self.digest.get(..REVISION_DIGITS).unwrap_or(&self.digest)
    }
}
