//! Which pods are sandbox pods, and who decides which runtimes they get.
//!
//! The rules are asked in order and the first that answers decides. Whatever has to be asked of a cluster goes
//! through the small [`Lookup`] trait, so that the rules are the same for the webhook, the dry run and tests.

mod pools;

use std::fmt;
use std::str::FromStr;

use tokio::time::Instant;

use crate::config::{Config, FIRST_RUNTIMES, Runtime};
use crate::pod::{Pod, ShapeError};
use crate::printable::{NAME, clipped};

/// The annotation by which a pod says which runtimes it gets.
pub const RUNTIMES_ANNOTATION: &str = "sandbox-injector.io/runtimes";

/// The label of OpenKruise's warm pools; its value names a SandboxSet.
pub const KRUISE_POOL_LABEL: &str = "agents.kruise.io/sandbox-pool";
/// The label of every OpenKruise sandbox pod, where its value is `sandbox`.
pub const KRUISE_CREATED_BY_LABEL: &str = "agents.kruise.io/created-by";
/// The group of OpenKruise's sandbox kinds.
pub const KRUISE_GROUP: &str = "agents.kruise.io";

/// A sandbox system, known by a label of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// OpenKruise agents, ACS.
    OpenKruise,
    /// kubernetes-sigs/agent-sandbox.
    AgentSandbox,
    /// OpenSandbox.
    OpenSandbox,
    /// A `--pod-label`.
    Labelled,
}

/// The labels that make a pod a sandbox pod; `None` stands for any value.
pub const SYSTEM_LABELS: [(System, &str, Option<&str>); 6] = [
    (System::OpenKruise, KRUISE_POOL_LABEL, None),
    (System::OpenKruise, KRUISE_CREATED_BY_LABEL, Some("sandbox")),
    (System::AgentSandbox, "agents.x-k8s.io/sandbox-name-hash", None),
    (System::AgentSandbox, "agents.x-k8s.io/pool", None),
    (System::OpenSandbox, "sandbox.opensandbox.io/pool-name", None),
    (System::OpenSandbox, "batch-sandbox.sandbox.opensandbox.io/name", None),
];

/// A label that an operator chose to mean "sandbox pod".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLabel {
    key: String,
    value: Option<String>,
}

impl FromStr for PodLabel {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() || key.chars().any(char::is_whitespace) {
            return Err("write KEY or KEY=VALUE, such as team/sandbox=true".to_owned());
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

impl fmt::Display for PodLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// `--default-runtimes`: a list, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRuntimes(pub Vec<String>);

impl FromStr for DefaultRuntimes {
    type Err = NamesError;
    fn from_str(text: &str) -> Result<Self, NamesError> {
        names(text).map(|names| Self(names.unwrap_or_default()))
    }
}

/// The operator's part of the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Runtimes that replace every other rule: the dry run's `--runtimes`.
    pub forced: Option<DefaultRuntimes>,
    /// `--default-runtimes`; `None` leaves it to what the configuration has.
    pub default_runtimes: Option<DefaultRuntimes>,
    /// `--pod-label`.
    pub pod_labels: Vec<PodLabel>,
}

/// Which rule answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// `--runtimes` of the dry run.
    Flag,
    /// The pod's annotation.
    Annotation,
    /// The owning Sandbox.
    Sandbox,
    /// The SandboxSet that the pool label names.
    SandboxSet,
    /// A pool rule of the configuration.
    PoolRule,
    /// `--default-runtimes`, or its default.
    Default,
}

impl DecidedBy {
    /// The word for it in every report.
    pub fn as_str(self) -> &'static str {
        match self {
            DecidedBy::Flag => "flag",
            DecidedBy::Annotation => "annotation",
            DecidedBy::Sandbox => "sandbox",
            DecidedBy::SandboxSet => "sandboxset",
            DecidedBy::PoolRule => "pool-rule",
            DecidedBy::Default => "default",
        }
    }
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the rules say of a pod.
#[derive(Debug)]
pub enum Selection<'c> {
    /// It carries none of the labels.
    NotSandbox,
    /// A rule answered; `runtimes` are in the order of injection, and may be none.
    Decided {
        /// Which rule.
        by: DecidedBy,
        /// What the pod gets.
        runtimes: Vec<&'c Runtime>,
    },
}

/// Why the rules cannot say it.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// The pod is not shaped like one.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An invalid list of names.
    #[error("metadata.annotations[{RUNTIMES_ANNOTATION}]: {0}")]
    Names(#[from] NamesError),
    /// A name that the configuration does not have.
    #[error("runtime {name:?} (requested by {by}) is not configured; configured runtimes: {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Who asked for it.
        by: DecidedBy,
        /// The runtimes of the configuration.
        known: Vec<String>,
    },
    /// The cluster could not be asked.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// An invalid list of runtime names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// `none` and something else.
    #[error("\"none\" opts out and cannot be combined with other names; remove one or the other")]
    NoneWithOthers,
    /// `all` is reserved.
    #[error("\"all\" is not a runtime; list the runtimes by name")]
    All,
    /// More names than any pod could want.
    #[error("lists more than {MAX_NAMES} runtimes")]
    TooMany,
}

/// A look-up that did not answer. It is never "no runtimes".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// A transient error; the caller may retry in a second.
    #[error("{0}")]
    Passing(String),
    /// A permanent error, until somebody fixes its cause.
    #[error("{0}")]
    Lasting(String),
}

/// Something to ask of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// The runtimes of the Sandbox that owns the pod.
    Sandbox {
        /// The pod's namespace.
        namespace: &'a str,
        /// From the ownerReference.
        name: &'a str,
        /// From the ownerReference; another uid is another object. Empty where the pod was worked out offline: then no
        /// object of a cluster is meant, and only who knows the manifest can answer.
        uid: &'a str,
    },
    /// The runtimes of the SandboxSet that a pool label names.
    SandboxSet {
        /// The pod's namespace.
        namespace: &'a str,
        /// The label's value.
        name: &'a str,
    },
}

/// Where declared runtimes are looked up.
pub trait Lookup: Send + Sync {
    /// Whether look-ups are on at all; decides what the default is.
    fn is_on(&self) -> bool;

    /// What the object that made the pod says, where that is known without asking: offline, from its manifest.
    fn known(&self) -> Option<(DecidedBy, Vec<String>)> {
        None
    }

    /// The names in the object's `spec.runtimes`; `None` when there is no such object.
    fn declared(
        &self,
        question: Question<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Vec<String>>, LookupError>> + Send;
}

/// No look-ups: the annotation and the default decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookups;

impl Lookup for NoLookups {
    fn is_on(&self) -> bool {
        false
    }
    async fn declared(&self, _: Question<'_>, _: Instant) -> Result<Option<Vec<String>>, LookupError> {
        Ok(None)
    }
}

/// Look-ups that may be off.
impl<L: Lookup> Lookup for Option<L> {
    fn is_on(&self) -> bool {
        self.as_ref().is_some_and(Lookup::is_on)
    }
    fn known(&self) -> Option<(DecidedBy, Vec<String>)> {
        self.as_ref().and_then(Lookup::known)
    }
    async fn declared(
        &self,
        question: Question<'_>,
        deadline: Instant,
    ) -> Result<Option<Vec<String>>, LookupError> {
        match self {
            Some(lookups) => lookups.declared(question, deadline).await,
            None => Ok(None),
        }
    }
}

/// So many names a list may have; each costs more here than in the text.
const MAX_NAMES: usize = 256;

/// Reads a comma-separated list: `None` when it is empty, no names when it says `none`.
pub fn names(text: &str) -> Result<Option<Vec<String>>, NamesError> {
    let listed = || text.split(',').map(str::trim).filter(|name| !name.is_empty());
    if listed().nth(MAX_NAMES).is_some() {
        return Err(NamesError::TooMany);
    }
    let names: Vec<String> = listed().map(str::to_owned).collect();
    if names.iter().any(|name| name == "all") {
        return Err(NamesError::All);
    }
    match (names.iter().any(|name| name == "none"), names.len()) {
        (_, 0) => Ok(None),
        (true, 1) => Ok(Some(Vec::new())),
        (true, _) => Err(NamesError::NoneWithOthers),
        (false, _) => Ok(Some(names)),
    }
}

impl Rules {
    /// The system that the pod belongs to by its labels.
    pub fn system(&self, pod: &Pod<'_>) -> Result<Option<System>, ShapeError> {
        for (system, key, value) in SYSTEM_LABELS {
            if has_label(pod, key, value)? {
                return Ok(Some(system));
            }
        }
        for label in &self.pod_labels {
            if has_label(pod, &label.key, label.value.as_deref())? {
                return Ok(Some(System::Labelled));
            }
        }
        Ok(None)
    }

    /// Whether an object that cannot be read as a pod carries one of the labels, as far as can be told.
    pub fn may_be_sandbox(&self, object: &str) -> bool {
        /// The labels alone: the rest may be of any shape and size.
        #[derive(serde::Deserialize)]
        struct Labelled {
            #[serde(default)]
            metadata: Labels,
        }
        #[derive(Default, serde::Deserialize)]
        struct Labels {
            #[serde(default)]
            labels: serde_json::Value,
        }
        let Ok(Labelled { metadata: Labels { labels } }) = serde_json::from_str(object) else { return true };
        let Some(labels) = labels.as_object() else { return !labels.is_null() };
        let matches = |key: &str, wanted: Option<&str>| {
            labels.get(key).is_some_and(|found| {
                wanted.is_none_or(|wanted| found.as_str().is_none_or(|found| found == wanted))
            })
        };
        SYSTEM_LABELS.iter().any(|(_, key, value)| matches(key, *value))
            || self.pod_labels.iter().any(|label| matches(&label.key, label.value.as_deref()))
    }

    /// Asks the rules in order. `namespace` is the review's, as the pod's own may be missing.
    pub async fn select<'c>(
        &self,
        pod: &Pod<'_>,
        namespace: &str,
        config: &'c Config,
        lookups: &impl Lookup,
        deadline: Instant,
    ) -> Result<Selection<'c>, SelectionError> {
        let Some(system) = self.system(pod)? else { return Ok(Selection::NotSandbox) };
        let (by, names) = self.names(pod, system, namespace, config, lookups, deadline).await?;
        Ok(Selection::Decided { by, runtimes: resolve(&names, by, config)? })
    }

    async fn names(
        &self,
        pod: &Pod<'_>,
        system: System,
        namespace: &str,
        config: &Config,
        lookups: &impl Lookup,
        deadline: Instant,
    ) -> Result<(DecidedBy, Vec<String>), SelectionError> {
        if let Some(DefaultRuntimes(names)) = &self.forced {
            return Ok((DecidedBy::Flag, names.clone()));
        }
        if let Some(text) = pod.annotation(RUNTIMES_ANNOTATION)?
            && let Some(names) = names(&text)?
        {
            return Ok((DecidedBy::Annotation, names));
        }
        if let Some(known) = lookups.known() {
            return Ok(known);
        }
        let pool = pod.label(KRUISE_POOL_LABEL)?;
        if lookups.is_on() {
            let owner = pod.controller().filter(|owner| {
                &*owner.kind == "Sandbox" && owner.api_version.split('/').next() == Some(KRUISE_GROUP)
            });
            if let Some(owner) = owner {
                let uid = owner.uid.as_deref().unwrap_or_default();
                let question = Question::Sandbox { namespace, name: &owner.name, uid };
                if let Some(names) = lookups.declared(question, deadline).await? {
                    return Ok((DecidedBy::Sandbox, names));
                }
            }
            if let Some(pool) = pool.as_deref().filter(|pool| !pool.is_empty()) {
                let question = Question::SandboxSet { namespace, name: pool };
                if let Some(names) = lookups.declared(question, deadline).await? {
                    return Ok((DecidedBy::SandboxSet, names));
                }
            }
        }
        if let Some(rule) = pools::find(config.pools(), pod, system, namespace)? {
            return Ok((DecidedBy::PoolRule, rule.runtimes.clone()));
        }
        let labelled = self.has_pod_label(pod)?;
        Ok((DecidedBy::Default, self.default_names(pool.is_some() || labelled, config, lookups.is_on())))
    }

    fn has_pod_label(&self, pod: &Pod<'_>) -> Result<bool, ShapeError> {
        for label in &self.pod_labels {
            if has_label(pod, &label.key, label.value.as_deref())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn default_names(&self, applies: bool, config: &Config, lookups_on: bool) -> Vec<String> {
        match &self.default_runtimes {
            _ if !applies => Vec::new(),
            Some(DefaultRuntimes(names)) => names.clone(),
            // With look-ups a pod whose owner says nothing gets nothing, or a forged label would pay off.
            None if lookups_on => Vec::new(),
            None => {
                let has = |name: &&str| config.runtime(name).is_some();
                FIRST_RUNTIMES.into_iter().filter(has).map(str::to_owned).collect()
            }
        }
    }
}

fn has_label(pod: &Pod<'_>, key: &str, value: Option<&str>) -> Result<bool, ShapeError> {
    let present = pod.metadata.labels.as_ref().is_some_and(|labels| labels.get(key).is_some());
    match (present, value) {
        (true, Some(value)) => Ok(pod.label(key)?.is_some_and(|found| *found == *value)),
        (present, _) => Ok(present),
    }
}

/// The runtimes of those names in the order of injection, each once.
fn resolve<'c>(
    names: &[String],
    by: DecidedBy,
    config: &'c Config,
) -> Result<Vec<&'c Runtime>, SelectionError> {
    let first = FIRST_RUNTIMES.into_iter().filter(|first| names.iter().any(|name| name == first));
    let mut runtimes: Vec<&'c Runtime> = Vec::with_capacity(names.len());
    for name in first.chain(names.iter().map(String::as_str)) {
        if runtimes.iter().any(|runtime| runtime.name == name) {
            continue;
        }
        let runtime = config.runtime(name).ok_or_else(|| SelectionError::Unknown {
            name: clipped(name, NAME).to_owned(),
            by,
            known: config.runtimes().iter().map(|runtime| runtime.name.clone()).collect(),
        })?;
        runtimes.push(runtime);
    }
    Ok(runtimes)
}
