//! Flags that several verbs share, with one meaning.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use engine::config::Config;
use engine::config::config_map::{ConfigMapName, Entries};
use engine::config::region::Region;
use engine::inject;
use engine::pattern::Pattern;
use engine::review::decide::Settings;
use engine::runtimes::{DefaultRuntimes, PodLabel, PrivilegedRules, SelectionRules};

use super::Failure;
use crate::cluster::connect::{LookupMode, Surroundings};
use crate::cluster::{Access, config_map};
use crate::serve::Configuration;
use crate::source::Source;
use crate::telemetry::LogFormat;

/// Where the configuration comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigFlags {
    /// A mounted ConfigMap: a directory with one file per runtime
    #[arg(long, value_name = "DIR", group = "source")]
    pub config_dir: Option<PathBuf>,
    /// A ConfigMap manifest
    #[arg(long, value_name = "FILE", group = "source")]
    pub config_file: Option<PathBuf>,
    /// A ConfigMap in the cluster
    #[arg(long, value_name = "NAMESPACE/NAME", group = "source")]
    pub config_map: Option<ConfigMapName>,
    #[allow(rustdoc::invalid_html_tags, reason = "help is plain text")]
    /// Value substituted for <region-id>, such as cn-hangzhou
    #[arg(long, value_name = "REGION", env = "REGION_ID")]
    pub region_id: Option<Region>,
}

impl ConfigFlags {
    /// The chosen source, or the embedded default.
    pub(super) fn chosen(&self) -> Configuration {
        Configuration::Local(
            match (&self.config_dir, &self.config_file, &self.config_map) {
                (.., Some(name)) => return Configuration::ConfigMap(name.clone()),
                (Some(directory), ..) => Source::Directory(directory.clone()),
                (None, Some(file), None) => Source::File(file.clone()),
                (None, None, None) => Source::Embedded,
            },
        )
    }

    /// Reads the configuration now, and returns where it is from.
    pub(super) async fn read(&self, access: &Access) -> Result<(Entries, String), Failure> {
        read(&self.chosen(), access).await
    }

    /// Reads and loads the configuration now.
    pub(super) async fn load(&self, access: &Access) -> Result<Config, Failure> {
        let (entries, name) = self.read(access).await?;
        Config::load(&entries, self.region_id.as_ref())
            .map_err(|rejected| Failure(format!("{name}: {rejected}")))
    }
}

/// Reads a configuration now, and returns where it is from.
pub(super) async fn read(
    from: &Configuration,
    access: &Access,
) -> Result<(Entries, String), Failure> {
    match from {
        Configuration::Local(source) => Ok((source.read()?, source.to_string())),
        Configuration::ConfigMap(name) => {
            let client = access.required(&Surroundings::current()).await?;
            Ok((
                config_map::read(&client, name).await?,
                format!("ConfigMap {name}"),
            ))
        }
    }
}

/// Which cluster to use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterFlags {
    /// A kubeconfig file [default: KUBECONFIG, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterFlags {
    pub(super) fn access(&self) -> Access {
        Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        }
    }
}

/// Which pods to look at.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pods")]
pub(super) struct PodFlags {
    /// Saved pods or reviews: a file, a directory of .yaml, .yml and .json files, or - for stdin
    /// (repeatable)
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Namespace to read in the cluster, or for saved objects that do not set one [default: that
    /// of the kubeconfig's context, or default]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Pods in all namespaces of the cluster
    #[arg(short = 'A', long, conflicts_with_all = ["filename", "namespace"])]
    pub all_namespaces: bool,
    /// Only pods in the cluster that match this selector
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        conflicts_with = "filename"
    )]
    pub selector: Option<String>,
}

/// How pods are decided on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decisions")]
pub(super) struct DecisionFlags {
    /// Runtimes for pods that request none: a comma-separated list, or none
    ///
    /// Applies to pods with the label agents.kruise.io/sandbox-pool or a --pod-label. Default:
    /// agent-runtime and csi (if configured) when look-ups are off; none when they are on.
    #[arg(long, value_name = "LIST")]
    pub default_runtimes: Option<DefaultRuntimes>,
    /// Another label that makes a pod a sandbox pod (repeatable)
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub pod_label: Vec<PodLabel>,
    /// What to do when the pod already defines a conflicting item
    #[arg(long, value_name = "ACTION", default_value = "deny")]
    pub on_conflict: ConflictAction,
    /// Whether to mark injected pods with the annotation sandbox-injector.io/status
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub status_annotation: bool,
    /// Namespaces whose pods may use privileged runtimes; * matches any text (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub privileged_namespaces: Vec<Pattern>,
    /// Users (controllers) whose pods may use privileged runtimes; * matches any text (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub privileged_creators: Vec<Pattern>,
}

/// `--lookups`
impl ValueEnum for LookupMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[LookupMode::Auto, LookupMode::On, LookupMode::Off]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            LookupMode::Auto => {
                PossibleValue::new("auto").help("On in a cluster or with a kubeconfig")
            }
            LookupMode::On => {
                PossibleValue::new("on").help("On; fails if no cluster is configured")
            }
            LookupMode::Off => PossibleValue::new("off").help("Off"),
        })
    }
}

/// `--log-format`
impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[LogFormat::Text, LogFormat::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            LogFormat::Text => PossibleValue::new("text").help("For people"),
            LogFormat::Json => {
                PossibleValue::new("json").help("For collectors: one JSON object per line")
            }
        })
    }
}

/// `--on-conflict`
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ConflictAction {
    /// Deny the pod and list every conflict
    Deny,
    /// Keep the pod's item and warn; conflicts on privileged volumes still deny it
    Keep,
}

impl DecisionFlags {
    pub(super) fn settings(&self, report_only: bool, forced: Option<DefaultRuntimes>) -> Settings {
        let Self {
            default_runtimes,
            pod_label: pod_labels,
            on_conflict,
            status_annotation,
            privileged_namespaces: namespaces,
            privileged_creators: creators,
        } = self.clone();
        let on_conflict = match on_conflict {
            ConflictAction::Deny => inject::OnConflict::Deny,
            ConflictAction::Keep => inject::OnConflict::Keep,
        };
        Settings {
            selection: SelectionRules {
                forced,
                default_runtimes,
                pod_labels,
                lookups: false,
            },
            privileged: PrivilegedRules {
                namespaces,
                creators,
            },
            injection: inject::Options {
                on_conflict,
                status_annotation,
            },
            report_only,
        }
    }
}
