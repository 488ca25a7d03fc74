//! `serve`: the flags of the webhook.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use engine::config::config_map::ConfigMapName;

use super::flags::{ClusterFlags, ConfigFlags, DecisionFlags};
use super::{FAILED, Failure};
use crate::cluster::connect::LookupMode;
use crate::duration::GoDuration;
use crate::serve::identity::{self, IdentityError};
use crate::serve::{ServeError, ServeOptions, serve};
use crate::server::{Limits, ServerOptions, Stopped};
use crate::telemetry::{self, LogFormat};
use crate::tls::{ClientAuth, Identity};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Try it with the built-in runtimes and a self-signed certificate:
    sandbox-injector serve --self-signed --ca-out ca.crt --region-id cn-hangzhou
  In a cluster, with a mounted Secret and the ConfigMap watched (the region comes from the node NODE_NAME):
    sandbox-injector serve --tls-cert-dir /tls --config-map sandbox-system/sandbox-injection-config
  Fully offline, with everything mounted:
    sandbox-injector serve --tls-cert-dir /tls --config-dir /config --region-id cn-hangzhou --lookups off")]
#[command(mut_arg("config_map", |flag| flag.help("A ConfigMap in the cluster, watched for changes")))]
pub(super) struct Serve {
    /// Where HTTPS is served
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:9443")]
    bind: SocketAddr,
    /// Where /livez, /readyz and /metrics are served, over plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    metrics_bind: SocketAddr,
    /// How long to keep serving after SIGTERM, such as 20s
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    drain: GoDuration,
    /// Decide, log, count and warn, but never patch or deny
    #[arg(long)]
    report_only: bool,
    /// The ConfigMap whose edits /validate checks [default: that of --config-map, else
    /// sandbox-system/sandbox-injection-config]
    #[arg(long, value_name = "NAMESPACE/NAME")]
    config_name: Option<ConfigMapName>,
    /// Log format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Log level, or a filter such as sandbox_injector=debug [default: RUST_LOG, else info]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    config: ConfigFlags,
    /// Whether to look up the pods' owners; auto means on in a cluster or with a kubeconfig
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        help_heading = "Cluster"
    )]
    lookups: LookupMode,
    /// Node to read the region from when --region-id is not set
    #[arg(long, value_name = "NAME", env = "NODE_NAME", help_heading = "Cluster")]
    node_name: Option<String>,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    decisions: DecisionFlags,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
#[command(group = ArgGroup::new("identity").required(true).args(["tls_cert_dir", "self_signed"]))]
struct TlsFlags {
    /// A mounted kubernetes.io/tls Secret (tls.crt, tls.key); reloaded when it changes
    #[arg(long, value_name = "DIR")]
    tls_cert_dir: Option<PathBuf>,
    /// Generate a CA and a certificate in memory, for trying things out
    #[arg(long)]
    self_signed: bool,
    /// Name or address to put into the self-signed certificate (repeatable) [default: localhost,
    /// 127.0.0.1, ::1]
    #[arg(long, value_name = "NAME", requires = "self_signed")]
    dns_name: Vec<String>,
    /// File to write the self-signed CA certificate to
    #[arg(long, value_name = "FILE", requires = "self_signed")]
    ca_out: Option<PathBuf>,
    /// Require client certificates signed by this CA (mTLS with the API server); reloaded when it
    /// changes
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Require this name in the client certificate (repeatable)
    #[arg(long, value_name = "NAME", requires = "client_ca")]
    client_allowed_name: Vec<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        // Outlives everything that logs; a failure is reported after it is flushed.
        let _log = telemetry::init(self.log_format, self.log_level.as_deref())?;
        telemetry::install_panic_hook();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let stopped = runtime.block_on(async { serve(self.options()?).await })?;
        Ok(match stopped {
            Stopped::Drained => ExitCode::SUCCESS,
            Stopped::CutOff | Stopped::Aborted => {
                tracing::warn!(?stopped, "stopped before every request had finished");
                ExitCode::from(FAILED)
            }
        })
    }

    fn options(self) -> Result<ServeOptions, ServeError> {
        let Self {
            bind,
            metrics_bind,
            drain: GoDuration(drain),
            report_only,
            config_name,
            log_format: _,
            log_level: _,
            tls,
            config,
            lookups,
            node_name,
            cluster,
            decisions,
        } = self;
        let (identity, clients) = tls.identity()?;
        Ok(ServeOptions {
            server: ServerOptions {
                bind,
                metrics_bind,
                drain,
                limits: Limits::default(),
            },
            identity,
            clients,
            configuration: config.chosen(),
            validated: config_name,
            region: config.region_id,
            node: node_name,
            access: cluster.access(),
            lookups,
            settings: decisions.settings(report_only, None),
        })
    }
}

impl TlsFlags {
    fn identity(self) -> Result<(Identity, Option<ClientAuth>), IdentityError> {
        let Self {
            tls_cert_dir,
            self_signed: _,
            dns_name,
            ca_out,
            client_ca,
            client_allowed_name,
        } = self;
        let clients = client_ca.map(|ca| ClientAuth {
            ca,
            allowed_names: client_allowed_name,
        });
        let identity = match tls_cert_dir {
            Some(directory) => identity::mounted(directory)?,
            None => identity::self_signed(dns_name, ca_out.as_deref())?,
        };
        Ok((identity, clients))
    }
}
