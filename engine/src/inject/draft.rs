//! What the steps write: the plan in the making, the reasons against it, and the work that it took.

use super::decision::{Action, Cause, Decision};
use super::{Conflicts, Mark, OnConflict, Plan};
use crate::budget::Budget;
use crate::config::Runtime;
use crate::patch::{Fragment, Operation, Value};
use crate::place::{Key, Place};
use crate::pod::ShapeError;

/// How many conflicts a denial lists. A configuration does not have that many; a pod that repeats
/// one could.
const MAX_CAUSES: usize = 256;

/// A plan in the making.
pub(super) struct Draft<'d, 'a> {
    pub(super) budget: &'d mut Budget,
    on_conflict: OnConflict,
    operations: Vec<Operation<'a>>,
    decisions: Vec<Decision<'a>>,
    causes: Vec<Cause>,
    more_causes: usize,
    warnings: Vec<String>,
    mark: Option<Mark>,
}

/// What the pod has, or an earlier runtime brings, in place of a wanted item.
pub(super) struct Conflict<'c> {
    /// Where in the pod.
    pub(super) at: Place<'c>,
    pub(super) why: String,
    /// What to do about it.
    pub(super) fix: &'static str,
}

impl<'d, 'a> Draft<'d, 'a> {
    pub(super) fn new(
        runtimes: &[&Runtime],
        on_conflict: OnConflict,
        budget: &'d mut Budget,
    ) -> Self {
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
            budget,
            on_conflict,
            operations: Vec::with_capacity(8),
            decisions: Vec::with_capacity(expected.sum()),
            causes: Vec::new(),
            more_causes: 0,
            warnings: Vec::new(),
            mark: None,
        }
    }

    /// The plan, or every reason against it.
    pub(super) fn finish(self) -> Result<Plan<'a>, Conflicts<'a>> {
        if !self.causes.is_empty() {
            return Err(self.into_conflicts());
        }
        let Self {
            operations,
            decisions,
            warnings,
            mark,
            ..
        } = self;
        Ok(Plan {
            operations,
            decisions,
            warnings,
            mark,
        })
    }

    /// The denial of a pod that does not have the shape of one.
    pub(super) fn deny_shape(mut self, error: ShapeError) -> Conflicts<'a> {
        self.causes.push(error.into());
        self.into_conflicts()
    }

    fn into_conflicts(mut self) -> Conflicts<'a> {
        if self.more_causes > 0 {
            let message = format!("and {} more conflicts", self.more_causes);
            self.causes.push(Cause {
                field: Place::Spec.to_string(),
                runtime: None,
                message,
            });
        }
        Conflicts {
            causes: self.causes,
            decisions: self.decisions,
        }
    }

    pub(super) fn decide(&mut self, runtime: &'a Runtime, place: Place<'a>, action: Action) {
        self.decisions.push(Decision {
            runtime: &runtime.name,
            place,
            action,
            why: None,
        });
    }

    pub(super) fn decide_because(
        &mut self,
        runtime: &'a Runtime,
        place: Place<'a>,
        action: Action,
        why: String,
    ) {
        self.decisions.push(Decision {
            runtime: &runtime.name,
            place,
            action,
            why: Some(why),
        });
    }

    /// The pod's (or an earlier runtime's) item stays, with a warning.
    pub(super) fn keep(&mut self, runtime: &'a Runtime, place: Place<'a>, why: String) {
        self.warnings.push(format!(
            "runtime {}: kept existing {place}: {why}",
            runtime.name
        ));
        self.decide_because(runtime, place, Action::Kept, why);
    }

    /// The pod is denied, unless the operator chose that its item stays.
    pub(super) fn conflict(
        &mut self,
        runtime: &'a Runtime,
        place: Place<'a>,
        conflict: Conflict<'_>,
    ) {
        match self.on_conflict {
            OnConflict::Keep => self.keep(runtime, place, conflict.why),
            OnConflict::Deny => self.deny(runtime, place, conflict),
        }
    }

    /// As [`Draft::conflict`], where the item's own place is what to look at.
    pub(super) fn conflict_in_place(
        &mut self,
        runtime: &'a Runtime,
        place: Place<'a>,
        why: String,
        fix: &'static str,
    ) {
        self.conflict(
            runtime,
            place,
            Conflict {
                at: place,
                why,
                fix,
            },
        );
    }

    /// The pod is denied, whatever the operator chose.
    pub(super) fn deny(&mut self, runtime: &'a Runtime, place: Place<'a>, conflict: Conflict<'_>) {
        let Conflict { at, why, fix } = conflict;
        if self.causes.len() >= MAX_CAUSES {
            self.more_causes += 1;
            return;
        }
        let message = format!("{why}; {fix}");
        self.causes.push(Cause {
            field: at.to_string(),
            runtime: Some(runtime.name.clone()),
            message,
        });
        self.decide_because(runtime, place, Action::Conflict, why);
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        self.mark = Some(mark);
    }

    pub(super) fn add(&mut self, place: Place<'a>, value: Value<'a>) {
        self.operations.push(Operation::Add(place, value));
    }

    pub(super) fn replace(&mut self, place: Place<'a>, value: Value<'a>) {
        self.operations.push(Operation::Replace(place, value));
    }

    /// Adds items to a list: the whole list where the pod does not have it, else one after the
    /// other.
    pub(super) fn add_items(
        &mut self,
        list: Place<'a>,
        exists: bool,
        item: impl Fn(Key<'a>) -> Place<'a>,
        items: impl ExactSizeIterator<Item = (&'a str, &'a Fragment)>,
    ) {
        if items.len() == 0 {
            return;
        }
        if exists {
            let add = |(identity, json)| {
                Operation::Add(item(Key::Identity(identity)), Value::Fragment(json))
            };
            self.operations.extend(items.map(add));
        } else {
            self.add(list, Value::List(items.map(|(_, json)| json).collect()));
        }
    }
}
