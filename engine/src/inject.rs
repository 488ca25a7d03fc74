//! The engine: a pod and the runtimes that it gets, in; a plan or a denial, out.
//!
//! Pure: no I/O, no async, no clock, no globals. It reads the pod through the borrowed view and never changes
//! it; what is to be added comes out as patch operations that hold the configuration's own JSON, together with
//! a decision for every item that any runtime asked for. A pod is denied whole, with every conflict at once, or
//! injected whole: never half.

mod container;
pub mod decision;
pub mod diff;
pub mod equal;
mod lifecycle;
mod main_container;
mod metadata;
pub mod undo;
mod volume;

use crate::budget::{Budget, Exhausted};
use crate::config::{Runtime, Volume};
use crate::patch::{Fragment, List, Op, Operation, Path, Value};
use crate::pod::{self, Named, Pod, ShapeError};
use crate::text::listed;
use decision::{Action, Cause, Decision, Field};
use main_container::MainContainer;

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
        Self { on_conflict: OnConflict::Deny, status_annotation: true }
    }
}

/// What is to be done to a pod.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// The patch; empty when the pod has everything already.
    pub operations: Vec<Operation<'a>>,
    /// What became of every item asked for, list by list.
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
        self.decisions.iter().filter(|decision| decision.action == Action::Kept).count()
    }
}

/// Why nothing can be done to a pod.
#[derive(Debug)]
pub struct Denial<'a> {
    /// Every reason, at least one.
    pub causes: Vec<Cause>,
    /// What became of the items before and beside the conflicts.
    pub decisions: Vec<Decision<'a>>,
}

/// Why there is no plan.
#[derive(Debug)]
pub enum Failure<'a> {
    /// The pod cannot be completed.
    Denied(Denial<'a>),
    /// It would take more work than the caller allows.
    Exhausted(Exhausted),
}

/// Why a step ends before its time.
#[derive(Debug)]
pub(crate) enum Stop {
    Shape(ShapeError),
    Exhausted(Exhausted),
}

impl From<ShapeError> for Stop {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<Exhausted> for Stop {
    fn from(error: Exhausted) -> Self {
        Self::Exhausted(error)
    }
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
) -> Result<Plan<'a>, Failure<'a>> {
    let mut injection = Injection::new(pod, runtimes, options, budget);
    match injection.run() {
        Ok(()) if injection.causes.is_empty() => Ok(injection.into_plan()),
        Ok(()) => Err(Failure::Denied(injection.into_denial())),
        Err(Stop::Shape(error)) => {
            injection.causes.push(error.into());
            Err(Failure::Denied(injection.into_denial()))
        }
        Err(Stop::Exhausted(exhausted)) => Err(Failure::Exhausted(exhausted)),
    }
}

impl From<ShapeError> for Cause {
    fn from(error: ShapeError) -> Self {
        Cause { field: error.field, runtime: None, message: error.reason }
    }
}

/// How many conflicts a denial lists. A configuration does not have that many; a pod that repeats one could.
const MAX_CAUSES: usize = 256;

/// The items that go to one list, and whether the pod has the list.
#[derive(Debug)]
struct Additions<'a> {
    list: List,
    exists: bool,
    items: Vec<&'a Fragment>,
}

/// One injection at work.
struct Injection<'p, 'a> {
    pod: &'p Pod<'p>,
    runtimes: &'p [&'a Runtime],
    options: Options,
    budget: &'p mut Budget,
    mains: Vec<MainContainer<'p, 'a>>,
    /// The volumes of the pod, by name.
    pod_volumes: Vec<pod::Item<'p, Named<'p>>>,
    /// The volumes that privileged containers keep to themselves, each with the runtime that brings it.
    own: Vec<(&'a Volume, &'a Runtime)>,
    /// Pod containers, by list and index, that hold exactly what a runtime brings and may mount those.
    ours: Vec<(List, usize)>,
    /// Pod containers that the pod is denied for already, so that their mounts need no mention.
    refused: Vec<(List, usize)>,
    /// Names of the privileged containers of the runtimes that end up in the pod as the configuration has them.
    privileged: Vec<&'a crate::config::Container>,
    operations: Vec<Operation<'a>>,
    decisions: Vec<Decision<'a>>,
    causes: Vec<Cause>,
    more_causes: usize,
    warnings: Vec<String>,
    mark: Option<Mark>,
}

impl<'p, 'a> Injection<'p, 'a> {
    fn new(pod: &'p Pod<'p>, runtimes: &'p [&'a Runtime], options: Options, budget: &'p mut Budget) -> Self {
        let expected = runtimes.iter().map(|runtime| {
            let main = &runtime.main;
            main.env.len()
                + main.volume_mounts.len()
                + 2
                + runtime.init_containers.len()
                + runtime.containers.len()
                + runtime.volumes.len()
                + runtime.labels.len()
                + runtime.annotations.len()
        });
        Self {
            pod,
            runtimes,
            options,
            budget,
            mains: Vec::new(),
            pod_volumes: Vec::new(),
            own: volume::own_volumes(runtimes),
            ours: Vec::new(),
            refused: Vec::new(),
            privileged: Vec::new(),
            operations: Vec::with_capacity(8),
            decisions: Vec::with_capacity(expected.sum()),
            causes: Vec::new(),
            more_causes: 0,
            warnings: Vec::new(),
            mark: None,
        }
    }

    fn run(&mut self) -> Result<(), Stop> {
        if self.runtimes.is_empty() {
            return Ok(());
        }
        self.budget.steps(self.decisions.capacity())?;
        if self.pod.containers().is_empty() {
            return Err(
                ShapeError::new("spec.containers", "is empty; a pod needs at least one container").into()
            );
        }
        self.read_pod_volumes()?;
        self.metadata()?;
        self.containers()?;
        self.volumes()?;
        self.main_containers()?;
        self.guard_own_volumes()?;
        self.warn_of_risks()?;
        Ok(())
    }

    fn into_plan(self) -> Plan<'a> {
        let Self { operations, decisions, warnings, mark, .. } = self;
        Plan { operations, decisions, warnings, mark }
    }

    fn into_denial(mut self) -> Denial<'a> {
        if self.more_causes > 0 {
            let message = format!("and {} more conflicts", self.more_causes);
            self.causes.push(Cause { field: "spec".to_owned(), runtime: None, message });
        }
        Denial { causes: self.causes, decisions: self.decisions }
    }

    fn decide(&mut self, runtime: &'a Runtime, field: Field<'a>, action: Action) {
        self.decisions.push(Decision { runtime: &runtime.name, field, action, why: None });
    }

    /// The pod's (or an earlier runtime's) item stays, with a warning.
    fn keep(&mut self, runtime: &'a Runtime, field: Field<'a>, why: String) {
        self.warnings.push(format!("runtime {}: kept existing {field}: {why}", runtime.name));
        self.decisions.push(Decision { runtime: &runtime.name, field, action: Action::Kept, why: Some(why) });
    }

    /// The pod is denied, unless the operator chose that its item stays.
    fn conflict(&mut self, runtime: &'a Runtime, field: Field<'a>, at: String, why: String, fix: &str) {
        match self.options.on_conflict {
            OnConflict::Keep => self.keep(runtime, field, why),
            OnConflict::Deny => self.deny(runtime, field, at, why, fix),
        }
    }

    /// The pod is denied, whatever the operator chose.
    fn deny(&mut self, runtime: &'a Runtime, field: Field<'a>, at: String, why: String, fix: &str) {
        if self.causes.len() >= MAX_CAUSES {
            self.more_causes += 1;
            return;
        }
        let message = format!("{why}; {fix}");
        self.causes.push(Cause { field: at, runtime: Some(runtime.name.clone()), message });
        self.decisions.push(Decision {
            runtime: &runtime.name,
            field,
            action: Action::Conflict,
            why: Some(why),
        });
    }

    /// Emits the items of one list: the whole list where the pod has none, else one behind the other.
    fn emit(&mut self, additions: Additions<'a>) {
        let Additions { list, exists, items } = additions;
        if items.is_empty() {
            return;
        }
        if exists {
            let end = |item| Operation { op: Op::Add, path: Path::End(list), value: Value::Ready(item) };
            self.operations.extend(items.into_iter().map(end));
        } else {
            self.operations.push(Operation {
                op: Op::Add,
                path: Path::List(list),
                value: Value::List(items),
            });
        }
    }
}

/// `differs in image, env[A]`: the fields alone.
fn differs_in(fields: &[String]) -> String {
    const SHOWN: usize = 8;
    format!("differs in {}", listed(fields.iter(), SHOWN))
}
