//! The webhook's decisions on the pods of an input: what every offline verb starts from.

use std::sync::Arc;
use std::time::Duration;

use engine::budget::Budget;
use engine::config::Config;
use engine::patch;
use engine::pod::Pod;
use engine::review::decide::{self, Decided, Ignored, Settings, Verdict};
use engine::runtimes::{Candidate, DecidedBy, DefaultRuntimes};
use engine::systems::System;
use engine::systems::kruise::KruiseKind;
use engine::workload::InputPod;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;

use super::Failure;
use super::flags::DecisionFlags;
use crate::cluster::{self, Lookups};
use crate::metrics::Metrics;

/// Offline no pod waits for the answer; this only bounds calls to a cluster.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How pods are decided on, and the cluster in which their owners are looked up, if there is one.
pub(super) struct Offline {
    pub(super) settings: Settings,
    lookups: Option<Lookups>,
}

impl Offline {
    /// Decisions by the `flags`, with look-ups through `client`. `forced` runtimes replace every
    /// rule.
    pub(super) fn new(
        flags: &DecisionFlags,
        forced: Option<DefaultRuntimes>,
        client: Option<Client>,
    ) -> Self {
        let lookups = client.map(|client| Lookups::new(client, Arc::new(Metrics::new())));
        let mut settings = flags.settings(false, forced);
        settings.selection.lookups = lookups.is_some();
        Self { settings, lookups }
    }

    /// Decides on one pod.
    ///
    /// `creator` is the user who creates it, where a recorded review does not say that. `marked`
    /// are the runtimes that the pod got when it was created; they stand for what its owner
    /// requests where that can be neither read nor looked up.
    pub(super) async fn decide<'c>(
        &self,
        config: &'c Config,
        subject: &InputPod,
        creator: Option<&str>,
        marked: &[String],
    ) -> Decided<'c> {
        let text = subject.pod.to_string();
        let settings = &self.settings;
        match Pod::read(&text) {
            Ok(pod) => {
                let reviewed = subject
                    .review
                    .as_ref()
                    .map(|review| review.username.as_str());
                let candidate = Candidate {
                    pod: &pod,
                    namespace: &subject.namespace,
                    creator: creator.or(reviewed),
                    declared: self.declared(subject, marked),
                };
                let (mut budget, deadline) = (Budget::unlimited(), Instant::now() + LOOKUP_TIMEOUT);
                let progress = decide::decide(candidate, config, settings, &mut budget);
                cluster::settle(progress, self.lookups.as_ref(), &mut budget, deadline).await
            }
            Err(_) if !settings.selection.may_be_sandbox(&text) => {
                Decided::ignored(Ignored::NotASandbox)
            }
            Err(error) => Decided::malformed_pod(&subject.origin.name, error),
        }
    }

    /// What the manifest that a pod was made of says, else the pod's mark.
    fn declared<'s>(
        &self,
        subject: &'s InputPod,
        marked: &'s [String],
    ) -> Option<(DecidedBy, &'s [String])> {
        if let Some(declared) = &subject.declared {
            let by = match declared.kind {
                KruiseKind::SandboxSet => DecidedBy::SandboxSet,
                _ => DecidedBy::Sandbox,
            };
            return Some((by, &declared.runtimes));
        }
        (!marked.is_empty() && self.lookups.is_none()).then_some((DecidedBy::Sandbox, marked))
    }

    /// The runtimes that a pod `has`, where they stand for what its owner requests: for pods whose
    /// labels say it themselves, none do.
    pub(super) fn requested(&self, pod: &Value, has: Vec<String>) -> Vec<String> {
        let text = pod.to_string();
        let pod = serde_json::from_str(&text).ok();
        match pod.and_then(|pod| self.settings.selection.system(&pod).ok().flatten()) {
            Some(System::OpenKruise) => has,
            _ => Vec::new(),
        }
    }
}

/// Why a pod is denied, one reason per line; empty when it is not. A decision that could not be
/// made is a failure.
pub(super) fn reasons(decided: &Decided<'_>) -> Result<Vec<String>, Failure> {
    match &decided.verdict {
        Verdict::Denied(denial) if denial.refusal.is_failure() => {
            Err(Failure(denial.refusal.message()))
        }
        Verdict::Denied(denial) => Ok(denial.refusal.lines().collect()),
        Verdict::Ignored(_) | Verdict::Injected(_) => Ok(Vec::new()),
    }
}

/// The patch as JSON; an empty list where nothing changes.
pub(super) fn operations(decided: &Decided<'_>) -> String {
    let mut out = Vec::new();
    match &decided.verdict {
        Verdict::Injected(plan) => patch::write(&plan.operations, &mut out),
        Verdict::Ignored(_) | Verdict::Denied(_) => out.extend_from_slice(b"[]"),
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
