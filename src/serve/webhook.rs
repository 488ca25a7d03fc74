//! The webhook in service: reviews answered with the configuration in use, counted and logged.
//!
//! The only place that joins the pure review to what a running process has: the store, the clock,
//! the metrics and the log. One line per decision; it names the pod and the runtimes and contains
//! nothing else of the pod.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use engine::budget::Budget;
use engine::config::config_map::ConfigMapName;
use engine::inject::decision::Action;
use engine::review::decide::{Decided, Ignored, Settings, Verdict};
use engine::review::decode::{MalformedReview, decode, decode_raw};
use engine::review::refusal::Refusal;
use engine::review::validate::{Validation, ValidationRules};
use engine::review::{Envelope, respond};
use engine::text::{NAME, clipped};
use tokio::time::Instant;

use crate::cluster::{self, Lookups};
use crate::metrics::{Admission, Metrics};
use crate::serve::store::{Active, Store};
use crate::server::{Reply, Reviews};

/// What one review may cost: far more than any pod that is created for its use, and no more than a
/// replica can bear. A 7 MiB review of a pod that repeats every item of the default configuration
/// stays far below both.
const MAX_STEPS: u64 = 50_000_000;
/// Bytes of JSON that one review may cause to be parsed after its first reading.
const MAX_PARSED_BYTES: u64 = 256 << 20;

/// Answers reviews.
#[derive(Debug)]
pub struct Webhook {
    store: Arc<Store>,
    settings: Settings,
    lookups: Option<Lookups>,
    metrics: Arc<Metrics>,
    validation: ValidationRules,
}

impl Webhook {
    /// A webhook that decides by `settings` with whatever configuration `store` has at the time.
    pub fn new(
        store: Arc<Store>,
        mut settings: Settings,
        lookups: Option<Lookups>,
        metrics: Arc<Metrics>,
    ) -> Self {
        settings.selection.lookups = lookups.is_some();
        let validation = ValidationRules {
            report_only: settings.report_only,
            ..ValidationRules::default()
        };
        Self {
            store,
            settings,
            lookups,
            metrics,
            validation,
        }
    }

    /// The ConfigMap that is validated, where it is not `sandbox-system/sandbox-injection-config`.
    #[must_use]
    pub fn validating(mut self, config_map: ConfigMapName) -> Self {
        self.validation.config_map = config_map;
        self
    }

    /// Counts and logs a decision.
    fn record(
        &self,
        envelope: Envelope<'_>,
        decided: &Decided<'_>,
        active: &Active,
        begun: Instant,
    ) {
        let counted = counted(&decided.verdict, self.settings.report_only);
        let Line {
            namespace,
            name,
            uid,
            micros,
        } = count(&self.metrics, counted, &envelope, begun);
        let Decided {
            by,
            runtimes,
            verdict,
        } = decided;
        for runtime in runtimes {
            let Some(counters) = active.counters(runtime) else {
                continue;
            };
            match verdict {
                Verdict::Injected(_) if counted == Admission::Injected => counters.injection(),
                Verdict::Denied(denied) if conflicts(&denied.refusal, &runtime.name) => {
                    counters.conflict();
                }
                _ => {}
            }
        }
        if !tracing::enabled!(tracing::Level::WARN) {
            return;
        }
        let runtimes = runtimes
            .iter()
            .map(|runtime| runtime.name.as_str())
            .collect::<Vec<_>>()
            .join(",");
        let decided_by = by.map_or("-", |by| by.as_str());
        // The words of every other report; what is counted apart from them is in the metrics.
        let said = verdict.as_str();
        let enforced = !self.settings.report_only;
        let count = |action| {
            decided
                .decisions()
                .iter()
                .filter(|decision| decision.action == action)
                .count()
        };
        match verdict {
            // Most pods are not sandbox pods: log those at debug.
            Verdict::Ignored(why @ (Ignored::NotAPod | Ignored::NotASandbox)) => {
                let why = why.as_str();
                tracing::debug!(outcome = said, why, namespace, name, uid, micros, "review");
            }
            Verdict::Ignored(why) => {
                let why = why.as_str();
                tracing::info!(
                    outcome = said,
                    why,
                    namespace,
                    name,
                    uid,
                    decided_by,
                    micros,
                    "review"
                );
            }
            Verdict::Injected(_) => tracing::info!(
                outcome = said,
                enforced,
                namespace,
                name,
                uid,
                decided_by,
                runtimes,
                added = count(Action::Added),
                unchanged = count(Action::Unchanged),
                chained = count(Action::Chained),
                kept = count(Action::Kept),
                micros,
                "review"
            ),
            Verdict::Denied(denied) => tracing::warn!(
                outcome = said,
                enforced,
                namespace,
                name,
                uid,
                decided_by,
                runtimes,
                code = denied.refusal.code(),
                conflict = count(Action::Conflict),
                why = why(&denied.refusal),
                micros,
                "review"
            ),
        }
    }

    fn malformed(&self, malformed: &MalformedReview, begun: Instant) -> Reply {
        self.metrics
            .admission(Admission::Malformed, begun.elapsed());
        tracing::warn!(outcome = Admission::Malformed.as_str(), why = %malformed, "review");
        Reply::status(
            StatusCode::BAD_REQUEST,
            &format!("sandbox-injector: {malformed}"),
        )
    }
}

/// What the line in the log says of every review.
struct Line<'r> {
    namespace: &'r str,
    name: &'r str,
    uid: &'r str,
    micros: u64,
}

/// Counts a review that has been answered.
fn count<'r>(
    metrics: &Metrics,
    admission: Admission,
    envelope: &Envelope<'r>,
    begun: Instant,
) -> Line<'r> {
    let elapsed = begun.elapsed();
    metrics.admission(admission, elapsed);
    let Envelope {
        uid,
        namespace,
        name,
    } = envelope;
    Line {
        namespace: clipped(namespace, NAME),
        name: clipped(name, NAME),
        uid: clipped(uid, NAME),
        micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    }
}

fn counted(verdict: &Verdict<'_>, report_only: bool) -> Admission {
    match verdict {
        Verdict::Ignored(_) => Admission::Ignored,
        Verdict::Injected(plan) if plan.operations.is_empty() => Admission::Unchanged,
        Verdict::Injected(_) | Verdict::Denied(_) if report_only => Admission::Reported,
        Verdict::Injected(_) => Admission::Injected,
        Verdict::Denied(denial) if denial.refusal.is_failure() => Admission::Failed,
        Verdict::Denied(_) => Admission::Denied,
    }
}

fn validated(validation: &Validation<'_>, report_only: bool) -> Admission {
    match (&validation.denial, validation.kind) {
        (Some(_), _) if report_only => Admission::Reported,
        (Some(_), _) => Admission::Denied,
        (None, Some(_)) => Admission::Valid,
        (None, None) => Admission::Ignored,
    }
}

/// The first reasons; the API server has them all.
fn why(refusal: &Refusal) -> String {
    const LOGGED: usize = 8;
    let mut lines: Vec<String> = refusal.lines().take(LOGGED).collect();
    let more = refusal.lines().skip(LOGGED).count();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

fn conflicts(refusal: &Refusal, runtime: &str) -> bool {
    refusal
        .causes()
        .iter()
        .any(|cause| cause.runtime.as_deref() == Some(runtime))
}

impl Reviews for Webhook {
    async fn mutate(&self, body: Bytes, deadline: Instant) -> Reply {
        let begun = Instant::now();
        let Some(active) = self.store.current() else {
            self.metrics.admission(Admission::Failed, begun.elapsed());
            return Reply::overloaded(
                "sandbox-injector has no configuration yet; see its /readyz for the reason",
            );
        };
        let review = match decode(&body) {
            Ok(review) => review,
            Err(malformed) => return self.malformed(&malformed, begun),
        };
        let mut budget = Budget::new(MAX_STEPS, MAX_PARSED_BYTES);
        let progress = review.decide(&active.config, &self.settings, &mut budget);
        let decided = cluster::settle(progress, self.lookups.as_ref(), &mut budget, deadline).await;
        let envelope = review.envelope();
        let answer = respond::write(envelope.uid, &decided, self.settings.report_only);
        self.record(envelope, &decided, &active, begun);
        Reply::json(answer)
    }

    async fn validate(&self, body: Bytes, _deadline: Instant) -> Reply {
        let begun = Instant::now();
        let (rules, region) = (self.validation.clone(), self.store.region());
        let metrics = Arc::clone(&self.metrics);
        // A large ConfigMap takes milliseconds, in which reviews of pods must not wait.
        let work = tokio::task::spawn_blocking(move || {
            let review = decode_raw(&body)?;
            let validation = review.validate(&rules, region.as_ref())?;
            record_validation(&metrics, &validation, rules.report_only, begun);
            Ok(respond::write_validation(&validation, rules.report_only))
        });
        match work.await {
            Ok(Ok(answer)) => Reply::json(answer),
            Ok(Err(malformed)) => self.malformed(&malformed, begun),
            Err(_) => {
                self.metrics.admission(Admission::Panicked, begun.elapsed());
                Reply::status(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "sandbox-injector: the check failed unexpectedly; see its log",
                )
            }
        }
    }
}

/// Counts and logs a validation.
fn record_validation(
    metrics: &Metrics,
    validation: &Validation<'_>,
    report_only: bool,
    begun: Instant,
) {
    let counted = validated(validation, report_only);
    let Validation {
        envelope,
        kind,
        denial,
        warnings,
    } = validation;
    let Line {
        namespace,
        name,
        uid,
        micros,
    } = count(metrics, counted, envelope, begun);
    let (outcome, subject) = (counted.as_str(), kind.map_or("-", |kind| kind.as_str()));
    match (kind, denial) {
        (_, Some(denial)) => {
            // The first says enough; the API server has them all.
            let why = denial.refusal.lines().next().unwrap_or_default();
            let reasons = denial.refusal.causes().len();
            tracing::warn!(
                outcome,
                kind = subject,
                namespace,
                name,
                uid,
                reasons,
                why,
                micros,
                "validation"
            );
        }
        (Some(_), None) => {
            let warnings = warnings.len();
            tracing::info!(
                outcome,
                kind = subject,
                namespace,
                name,
                uid,
                warnings,
                micros,
                "validation"
            );
        }
        (None, None) => {
            tracing::debug!(
                outcome,
                kind = subject,
                namespace,
                name,
                uid,
                micros,
                "validation"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::config::Config;
    use engine::runtimes::Question;
    use serde_json::{Value, json};

    use super::*;
    use crate::source::Source;

    fn config() -> Config {
        let region = "cn-hangzhou".parse().unwrap();
        Config::load(&Source::Embedded.read().unwrap(), Some(&region)).unwrap()
    }

    fn review(fill: impl FnOnce(&mut Value)) -> Vec<u8> {
        let recorded = include_str!("../../testdata/reviews/01-kruise-sandboxset-pod.json");
        let mut review: Value = serde_json::from_str(recorded).unwrap();
        let pod = &mut review["request"]["object"];
        pod["metadata"]["annotations"]["sandbox-injector.io/runtimes"] = "agent-runtime,csi".into();
        fill(pod);
        review.to_string().into_bytes()
    }

    /// What a review costs, as a share of what it may.
    fn share(body: &[u8]) -> f64 {
        let (review, config, settings) = (decode(body).unwrap(), config(), Settings::default());
        let mut budget = Budget::unlimited();
        let progress = review.decide(&config, &settings, &mut budget);
        progress.finish(&mut budget, |question: &Question| {
            panic!("look-ups are off: {question:?}")
        });
        let spent = budget.spent();
        (spent.steps as f64 / MAX_STEPS as f64).max(spent.bytes as f64 / MAX_PARSED_BYTES as f64)
    }

    #[test]
    fn a_pod_of_a_mebibyte_costs_less_than_a_hundredth_of_what_it_may() {
        assert!(share(&review(|_| {})) < 1e-4);
        let large = review(|pod| {
            let env: Vec<Value> = (0..1000)
                .map(|number| json!({"name": format!("E{number}"), "value": "x".repeat(1100)}))
                .collect();
            pod["spec"]["containers"][0]["env"] = env.into();
        });
        assert!(large.len() > 1 << 20);
        assert!(share(&large) < 1e-2);
    }

    #[test]
    fn the_largest_review_that_is_accepted_stays_below_what_it_may_cost() {
        let repeated = review(|pod| {
            // As long as lists may be, each item with an identity that the configuration has, in
            // every container.
            let config = config();
            let names =
                |of: fn(&engine::config::MainContainer) -> &[engine::config::Item]| -> Vec<String> {
                    let items = config
                        .runtimes()
                        .iter()
                        .flat_map(|runtime| of(&runtime.main));
                    items.map(|item| item.identity.clone()).collect()
                };
            let (env, mounts) = (names(|main| &main.env), names(|main| &main.volume_mounts));
            let repeat = |names: &[String], count: usize, item: fn(&str) -> Value| -> Vec<Value> {
                names
                    .iter()
                    .cycle()
                    .take(count)
                    .map(|name| item(name))
                    .collect()
            };
            let container = &mut pod["spec"]["containers"][0];
            container["env"] = repeat(
                &env,
                10_000,
                |name| json!({"name": name, "value": "x".repeat(200)}),
            )
            .into();
            container["volumeMounts"] = repeat(
                &mounts,
                10_000,
                |path| json!({"name": "envd-volume", "mountPath": path}),
            )
            .into();
            let volumes = config
                .runtimes()
                .iter()
                .flat_map(|runtime| &runtime.volumes);
            let volumes: Vec<String> = volumes.map(|volume| volume.item.identity.clone()).collect();
            pod["spec"]["volumes"] = repeat(
                &volumes,
                10_000,
                |name| json!({"name": name, "emptyDir": {}}),
            )
            .into();
            let others = (0..10_000).map(|number| {
                json!({"name": format!("c{number}"), "volumeMounts": [{"name": "run-cnfs", "mountPath": "/run/cnfs"}]})
            });
            pod["spec"]["initContainers"] = others.collect();
            let filler = (7_usize << 20).saturating_sub(pod.to_string().len());
            pod["metadata"]["annotations"]["filler"] = "x".repeat(filler).into();
        });
        assert!(repeated.len() >= 7 << 20, "{} bytes", repeated.len());
        assert!(share(&repeated) < 0.5);
    }
}
