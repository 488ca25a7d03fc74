//! The engine: a pod and the runtimes that it gets, in; a plan or a denial, out.
//!
//! Pure: no I/O, no async, no clock, no globals. It reads the pod through the borrowed view and
//! never changes it; what is to be added comes out as patch operations that hold the
//! configuration's own JSON, together with a decision for every item that any runtime requests. A
//! pod is denied whole, with every conflict at once, or injected whole: never half.
//!
//! [`inject`] is a sequence of steps, each in a file of its own. They read a [`Context`], write to
//! a [`Draft`], and hand on what a later step needs as their result, so that no step can come
//! before one whose result it needs.
//!
//! Words that have one meaning here:
//!
//! - *runtime*: a named set of items of the configuration. *Wanted*: one of these items, for this
//!   pod.
//! - *item*: something with an *identity* in a list or map of the pod: a container, volume,
//!   variable, mount, hook, label or annotation. The identity is its name, its cleaned path or its
//!   key.
//! - *standing*: what the pod (or an earlier runtime) has under a wanted item's identity: nothing,
//!   an equal item, one of ours in another form, or a different one.
//!   [`reconcile`](reconcile::reconcile) says which.
//! - *main container*: the container of the pod that a runtime completes with variables, mounts and
//!   hooks.
//! - *privileged*: said of a container that could take over the node, and of a runtime that brings
//!   such a container or a hostPath.
//! - *must match*: said of a volume that the pod may have only exactly as the configuration has it.
//! - *exclusive*: said of a volume that must match and that only the containers of its runtimes may
//!   mount.
//! - *exact match*: a container of the pod that is what a runtime brings and nothing more, so that
//!   it may mount exclusive volumes.
//! - *kept*: the pod's item stays although a runtime wants another. *Conflict*: the pod is denied
//!   for it.
//! - *chained*: said of a hook that runs the injected command and the pod's own.
//! - *mark*: the annotation that says which revisions a pod got.

mod compare;
mod containers;
mod context;
pub mod decision;
pub mod diff;
mod draft;
mod guard;
mod hooks;
mod mains;
mod metadata;
mod reconcile;
mod risks;
pub mod undo;
mod volumes;

use context::Context;
use decision::{Action, Cause, Decision};
use draft::Draft;

use crate::budget::{Budget, Exhausted};
use crate::config::Runtime;
use crate::patch::Operation;
use crate::pod::{Pod, ShapeError};

/// What happens when the pod has another item under an identity that a runtime uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The pod is denied.
    #[default]
    Deny,
    /// The pod's item stays, with a warning.
    Keep,
}

/// How to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What to do about differences.
    pub on_conflict: OnConflict,
    /// Whether the pod is marked with what it got.
    pub status_annotation: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            on_conflict: OnConflict::Deny,
            status_annotation: true,
        }
    }
}

/// What is to be done to a pod.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// The patch; empty when the pod has everything already.
    pub operations: Vec<Operation<'a>>,
    /// What became of every wanted item, list by list.
    pub decisions: Vec<Decision<'a>>,
    /// What the pod's author should know, a sentence each. Holds names, never values.
    pub warnings: Vec<String>,
    /// What the patch does to the pod's mark, where it does anything.
    pub mark: Option<Mark>,
}

/// What a patch does to the annotation that says what a pod got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The pod had none and gets one.
    Added,
    /// The pod had one that says something else.
    Replaced,
}

impl Plan<'_> {
    /// How many items of the pod stay although a runtime wanted others.
    pub fn kept(&self) -> usize {
        self.decisions
            .iter()
            .filter(|decision| decision.action == Action::Kept)
            .count()
    }
}

/// Why nothing can be done to a pod.
#[derive(Debug)]
pub struct Conflicts<'a> {
    /// Every reason, at least one.
    pub causes: Vec<Cause>,
    /// What became of the items before and beside the conflicts.
    pub decisions: Vec<Decision<'a>>,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum InjectError<'a> {
    /// The pod cannot be completed.
    Denied(Conflicts<'a>),
    /// It would take more work than the caller allows.
    Exhausted(Exhausted),
}

/// Why a step ends early.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The pod does not have the shape of one.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The budget is used up.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// Injects `runtimes`, in this order, into `pod`, and charges the work to `budget`.
///
/// A repeated runtime and the order of names are the caller's to settle.
///
/// # Errors
///
/// The pod cannot be completed, or the budget is used up.
pub fn inject<'a>(
    pod: &Pod<'_>,
    runtimes: &[&'a Runtime],
    options: Options,
    budget: &mut Budget,
) -> Result<Plan<'a>, InjectError<'a>> {
    let mut draft = Draft::new(runtimes, options.on_conflict, budget);
    match steps(pod, runtimes, options, &mut draft) {
        Ok(()) => draft.finish().map_err(InjectError::Denied),
        Err(Stop::Shape(error)) => Err(InjectError::Denied(draft.deny_shape(error))),
        Err(Stop::Exhausted(exhausted)) => Err(InjectError::Exhausted(exhausted)),
    }
}

fn steps<'a>(
    pod: &Pod<'_>,
    runtimes: &[&'a Runtime],
    options: Options,
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    if runtimes.is_empty() {
        return Ok(());
    }
    let cx = Context::read(pod, runtimes, options, draft.budget)?;
    metadata::complete(&cx, draft)?;
    let present = containers::complete(&cx, draft)?;
    volumes::complete(&cx, &present, draft)?;
    let mains = mains::complete(&cx, draft)?;
    guard::check(&cx, &present, &mains, draft)?;
    risks::warn(&cx, draft)
}
