//! The webhook's decision on one pod of the input, and what becomes of the pod.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use crate::cluster::{self, Lookups};
use crate::metrics::Metrics;
use engine::budget::Budget;
use engine::config::Config;
use engine::patch;
use engine::pod::Pod;
use engine::review::decide::{self, Candidate, Outcome, Passed, Settings, Verdict};
use engine::runtimes::DecidedBy;
use engine::workload::Subject;

/// Offline nobody waits for the answer; this only bounds questions to a cluster.
const PATIENCE: Duration = Duration::from_secs(10);

/// Look-ups through a client, if there is one.
pub(super) fn lookups(client: Option<kube::Client>) -> Option<Lookups> {
    client.map(|client| Lookups::new(client, Arc::new(Metrics::new())))
}

/// Decides on one pod. `creator` is who creates it, where a recorded review does not say that.
pub(super) async fn decide<'c>(
    subject: &Subject,
    creator: Option<&str>,
    config: &'c Config,
    settings: &Settings,
    declared: &Declared<'_>,
) -> Verdict<'c> {
    let text = subject.pod.to_string();
    match Pod::read(&text) {
        Ok(pod) => {
            let reviewed = subject.review.as_ref().map(|review| review.username.as_str());
            let candidate = Candidate {
                pod: &pod,
                namespace: &subject.namespace,
                creator: creator.or(reviewed),
                declared: declared.known(),
            };
            let mut budget = Budget::unlimited();
            let progress = decide::decide(candidate, config, settings, &mut budget);
            cluster::settle(progress, declared.lookups.as_ref(), &mut budget, Instant::now() + PATIENCE).await
        }
        Err(_) if !settings.rules.may_be_sandbox(&text) => Verdict::passed(Passed::NotSandbox),
        Err(error) => Verdict::malformed_pod(&subject.origin.name, error),
    }
}

/// What is known of a pod's owner beside the pod.
pub(super) struct Declared<'s> {
    pub(super) subject: &'s Subject,
    pub(super) lookups: &'s Option<Lookups>,
    /// What a pod got when it was created, for want of anybody who could be asked; empty where that does not count.
    pub(super) marked: &'s [String],
}

impl Declared<'_> {
    /// What the manifest that a pod was made of says, else the pod's mark.
    fn known(&self) -> Option<(DecidedBy, &[String])> {
        if let Some(declared) = &self.subject.declared {
            let by = if declared.kind == "SandboxSet" { DecidedBy::SandboxSet } else { DecidedBy::Sandbox };
            return Some((by, &declared.runtimes));
        }
        (!self.marked.is_empty() && self.lookups.is_none()).then_some((DecidedBy::Sandbox, self.marked))
    }
}

/// The patch as JSON; an empty list where nothing changes.
pub(super) fn operations(verdict: &Verdict<'_>) -> String {
    let mut out = Vec::new();
    match &verdict.outcome {
        Outcome::Injected(plan) => patch::write(&plan.operations, &mut out),
        Outcome::Passed(_) | Outcome::Denied(_) => out.extend_from_slice(b"[]"),
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pod after the patch, applied as the API server applies it.
pub(super) fn after(pod: &Value, operations: &str) -> Result<Value, Failure> {
    let patch: json_patch::Patch = serde_json::from_str(operations)?;
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch)?;
    Ok(pod)
}
