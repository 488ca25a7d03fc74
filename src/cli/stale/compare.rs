//! One pod compared with what a new one would get.

use engine::config::{Config, Runtime};
use engine::inject::diff::{Change, changes};
use engine::inject::undo::{Known, mark, uninject};
use engine::workload::InputPod;
use serde_json::Value;

use super::super::offline::{Offline, after, operations, reasons};
use super::Failure;

/// What pods are compared with.
pub(super) struct Comparison<'c> {
    pub(super) config: &'c Config,
    pub(super) offline: Offline,
}

/// What is reported about a pod.
pub(super) struct StalePod {
    pub(super) place: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The runtimes that differ; empty if the pod is as a new one would be.
    pub(super) runtimes: Vec<StaleRuntime>,
    /// Why a new pod would be denied.
    pub(super) reasons: Vec<String>,
    /// What a new pod would have instead.
    pub(super) changes: Vec<Change>,
}

/// A runtime that differs.
pub(super) struct StaleRuntime {
    pub(super) runtime: String,
    pub(super) state: Staleness,
    /// The revision in the mark.
    pub(super) then: Option<String>,
    /// The revision of the current configuration.
    pub(super) now: Option<String>,
}

/// How it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Staleness {
    Changed,
    Removed,
    Added,
    Withdrawn,
    Unmarked,
}

impl Staleness {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Staleness::Changed => "changed",
            Staleness::Removed => "removed",
            Staleness::Added => "added",
            Staleness::Withdrawn => "withdrawn",
            Staleness::Unmarked => "unmarked",
        }
    }
}

impl Comparison<'_> {
    /// Compares one pod; `None` when it is not a sandbox pod and carries no mark.
    pub(super) async fn compare(
        &self,
        place: &str,
        subject: &InputPod,
    ) -> Result<Option<StalePod>, Failure> {
        let marked = mark(&subject.pod);
        if marked.is_none()
            && !self
                .offline
                .settings
                .selection
                .may_be_sandbox(&subject.pod.to_string())
        {
            return Ok(None);
        }
        // From a pod without a mark, everything that the configuration could have injected is
        // removed.
        let brought: Vec<&Runtime> = match &marked {
            Some(marked) => marked
                .iter()
                .filter_map(|(name, _)| self.config.runtime(name))
                .collect(),
            None => self
                .config
                .runtimes()
                .iter()
                .filter(|runtime| has(&subject.pod, runtime))
                .collect(),
        };
        let names = brought.iter().map(|runtime| runtime.name.clone()).collect();
        let names = self.offline.requested(&subject.pod, names);
        let fresh = InputPod {
            pod: uninject(&subject.pod, &brought, Known::Named),
            ..subject.clone()
        };
        let decided = self.offline.decide(self.config, &fresh, None, &names).await;
        let reasons = reasons(&decided)?;
        // If nothing says what a new pod would get, assume that it would get what this one has.
        let expected = if decided.by.is_some() {
            &decided.runtimes
        } else {
            &brought
        };
        let mut runtimes = self.differences(&subject.pod, marked.as_deref(), expected);
        let new = after(&fresh.pod, &operations(&decided))?;
        let mut changes: Vec<Change> = changes(&subject.pod, &new)
            .into_iter()
            .filter(counts)
            .collect();
        if !reasons.is_empty() {
            changes.clear();
        } else if !self.offline.settings.injection.status_annotation && changes.is_empty() {
            // Where pods are not marked, one without a mark is stale only if something differs.
            runtimes.retain(|difference| difference.state != Staleness::Unmarked);
        }
        if runtimes.is_empty() {
            changes.clear();
        }
        Ok(Some(StalePod {
            place: place.to_owned(),
            namespace: subject.namespace.clone(),
            name: subject.origin.name.clone(),
            runtimes,
            reasons,
            changes,
        }))
    }

    fn differences(
        &self,
        pod: &Value,
        marked: Option<&[(String, String)]>,
        expected: &[&Runtime],
    ) -> Vec<StaleRuntime> {
        let mut differences = Vec::new();
        let mut add = |runtime: &str, state, then: Option<&str>, now: Option<&str>| {
            let (then, now) = (then.map(str::to_owned), now.map(str::to_owned));
            differences.push(StaleRuntime {
                runtime: runtime.to_owned(),
                state,
                then,
                now,
            });
        };
        for (name, then) in marked.unwrap_or_default() {
            match self.config.runtime(name) {
                None => add(name, Staleness::Removed, Some(then), None),
                Some(_) if !expected.iter().any(|runtime| runtime.name == *name) => {
                    add(name, Staleness::Withdrawn, Some(then), None);
                }
                Some(runtime) if runtime.revision() != then => {
                    add(
                        name,
                        Staleness::Changed,
                        Some(then),
                        Some(runtime.revision()),
                    );
                }
                Some(_) => {}
            }
        }
        for runtime in expected {
            if marked
                .unwrap_or_default()
                .iter()
                .any(|(name, _)| *name == runtime.name)
            {
                continue;
            }
            let state = if marked.is_none() && has(pod, runtime) {
                Staleness::Unmarked
            } else {
                Staleness::Added
            };
            add(&runtime.name, state, None, Some(runtime.revision()));
        }
        if marked.is_none() {
            let others = self
                .config
                .runtimes()
                .iter()
                .filter(|runtime| has(pod, runtime));
            for runtime in
                others.filter(|runtime| !expected.iter().any(|other| other.name == runtime.name))
            {
                add(&runtime.name, Staleness::Unmarked, None, None);
            }
        }
        differences
    }
}

/// Whether the pod has a container of the runtime, or all of the volumes of one that defines no
/// container.
fn has(pod: &Value, runtime: &Runtime) -> bool {
    let named = |list: &str, name: &str| {
        pod["spec"][list]
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["name"] == name))
    };
    let mut containers = runtime
        .init_containers
        .iter()
        .map(|container| ("initContainers", container))
        .chain(
            runtime
                .containers
                .iter()
                .map(|container| ("containers", container)),
        )
        .peekable();
    if containers.peek().is_some() {
        return containers.any(|(list, container)| named(list, &container.item.identity));
    }
    let volumes = &runtime.volumes;
    !volumes.is_empty()
        && volumes
            .iter()
            .all(|volume| named("volumes", &volume.item.identity))
}

/// What a pod has beyond the configuration may come from elsewhere, such as default resources.
fn counts(change: &Change) -> bool {
    let exact = ["command", "args", "securityContext"];
    change.after.is_some()
        || change
            .path
            .rsplit('.')
            .next()
            .is_some_and(|field| exact.contains(&field))
}
