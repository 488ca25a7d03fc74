//! The rules that decide on a pod's runtimes, in their order.

use std::borrow::Cow;

use super::labels::{PodLabel, has_label};
use super::names::{DefaultRuntimes, NamesError, names};
use super::questions::{Answer, Answers, LookupError, Question};
use super::{Candidate, DecidedBy, pools};
use crate::annotations::RUNTIMES_ANNOTATION;
use crate::budget::{Budget, Exhausted};
use crate::config::{Config, FIRST_RUNTIMES, Runtime};
use crate::pod::{Object, Pod, ShapeError};
use crate::systems::kruise::{self, KruiseKind};
use crate::systems::{SANDBOX_LABELS, SandboxLabel, System};
use crate::text::{NAME, clipped};

/// The operator's part of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectionRules {
    /// Runtimes that replace every other rule: the dry run's `--runtimes`.
    pub forced: Option<DefaultRuntimes>,
    /// `--default-runtimes`; `None` leaves it to what the configuration has.
    pub default_runtimes: Option<DefaultRuntimes>,
    /// `--pod-label`.
    pub pod_labels: Vec<PodLabel>,
    /// Whether owners are looked up; it also decides what the default is.
    pub lookups: bool,
}

/// What the rules say of a pod.
#[derive(Debug)]
pub(crate) enum Selection<'c> {
    /// It carries none of the labels.
    NotASandbox,
    /// A rule answered; the runtimes are in the order of injection, and may be none.
    Decided(DecidedBy, Vec<&'c Runtime>),
    /// These have to be asked first, in any order.
    Unanswered(Vec<Question>),
}

/// Why the rules do not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectionError {
    /// The pod is not shaped like one.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The pod's annotation is not a list of names.
    #[error(transparent)]
    Annotation(#[from] NamesError),
    /// A name that the configuration does not have.
    #[error("runtime {name:?} (requested by {by}) is not configured; configured runtimes: {}", known.join(", "))]
    Unknown {
        name: String,
        by: DecidedBy,
        known: Vec<String>,
    },
    /// The cluster could not be asked.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The budget is used up.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// What the rules before the last one say.
enum Requested<'a> {
    Names(DecidedBy, Cow<'a, [String]>),
    Ask(Question),
}

impl SelectionRules {
    /// The system that the pod belongs to by its labels.
    pub fn system(&self, pod: &Pod<'_>) -> Result<Option<System>, ShapeError> {
        for SandboxLabel { system, key, value } in SANDBOX_LABELS {
            if has_label(pod, key, value)? {
                return Ok(Some(system));
            }
        }
        Ok(self.has_pod_label(pod)?.then_some(System::Other))
    }

    /// Whether an object that cannot be read as a pod carries one of the labels, as far as can be
    /// told.
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
        let Ok(Labelled {
            metadata: Labels { labels },
        }) = serde_json::from_str(object)
        else {
            return true;
        };
        let Some(labels) = labels.as_object() else {
            return !labels.is_null();
        };
        let matches = |key: &str, wanted: Option<&str>| {
            labels.get(key).is_some_and(|found| {
                wanted.is_none_or(|wanted| found.as_str().is_none_or(|found| found == wanted))
            })
        };
        SANDBOX_LABELS
            .iter()
            .any(|label| matches(label.key, label.value))
            || self
                .pod_labels
                .iter()
                .any(|label| matches(label.key(), label.value()))
    }

    /// Asks the rules in order, with what is known from `answers`.
    pub(crate) fn select<'c>(
        &self,
        candidate: Candidate<'_>,
        config: &'c Config,
        answers: &Answers,
        budget: &mut Budget,
    ) -> Result<Selection<'c>, SelectionError> {
        let Some(system) = self.system(candidate.pod)? else {
            return Ok(Selection::NotASandbox);
        };
        budget.steps(self.scanned(candidate.pod, config))?;
        match self.requested(candidate, system, config, answers)? {
            Requested::Names(by, names) => Ok(Selection::Decided(by, resolve(&names, by, config)?)),
            Requested::Ask(question) => Ok(Selection::Unanswered(vec![question])),
        }
    }

    /// How many labels and annotations of the pod the rules look at, at the most: all of them for
    /// each key that they look for.
    fn scanned(&self, pod: &Pod<'_>, config: &Config) -> usize {
        /// The runtimes' annotation and the pool's label.
        const KEYS: usize = 2;
        /// A pool's label and a template's, in each of the places where a system has them.
        const KEYS_PER_POOL_RULE: usize = 4;
        let metadata = [&pod.metadata.labels, &pod.metadata.annotations];
        let entries: usize = metadata.into_iter().flatten().map(Object::len).sum();
        let keys = SANDBOX_LABELS.len()
            + self.pod_labels.len()
            + KEYS
            + KEYS_PER_POOL_RULE * config.pools().len();
        entries.saturating_mul(keys)
    }

    fn requested<'a>(
        &'a self,
        candidate: Candidate<'a>,
        system: System,
        config: &'a Config,
        answers: &'a Answers,
    ) -> Result<Requested<'a>, SelectionError> {
        let Candidate {
            pod,
            namespace,
            declared,
            creator: _,
        } = candidate;
        if let Some(DefaultRuntimes(names)) = &self.forced {
            return Ok(Requested::Names(DecidedBy::Flag, names.into()));
        }
        if let Some(text) = pod.annotation(RUNTIMES_ANNOTATION)?
            && let Some(names) = names(&text)?
        {
            return Ok(Requested::Names(DecidedBy::Annotation, names.into()));
        }
        if let Some((by, names)) = declared {
            return Ok(Requested::Names(by, names.into()));
        }
        let pool = pod.label(kruise::POOL_LABEL)?;
        if self.lookups {
            for (by, question) in questions(pod, namespace, pool.as_deref()) {
                match answers.get(&question) {
                    None => return Ok(Requested::Ask(question)),
                    Some(Answer::Failed(error)) => return Err(error.clone().into()),
                    Some(Answer::Runtimes(names)) => return Ok(Requested::Names(by, names.into())),
                    Some(Answer::NotFound) => {}
                }
            }
        }
        if let Some(rule) = pools::find(config.pools(), pod, system, namespace)? {
            return Ok(Requested::Names(
                DecidedBy::PoolRule,
                (&rule.runtimes).into(),
            ));
        }
        let applies = pool.is_some() || self.has_pod_label(pod)?;
        Ok(Requested::Names(
            DecidedBy::Default,
            self.default_names(applies, config),
        ))
    }

    fn has_pod_label(&self, pod: &Pod<'_>) -> Result<bool, ShapeError> {
        for label in &self.pod_labels {
            if has_label(pod, label.key(), label.value())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn default_names(&self, applies: bool, config: &Config) -> Cow<'_, [String]> {
        match &self.default_runtimes {
            _ if !applies => Cow::default(),
            Some(DefaultRuntimes(names)) => names.into(),
            // With look-ups a pod whose owner says nothing gets nothing, or a forged label would
            // pay off.
            None if self.lookups => Cow::default(),
            None => {
                let has = |name: &&str| config.runtime(name).is_some();
                FIRST_RUNTIMES
                    .into_iter()
                    .filter(has)
                    .map(str::to_owned)
                    .collect()
            }
        }
    }
}

/// Who may declare the pod's runtimes, in the order in which they are asked: the owner, then the
/// pool.
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
        .map(|pool| Question::SandboxSet {
            namespace: namespace.to_owned(),
            name: pool.to_owned(),
        });
    let sandbox = sandbox.map(|question| (DecidedBy::Sandbox, question));
    sandbox
        .into_iter()
        .chain(set.map(|question| (DecidedBy::SandboxSet, question)))
        .collect()
}

/// The runtimes of those names in the order of injection, each once.
fn resolve<'c>(
    names: &[String],
    by: DecidedBy,
    config: &'c Config,
) -> Result<Vec<&'c Runtime>, SelectionError> {
    let first = FIRST_RUNTIMES
        .into_iter()
        .filter(|first| names.iter().any(|name| name == first));
    let mut runtimes: Vec<&'c Runtime> = Vec::with_capacity(names.len());
    for name in first.chain(names.iter().map(String::as_str)) {
        if runtimes.iter().any(|runtime| runtime.name == name) {
            continue;
        }
        let runtime = config
            .runtime(name)
            .ok_or_else(|| SelectionError::Unknown {
                name: clipped(name, NAME).to_owned(),
                by,
                known: config
                    .runtimes()
                    .iter()
                    .map(|runtime| runtime.name.clone())
                    .collect(),
            })?;
        runtimes.push(runtime);
    }
    Ok(runtimes)
}
