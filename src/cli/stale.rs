//! `stale`: pods injected with a configuration other than the current one.

mod compare;
mod output;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::compare::Comparison;
use super::Failure;
use super::flags::{ClusterFlags, ConfigFlags, DecisionFlags, PodFlags};
use super::input::Pods;
use super::offline::Offline;
use super::terminal::{self, eprint_line, print};
use crate::cluster::connect::{self, LookupMode, Surroundings};

#[derive(Debug, Args)]
#[command(
    after_help = "A pod is stale when its mark (the annotation sandbox-injector.io/status) differs from what a new pod would get:

  changed    the runtime is configured differently now
  removed    the runtime is not configured any more
  added      a new pod would get the runtime; this one does not have it
  withdrawn  a new pod would not get the runtime any more
  unmarked   the pod has the runtime, but no mark says which revision

For saved pods, what the owner requested is taken from the mark; for cluster pods, the owner is looked up.

Exit codes: 0 nothing is stale, 1 something is, 2 something could not be read.

Examples:
  Which pods of the cluster would a rollout change?
    sandbox-injector stale -A --config-map sandbox-system/sandbox-injection-config --region-id cn-hangzhou
  And what would change in them?
    sandbox-injector stale -n default -o diff --config-file config.yaml --region-id cn-hangzhou
  In saved pods:
    kubectl get pods -A -o yaml > pods.yaml
    sandbox-injector stale -f pods.yaml --config-file config.yaml --region-id cn-hangzhou -o json"
)]
pub(super) struct Stale {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StaleFormat,
    #[command(flatten)]
    pods: PodFlags,
    #[command(flatten)]
    config: ConfigFlags,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    decisions: DecisionFlags,
}

/// `-o`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StaleFormat {
    /// One line per pod and runtime: the old and the new revision
    Table,
    /// What a new pod would have instead
    Diff,
    /// One JSON object, with the fields
    Json,
}

impl Stale {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::block_on(self.find())
    }

    async fn find(self) -> Result<ExitCode, Failure> {
        let Self {
            output,
            pods: flags,
            config,
            cluster,
            decisions,
        } = &self;
        let access = cluster.access();
        let config = config.load(&access).await?;
        let (pods, client) = if flags.filename.is_empty() {
            let client =
                connect::connect(&access, LookupMode::On, &Surroundings::current()).await?;
            let Some(client) = client else {
                return Err(Failure(
                    "no cluster configured; pass saved pods with -f FILE".to_owned(),
                ));
            };
            (Pods::of_cluster(flags, &client).await?, Some(client))
        } else {
            (Pods::saved(flags)?, None)
        };
        let comparison = Comparison {
            config: &config,
            offline: Offline::new(decisions, None, client),
        };
        let (mut looked_at, mut stale) = (0, Vec::new());
        for (place, subject) in &pods.found {
            if subject.origin.kind != "Pod" {
                eprint_line(&format!(
                    "note: {place}: not a running pod; nothing has been injected yet"
                ));
                continue;
            }
            let Some(found) = comparison.compare(place, subject).await? else {
                continue;
            };
            looked_at += 1;
            if !found.runtimes.is_empty() {
                stale.push(found);
            }
        }
        match output {
            StaleFormat::Table if stale.is_empty() => {}
            StaleFormat::Table => print(&output::table(&stale, terminal::colours()))?,
            StaleFormat::Diff => print(&output::diff(&stale, terminal::colours()))?,
            StaleFormat::Json => print(&output::json(&stale, looked_at))?,
        }
        eprint_line(&format!(
            "{} of {looked_at} sandbox {} stale",
            stale.len(),
            if looked_at == 1 { "pod is" } else { "pods are" }
        ));
        Ok(terminal::exit_code(pods.failed, !stale.is_empty()))
    }
}
