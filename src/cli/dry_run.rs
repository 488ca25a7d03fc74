//! `dry-run`: the webhook's decisions on manifests, without a cluster.

mod explain;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use engine::runtimes::DefaultRuntimes;

use self::output::DryRunReport;
use super::flags::{ClusterFlags, ConfigFlags, DecisionFlags};
use super::input::{Input, InputItem};
use super::offline::Offline;
use super::{Failure, terminal};
use crate::cluster::connect::{self, LookupMode, Surroundings};

#[derive(Debug, Args)]
#[command(
    after_help = "Input: Pods, AdmissionReviews, Lists, and pod-creating kinds: SandboxSet, Sandbox, SandboxTemplate, Pool,
BatchSandbox, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob. Other kinds are skipped.

Exit codes: 0 all allowed, 1 at least one pod denied, 2 something could not be read or decided.

Examples:
  What would the webhook do to this pod?
    sandbox-injector dry-run -f pod.yaml --region-id cn-hangzhou -o explain
  The pod after injection:
    sandbox-injector dry-run -f sandboxset.yaml --region-id cn-hangzhou -o yaml
  Decide as a cluster's webhook would, looking up owners:
    sandbox-injector dry-run -f pod.yaml --context prod --config-map sandbox-system/sandbox-injection-config
  With a configuration saved from the cluster:
    kubectl -n sandbox-system get configmap sandbox-injection-config -o yaml > config.yaml
    sandbox-injector dry-run -f manifests/ --config-file config.yaml --region-id cn-hangzhou -o diff"
)]
pub(super) struct DryRun {
    /// A file, a directory of .yaml, .yml and .json files, or - for stdin (repeatable)
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    /// Namespace for objects that do not set one
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "patch")]
    output: DryRunFormat,
    /// Runtimes to inject regardless of what the pods request: a comma-separated list, or none
    #[arg(long, value_name = "LIST")]
    runtimes: Option<DefaultRuntimes>,
    /// User to simulate as the pods' creator (for --privileged-creators)
    #[arg(long = "as", value_name = "USER")]
    creator: Option<String>,
    #[command(flatten)]
    config: ConfigFlags,
    /// Whether to look up the pods' owners [default: on with --kubeconfig or --context]
    #[arg(long, value_name = "MODE", help_heading = "Cluster")]
    lookups: Option<LookupMode>,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    decisions: DecisionFlags,
}

/// `-o`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRunFormat {
    /// The JSON Patch, one line per pod
    Patch,
    /// The AdmissionReview response, one line per pod
    Review,
    /// The pods after injection, separated by ---
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
        super::block_on(self.decide_all())
    }

    async fn decide_all(self) -> Result<ExitCode, Failure> {
        let Self {
            filename,
            namespace,
            output,
            runtimes,
            creator,
            config,
            lookups,
            cluster,
            decisions,
        } = self;
        let access = cluster.access();
        let config = config.load(&access).await?;
        // Offline unless a flag names a cluster: a KUBECONFIG that happens to be set does not
        // count.
        let named = access.kubeconfig.is_some() || access.context.is_some();
        let mode = lookups.unwrap_or(if named {
            LookupMode::On
        } else {
            LookupMode::Off
        });
        let client = connect::connect(&access, mode, &Surroundings::current()).await?;
        let offline = Offline::new(&decisions, runtimes, client);
        let input = Input::read(&filename, &namespace)?;
        let mut report = DryRunReport::new(output, &offline.settings);
        for item in input.items {
            match item {
                InputItem::Broken(message) => report.failed(&message),
                InputItem::Passed(place, passed) => report.passed(&place, &passed),
                InputItem::Pod(place, subject) => {
                    let verdict = offline
                        .decide(&config, &subject, creator.as_deref(), &[])
                        .await;
                    report.decided(&place, &subject, creator.as_deref(), &verdict)?;
                }
            }
        }
        let (failed, denied) = report.finish()?;
        Ok(terminal::exit_code(failed, denied))
    }
}
