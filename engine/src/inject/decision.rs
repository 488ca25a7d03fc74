//! What injection decided, item by item, in the one vocabulary that every report uses.

use std::fmt;

use crate::place::Place;
use crate::pod::ShapeError;

/// What became of one item that a runtime wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The pod lacked it and gets it.
    Added,
    /// An equal one was there.
    Unchanged,
    /// A different one was there and stays.
    Kept,
    /// The pod's hook and the injected one both run.
    Chained,
    /// A different one was there, and the pod is denied for it.
    Conflict,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Added => "added",
            Action::Unchanged => "unchanged",
            Action::Kept => "kept",
            Action::Chained => "chained",
            Action::Conflict => "conflict",
        })
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The runtime that wants it.
    pub runtime: &'a str,
    /// Where in the pod it belongs.
    pub place: Place<'a>,
    /// What became of it.
    pub action: Action,
    /// Why, where the action alone does not say it. Holds field names, never values.
    pub why: Option<String>,
}

/// One reason to deny a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The pod's field, in Kubernetes' own spelling.
    pub field: String,
    /// The runtime that it is about; `None` when the pod itself is at fault.
    pub runtime: Option<String>,
    /// What is wrong and how to fix it. Holds names, never values of the pod.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.runtime {
            Some(runtime) => write!(f, "{}: runtime {runtime}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl From<ShapeError> for Cause {
    fn from(error: ShapeError) -> Self {
        Cause {
            field: error.field,
            runtime: None,
            message: error.reason,
        }
    }
}
