//! Which pods are sandbox pods, and which runtimes they get: [`select`] asks the rules in order,
//! and the first that answers decides. [`pools`] are the configuration's own rules, [`privileged`]
//! says who may have privileged runtimes.
//!
//! What has to be asked of a cluster comes out as a [`Question`]: the caller that can reach one
//! asks it, and the rules are asked again with the answer. So they are the same for the webhook,
//! the dry run and tests.

mod labels;
mod names;
mod pools;
mod privileged;
mod questions;
mod select;

use std::fmt;

pub use labels::{InvalidPodLabel, PodLabel};
pub use names::{DefaultRuntimes, NamesError};
pub use privileged::{Forbidden, PrivilegedRules};
pub(crate) use questions::Answers;
pub use questions::{Answer, LookupError, Question};
pub use select::SelectionRules;
pub(crate) use select::{Selection, SelectionError};

use crate::pod::Pod;

/// One pod to decide on.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// The pod.
    pub pod: &'p Pod<'p>,
    /// The review's namespace; the pod's own may be missing.
    pub namespace: &'p str,
    /// The user who creates it; `None` offline, where that is not checked.
    pub creator: Option<&'p str>,
    /// What the object that made the pod says, where that is known without asking: offline, from
    /// its manifest.
    pub declared: Option<(DecidedBy, &'p [String])>,
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
