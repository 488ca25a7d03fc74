//! Which pods are sandbox pods, and who decides which runtimes they get.
//!
//! The rules are asked in order and the first that answers decides. What has to be asked of a cluster comes out as a
//! [`Question`]: whoever can reach one asks it, and the rules are asked again with the answer. So they are the same for
//! the webhook, the dry run and tests.

mod pools;
pub mod privileged;

use std::fmt;
use std::str::FromStr;

use crate::annotations::RUNTIMES_ANNOTATION;
use crate::config::{Config, FIRST_RUNTIMES, Runtime};
use crate::pod::{Pod, ShapeError};
use crate::systems::kruise::{self, KruiseKind};
use crate::systems::{SANDBOX_LABELS, SandboxLabel, System};
use crate::text::{NAME, clipped};

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
    /// Whether owners are looked up; it also decides what the default is.
    pub lookups: bool,
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
    /// These have to be asked first, in any order.
    Unanswered(Vec<Question>),
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
    Transient(String),
    /// A permanent error, until somebody fixes its cause.
    #[error("{0}")]
    Permanent(String),
}

/// Something to ask of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The runtimes of the Sandbox that owns the pod.
    Sandbox {
        /// The pod's namespace.
        namespace: String,
        /// From the ownerReference.
        name: String,
        /// From the ownerReference; another uid is another object. Empty where the pod was worked out offline: then no
        /// object of a cluster is meant.
        uid: String,
    },
    /// The runtimes of the SandboxSet that a pool label names.
    SandboxSet {
        /// The pod's namespace.
        namespace: String,
        /// The label's value.
        name: String,
    },
}

/// What came of a question: the names in the object's `spec.runtimes`, or `None` where there is no such object.
pub type Answer = Result<Option<Vec<String>>, LookupError>;

/// The questions that were answered so far.
#[derive(Debug, Clone, Default)]
pub struct Answers(Vec<(Question, Answer)>);

impl Answers {
    /// Adds the answer to a question.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.push((question, answer));
    }

    fn get(&self, question: &Question) -> Option<&Answer> {
        self.0.iter().find(|(asked, _)| asked == question).map(|(_, answer)| answer)
    }
}

/// One pod to ask the rules about.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'p> {
    /// The pod.
    pub pod: &'p Pod<'p>,
    /// The review's namespace, as the pod's own may be missing.
    pub namespace: &'p str,
    /// What the object that made the pod says, where that is known without asking: offline, from its manifest.
    pub declared: Option<(DecidedBy, &'p [String])>,
}

/// What the rules before the last one say.
enum Named {
    Names(DecidedBy, Vec<String>),
    Ask(Question),
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
        for SandboxLabel { system, key, value } in SANDBOX_LABELS {
            if has_label(pod, key, value)? {
                return Ok(Some(system));
            }
        }
        for label in &self.pod_labels {
            if has_label(pod, &label.key, label.value.as_deref())? {
                return Ok(Some(System::Other));
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
        SANDBOX_LABELS.iter().any(|label| matches(label.key, label.value))
            || self.pod_labels.iter().any(|label| matches(&label.key, label.value.as_deref()))
    }

    /// Asks the rules in order, with what is known from `answers`.
    ///
    /// # Errors
    ///
    /// The pod is not shaped like one, or names what there is not, or a look-up failed.
    pub fn select<'c>(
        &self,
        pod: Selected<'_>,
        config: &'c Config,
        answers: &Answers,
    ) -> Result<Selection<'c>, SelectionError> {
        let Some(system) = self.system(pod.pod)? else { return Ok(Selection::NotSandbox) };
        match self.names(pod, system, config, answers)? {
            Named::Names(by, names) => Ok(Selection::Decided { by, runtimes: resolve(&names, by, config)? }),
            Named::Ask(question) => Ok(Selection::Unanswered(vec![question])),
        }
    }

    fn names(
        &self,
        selected: Selected<'_>,
        system: System,
        config: &Config,
        answers: &Answers,
    ) -> Result<Named, SelectionError> {
        let Selected { pod, namespace, declared } = selected;
        if let Some(DefaultRuntimes(names)) = &self.forced {
            return Ok(Named::Names(DecidedBy::Flag, names.clone()));
        }
        if let Some(text) = pod.annotation(RUNTIMES_ANNOTATION)?
            && let Some(names) = names(&text)?
        {
            return Ok(Named::Names(DecidedBy::Annotation, names));
        }
        if let Some((by, names)) = declared {
            return Ok(Named::Names(by, names.to_vec()));
        }
        let pool = pod.label(kruise::POOL_LABEL)?;
        if self.lookups {
            for (by, question) in questions(pod, namespace, pool.as_deref()) {
                match answers.get(&question) {
                    None => return Ok(Named::Ask(question)),
                    Some(Err(error)) => return Err(error.clone().into()),
                    Some(Ok(Some(names))) => return Ok(Named::Names(by, names.clone())),
                    Some(Ok(None)) => {}
                }
            }
        }
        if let Some(rule) = pools::find(config.pools(), pod, system, namespace)? {
            return Ok(Named::Names(DecidedBy::PoolRule, rule.runtimes.clone()));
        }
        let labelled = self.has_pod_label(pod)?;
        Ok(Named::Names(DecidedBy::Default, self.default_names(pool.is_some() || labelled, config)))
    }

    fn has_pod_label(&self, pod: &Pod<'_>) -> Result<bool, ShapeError> {
        for label in &self.pod_labels {
            if has_label(pod, &label.key, label.value.as_deref())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn default_names(&self, applies: bool, config: &Config) -> Vec<String> {
        match &self.default_runtimes {
            _ if !applies => Vec::new(),
            Some(DefaultRuntimes(names)) => names.clone(),
            // With look-ups a pod whose owner says nothing gets nothing, or a forged label would pay off.
            None if self.lookups => Vec::new(),
            None => {
                let has = |name: &&str| config.runtime(name).is_some();
                FIRST_RUNTIMES.into_iter().filter(has).map(str::to_owned).collect()
            }
        }
    }
}

/// Who may declare the pod's runtimes, in the order in which they are asked: the owner, then the pool.
fn questions(pod: &Pod<'_>, namespace: &str, pool: Option<&str>) -> Vec<(DecidedBy, Question)> {
    let owner = pod.controller().filter(|owner| {
        &*owner.kind == KruiseKind::Sandbox.as_str()
            && owner.api_version.split('/').next() == Some(kruise::GROUP)
    });
    let sandbox = owner.map(|owner| Question::Sandbox {
        namespace: namespace.to_owned(),
        name: (*owner.name).to_owned(),
        uid: owner.uid.as_deref().unwrap_or_default().to_owned(),
    });
    let set = pool
        .filter(|pool| !pool.is_empty())
        .map(|pool| Question::SandboxSet { namespace: namespace.to_owned(), name: pool.to_owned() });
    let sandbox = sandbox.map(|question| (DecidedBy::Sandbox, question));
    sandbox.into_iter().chain(set.map(|question| (DecidedBy::SandboxSet, question))).collect()
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
