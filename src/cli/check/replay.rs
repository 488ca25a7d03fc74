//! The same pods through two configurations.

use engine::config::{Config, Runtime};
use engine::inject::diff::{Change, changes};
use engine::inject::undo::{Known, mark, uninject};
use engine::workload::InputPod;
use serde_json::{Value, json};

use super::super::offline::{Offline, after, operations, reasons};
use super::Failure;

/// The results of all pods.
pub(super) struct Replay {
    pub(super) against: String,
    pub(super) pods: usize,
    pub(super) different: Vec<ReplayedPod>,
}

/// A pod on which the two configurations differ.
pub(super) struct ReplayedPod {
    pub(super) place: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The outcome with the old configuration, and with the new one.
    pub(super) outcomes: [&'static str; 2],
    /// Why it would now be denied.
    pub(super) reasons: Vec<String>,
    pub(super) changes: Vec<Change>,
}

/// What one configuration makes of a pod.
struct Injected {
    outcome: &'static str,
    pod: Value,
    reasons: Vec<String>,
}

impl ReplayedPod {
    pub(super) fn now_denied(&self) -> bool {
        matches!(self.outcomes, [before, "denied"] if before != "denied")
    }

    pub(super) fn json(&self) -> Value {
        let Self {
            place,
            namespace,
            name,
            outcomes: [before, after],
            reasons,
            changes,
        } = self;
        let fields: Vec<Value> = changes.iter().map(Change::json).collect();
        json!({"place": place, "namespace": namespace, "name": name, "before": before, "after": after,
            "reasons": reasons, "fields": fields})
    }
}

impl Replay {
    pub(super) fn new(against: String) -> Self {
        Self {
            against,
            pods: 0,
            different: Vec::new(),
        }
    }

    pub(super) fn now_denied(&self) -> usize {
        self.different.iter().filter(|pod| pod.now_denied()).count()
    }

    /// Replays one pod; other pods do not count.
    pub(super) async fn add(
        &mut self,
        place: &str,
        subject: &InputPod,
        [old, new]: [&Config; 2],
        offline: &Offline,
    ) -> Result<(), Failure> {
        if !offline
            .settings
            .selection
            .may_be_sandbox(&subject.pod.to_string())
        {
            return Ok(());
        }
        self.pods += 1;
        let marked = mark(&subject.pod).unwrap_or_default();
        let brought: Vec<&Runtime> = marked
            .iter()
            .filter_map(|(name, _)| old.runtime(name))
            .collect();
        let pristine = InputPod {
            pod: uninject(&subject.pod, &brought, Known::Equal),
            ..subject.clone()
        };
        let names = offline.requested(
            &subject.pod,
            marked.into_iter().map(|(name, _)| name).collect(),
        );
        let before = made(&pristine, &names, old, offline).await?;
        let after = made(&pristine, &names, new, offline).await?;
        let changes = changes(&before.pod, &after.pod);
        let denied = |made: &Injected| made.outcome == "denied";
        if changes.is_empty()
            && denied(&before) == denied(&after)
            && before.reasons == after.reasons
        {
            return Ok(());
        }
        // A pod that is denied has no other fields.
        let changes = if denied(&after) { Vec::new() } else { changes };
        self.different.push(ReplayedPod {
            place: place.to_owned(),
            namespace: subject.namespace.clone(),
            name: subject.origin.name.clone(),
            outcomes: [before.outcome, after.outcome],
            reasons: after.reasons,
            changes,
        });
        Ok(())
    }
}

async fn made(
    subject: &InputPod,
    marked: &[String],
    config: &Config,
    offline: &Offline,
) -> Result<Injected, Failure> {
    let decided = offline.decide(config, subject, None, marked).await;
    let reasons = reasons(&decided)?;
    Ok(Injected {
        outcome: decided.verdict.as_str(),
        pod: after(&subject.pod, &operations(&decided))?,
        reasons,
    })
}
