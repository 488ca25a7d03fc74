//! `check`: findings on a configuration, who may use its privileged runtimes, and what a change
//! would do to pods.

mod output;
mod replay;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use engine::config::Config;
use engine::config::config_map::{ConfigMapName, Entries};
use engine::config::document::RuntimeDoc;
use engine::config::finding::{Code, Finding, Severity};
use engine::config::lint::{Checked, check};
use engine::runtimes::PrivilegedRules;

use self::replay::Replay;
use super::flags::{self, ClusterFlags, ConfigFlags, DecisionFlags, PodFlags};
use super::input::Pods;
use super::offline::Offline;
use super::terminal::{self, print};
use super::{FAILED, Failure, NEGATIVE};
use crate::cluster::Access;
use crate::cluster::connect::Surroundings;
use crate::serve::Configuration;
use crate::source::Source;

#[derive(Debug, Args)]
#[command(
    after_help = "With --against, saved pods or reviews (-f) or the pods of the cluster (--live) are replayed through both
configurations: the one being checked and the one it would replace. Items injected by the old
configuration are removed first.

Exit codes: 0 no errors, 1 errors (with --strict warnings too) or pods that would now be denied,
2 something could not be read.

Examples:
  Is this configuration right?
    sandbox-injector check --config-file config.yaml --region-id cn-hangzhou
  In CI: fail on warnings too, and print JSON
    sandbox-injector check --config-dir runtimes/ --region-id cn-hangzhou --strict -o json
  What would this change do to saved pods?
    sandbox-injector check --config-file new.yaml --against old.yaml -f pods/ --region-id cn-hangzhou
  And to running pods, compared with the configuration in the cluster?
    sandbox-injector check --config-file new.yaml --live -A --region-id cn-hangzhou"
)]
pub(super) struct Check {
    /// What to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: CheckFormat,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// The configuration to compare with: a directory, a ConfigMap manifest, or a ConfigMap in the
    /// cluster
    #[arg(
        long,
        value_name = "DIR|FILE|NAMESPACE/NAME",
        help_heading = "Comparison"
    )]
    against: Option<String>,
    /// Replay the sandbox pods running in the cluster [default for --against:
    /// sandbox-system/sandbox-injection-config]
    #[arg(long, conflicts_with = "filename", help_heading = "Comparison")]
    live: bool,
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
enum CheckFormat {
    /// A table
    Text,
    /// One JSON object
    Json,
}

/// Everything that is reported about a configuration.
struct CheckReport {
    source: String,
    findings: Vec<Finding>,
    runtimes: Vec<RuntimeReport>,
    replay: Option<Replay>,
}

/// What is reported about one runtime.
struct RuntimeReport {
    name: String,
    /// `None` while the region in it is unknown.
    revision: Option<String>,
    privileged: Vec<String>,
    /// Who may use it, if it is privileged.
    allowed: Option<String>,
    /// The flags that restrict it.
    restricted_by: Vec<&'static str>,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::block_on(self.check())
    }

    async fn check(self) -> Result<ExitCode, Failure> {
        let Self {
            output,
            strict,
            against,
            live,
            pods,
            config,
            cluster,
            decisions,
        } = &self;
        compared(against.as_deref(), *live, pods)?;
        let access = cluster.access();
        let (entries, source) = config.read(&access).await?;
        let mut checked = check(&entries, config.region_id.as_ref());
        // No pod waits for this run, and the webhook may know the region.
        for finding in checked
            .findings
            .iter_mut()
            .filter(|finding| finding.code == Code::NoRegion)
        {
            finding.severity = Severity::Warning;
        }
        let has = |severity| {
            checked
                .findings
                .iter()
                .any(|finding| finding.severity == severity)
        };
        let (errors, warnings) = (has(Severity::Error), has(Severity::Warning));
        let runtimes = runtimes(&checked, &decisions.settings(false, None).privileged);
        let mut failed = false;
        let replay = match (against.as_deref(), live) {
            (None, false) => None,
            _ if errors => {
                terminal::eprint_line(
                    "note: pods were not replayed because the configuration has errors; fix them first",
                );
                None
            }
            (against, _) => {
                let (replay, broken) = self.replay(&entries, &source, against, &access).await?;
                failed = broken;
                Some(replay)
            }
        };
        let denied = replay
            .as_ref()
            .is_some_and(|replay| replay.now_denied() > 0);
        let report = CheckReport {
            source,
            findings: checked.findings,
            runtimes,
            replay,
        };
        print(&match output {
            CheckFormat::Text => output::text(&report, terminal::colours()),
            CheckFormat::Json => output::json(&report),
        })?;
        Ok(match (failed, errors || denied || (*strict && warnings)) {
            (true, _) => ExitCode::from(FAILED),
            (_, true) => ExitCode::from(NEGATIVE),
            _ => ExitCode::SUCCESS,
        })
    }

    async fn replay(
        &self,
        entries: &Entries,
        source: &str,
        against: Option<&str>,
        access: &Access,
    ) -> Result<(Replay, bool), Failure> {
        let chosen = baseline(against)?;
        let (old_entries, old_source) = flags::read(&chosen, access).await?;
        let load = |entries: &Entries, source: &str| {
            Config::load(entries, self.config.region_id.as_ref())
                .map_err(|rejected| Failure(format!("{source}: {rejected}")))
        };
        let (new, old) = (load(entries, source)?, load(&old_entries, &old_source)?);
        let (pods, client) = if self.live {
            let client = access.required(&Surroundings::current()).await?;
            (Pods::of_cluster(&self.pods, &client).await?, Some(client))
        } else {
            (Pods::saved(&self.pods)?, None)
        };
        let offline = Offline::new(&self.decisions, None, client);
        let mut replay = Replay::new(old_source);
        for (place, subject) in &pods.found {
            replay.add(place, subject, [&old, &new], &offline).await?;
        }
        Ok((replay, pods.failed))
    }
}

/// Rejects combinations of flags that would do nothing.
fn compared(against: Option<&str>, live: bool, pods: &PodFlags) -> Result<(), Failure> {
    let files = !pods.filename.is_empty();
    let of_cluster = pods.all_namespaces || pods.selector.is_some();
    match against {
        Some(_) if !files && !live => Err(Failure(
            "--against needs pods to replay; pass -f FILE or --live".to_owned(),
        )),
        None if files => Err(Failure(
            "-f replays pods and needs --against; to check a file pass --config-file FILE"
                .to_owned(),
        )),
        _ if of_cluster && !live => Err(Failure(
            "-A and -l select pods from the cluster and require --live".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Where the configuration to compare with is.
fn baseline(against: Option<&str>) -> Result<Configuration, Failure> {
    let Some(text) = against else {
        return Ok(Configuration::ConfigMap(ConfigMapName::default()));
    };
    let path = Path::new(text);
    let is_file = [".json", ".yaml", ".yml"]
        .iter()
        .any(|ending| text.ends_with(ending));
    match text.parse::<ConfigMapName>() {
        _ if path.is_dir() => Ok(Configuration::Local(Source::Directory(path.to_owned()))),
        Ok(name) if !is_file && !path.exists() => Ok(Configuration::ConfigMap(name)),
        _ => Ok(Configuration::Local(Source::File(path.to_owned()))),
    }
}

fn runtimes(checked: &Checked, rules: &PrivilegedRules) -> Vec<RuntimeReport> {
    let report = |(name, value): &(String, serde_json::Value)| {
        let doc = RuntimeDoc::new(value);
        let privileged: Vec<String> = doc.privileges().iter().map(ToString::to_string).collect();
        let without_region = checked
            .findings
            .iter()
            .any(|finding| finding.code == Code::NoRegion && finding.runtime == *name);
        RuntimeReport {
            name: name.clone(),
            revision: (!without_region).then(|| doc.revision()),
            allowed: (!privileged.is_empty()).then(|| rules.in_words()),
            restricted_by: if privileged.is_empty() {
                Vec::new()
            } else {
                rules.flags()
            },
            privileged,
        }
    };
    checked.runtimes.iter().map(report).collect()
}
