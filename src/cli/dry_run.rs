//! `dry-run`: the webhook's decisions on manifests, without a cluster.

mod explain;
mod input;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::Instant;

use self::input::{Given, Input};
use self::output::Report;
use super::flags::{ClusterFlags, ConfigFlags, DecisionFlags};
use super::{Failure, terminal};
use crate::cluster::Lookups;
use crate::cluster::connect::{self, Mode, Surroundings};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pod::{Pod, ShapeError, reason};
use crate::review::verdict::{self, Candidate, Passed, Settings, Verdict};
use crate::runtimes::{DecidedBy, DefaultRuntimes, Lookup, LookupError, Question};
use crate::workload::Subject;

/// Offline nobody waits for the answer; this only bounds questions to a cluster.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(
    after_help = "Input: Pods, AdmissionReviews, Lists, and what makes pods: SandboxSet, Sandbox, SandboxTemplate, Pool,
BatchSandbox, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob. Other kinds are passed over.

Exit codes: 0 all allowed, 1 at least one pod denied, 2 something could not be read or decided.

Examples:
  What would the webhook do to this pod?
    sandbox-injector dry-run -f pod.yaml --region-id cn-hangzhou -o explain
  The pod after injection:
    sandbox-injector dry-run -f sandboxset.yaml --region-id cn-hangzhou -o yaml
  As the webhook of a cluster would decide, owners looked up:
    sandbox-injector dry-run -f pod.yaml --context prod --config-map sandbox-system/sandbox-injection-config
  With a configuration saved from the cluster:
    kubectl -n sandbox-system get configmap sandbox-injection-config -o yaml > config.yaml
    sandbox-injector dry-run -f manifests/ --config-file config.yaml --region-id cn-hangzhou -o diff"
)]
pub(super) struct DryRun {
    /// A file, a directory of .yaml, .yml and .json files, or - for stdin (repeatable)
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "patch")]
    output: Format,
    /// Runtimes to inject, whatever the pods ask for: a comma-separated list, or none
    #[arg(long, value_name = "LIST")]
    runtimes: Option<DefaultRuntimes>,
    /// Who creates the pods, for --privileged-creators
    #[arg(long = "as", value_name = "USER")]
    creator: Option<String>,
    #[command(flatten)]
    config: ConfigFlags,
    /// Whether the pods' owners are looked up [default: on with --kubeconfig or --context]
    #[arg(long, value_name = "auto|on|off", help_heading = "Cluster")]
    lookups: Option<Mode>,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    decisions: DecisionFlags,
}

/// `-o`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The JSON Patch, one line a pod
    Patch,
    /// The AdmissionReview response, one line a pod
    Review,
    /// The pods after injection, --- between them
    Yaml,
    /// The pod after injection, or a List of several
    Json,
    /// What changes, line by line
    Diff,
    /// A table of every item: runtime, field, action, why
    Explain,
}

impl DryRun {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.decide_all())
    }

    async fn decide_all(self) -> Result<ExitCode, Failure> {
        let Self { filename, namespace, output, runtimes, creator, config, lookups, cluster, decisions } =
            self;
        let access = cluster.access();
        let config = config.load(&access).await?;
        // Offline unless somebody named a cluster: a KUBECONFIG that happens to be set names none.
        let named = access.kubeconfig.is_some() || access.context.is_some();
        let mode = lookups.unwrap_or(if named { Mode::On } else { Mode::Off });
        let client = connect::connect(&access, mode, &Surroundings::current()).await?;
        let lookups = client.map(|client| Lookups::new(client, Arc::new(Metrics::new())));
        let settings = decisions.settings(false, runtimes);
        let input = Input::read(&filename, &namespace)?;
        let mut report = Report::new(output, &settings);
        for given in input.given {
            match given {
                Given::Broken(message) => report.failed(&message),
                Given::Passed(place, passed) => report.passed(&place, &passed),
                Given::Pod(place, subject) => {
                    let declared = Declared { subject: &subject, lookups: &lookups };
                    let verdict = decide(&subject, creator.as_deref(), &config, &settings, &declared).await;
                    report.decided(&place, &subject, creator.as_deref(), &verdict)?;
                }
            }
        }
        let (failed, denied) = report.finish()?;
        Ok(terminal::exit_code(failed, denied))
    }
}

async fn decide<'c>(
    subject: &Subject,
    creator: Option<&str>,
    config: &'c Config,
    settings: &Settings,
    declared: &Declared<'_>,
) -> Verdict<'c> {
    let text = subject.pod.to_string();
    let mut reader = serde_json::Deserializer::from_str(&text);
    match serde_path_to_error::deserialize::<_, Pod<'_>>(&mut reader) {
        Ok(pod) => {
            let reviewed = subject.review.as_ref().map(|review| review.username.as_str());
            let candidate =
                Candidate { pod: &pod, namespace: &subject.namespace, creator: creator.or(reviewed) };
            verdict::decide(candidate, config, settings, declared, Instant::now() + PATIENCE).await
        }
        Err(_) if !settings.rules.may_be_sandbox(&text) => Verdict::passed(Passed::NotSandbox),
        Err(error) => {
            let field = error.path().to_string();
            Verdict::no_pod(&subject.origin.name, ShapeError::new(field, reason(error.inner())))
        }
    }
}

/// Answers from the manifest that a pod was made of, else from the cluster.
struct Declared<'s> {
    subject: &'s Subject,
    lookups: &'s Option<Lookups>,
}

impl Lookup for Declared<'_> {
    fn is_on(&self) -> bool {
        self.lookups.is_on()
    }

    fn known(&self) -> Option<(DecidedBy, Vec<String>)> {
        let declared = self.subject.declared.as_ref()?;
        let by = if declared.kind == "SandboxSet" { DecidedBy::SandboxSet } else { DecidedBy::Sandbox };
        Some((by, declared.runtimes.clone()))
    }

    async fn declared(
        &self,
        question: Question<'_>,
        deadline: Instant,
    ) -> Result<Option<Vec<String>>, LookupError> {
        self.lookups.declared(question, deadline).await
    }
}
