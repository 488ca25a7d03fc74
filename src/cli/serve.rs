//! `serve`: wires the store, the webhook and the server together and runs them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{ArgGroup, Args};
use kube::Client;
use tokio::task::JoinSet;

use super::flags::{Chosen, ClusterFlags, ConfigFlags, DecisionFlags};
use super::{FAILED, Failure};
use crate::certs::{self, Validity};
use crate::cluster::connect::{self, Mode, Surroundings};
use crate::cluster::{Access, Lookups, config_map, reach, region};
use crate::duration;
use crate::metrics::Metrics;
use crate::serve::store::Store;
use crate::serve::webhook::Webhook;
use crate::server::{Limits, Options, Readiness, Server, Shutdown, Stopped};
use crate::source::Source;
use crate::telemetry::{self, LogFormat};
use crate::tls::{ClientAuth, Identity, Tls};
use crate::watch;
use engine::config::config_map::ConfigMapName;
use engine::review::decide::Settings;

/// How long a `--self-signed` certificate is valid: for trying things out.
const SELF_SIGNED_DAYS: u32 = 30;

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
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration::parse)]
    drain: Duration,
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
    #[arg(long, value_name = "MODE", default_value = "auto", help_heading = "Cluster")]
    lookups: Mode,
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
    /// Name or address to put into the self-signed certificate (repeatable) [default: localhost, 127.0.0.1, ::1]
    #[arg(long, value_name = "NAME", requires = "self_signed")]
    dns_name: Vec<String>,
    /// File to write the self-signed CA certificate to
    #[arg(long, value_name = "FILE", requires = "self_signed")]
    ca_out: Option<PathBuf>,
    /// Require client certificates signed by this CA (mTLS with the API server); reloaded when it changes
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
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<ExitCode, Failure> {
        let Self { bind, metrics_bind, drain, report_only, tls, config, cluster, decisions, .. } = &self;
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let (identity, clients) = tls.identity()?;
        let tls = Tls::new(identity, clients, &metrics, &readiness)?;
        let gate = readiness.gate("configuration");
        let store = Arc::new(Store::new(config.region_id.clone(), Arc::clone(&metrics), gate));
        let mut cluster = Cluster { access: cluster.access(), client: None, helpers: JoinSet::new() };
        let lookups = cluster.lookups(self.lookups, &metrics, &readiness).await?;
        self.follow_region(&mut cluster, &store, &readiness).await?;
        self.follow_configuration(&mut cluster, &store).await?;
        let settings = decisions.settings(*report_only, None);
        say_who_is_trusted(&settings);
        let (bind, metrics_bind, drain) = (*bind, *metrics_bind, *drain);
        let server = Server::bind(Options { bind, metrics_bind, drain, limits: Limits::default() }).await?;
        tracing::info!(
            https = %server.https_address()?,
            http = %server.http_address()?,
            lookups = if lookups.is_some() { "on" } else { "off" },
            "listening"
        );
        let webhook =
            Webhook::new(store, settings, lookups, Arc::clone(&metrics)).validating(self.validated());
        let stopped = server.run(Arc::new(webhook), tls, metrics, readiness, Shutdown::on_signals()?).await;
        Ok(match stopped {
            Stopped::Drained => ExitCode::SUCCESS,
            Stopped::CutOff | Stopped::Aborted => {
                tracing::warn!(?stopped, "stopped before every request had finished");
                ExitCode::from(FAILED)
            }
        })
    }

    /// The ConfigMap whose edits are checked: the one that is watched, unless a flag names another.
    fn validated(&self) -> ConfigMapName {
        self.config_name.clone().or_else(|| self.config.config_map.clone()).unwrap_or_default()
    }

    /// The region of the node, where no flag says it.
    async fn follow_region(
        &self,
        cluster: &mut Cluster,
        store: &Arc<Store>,
        readiness: &Readiness,
    ) -> Result<(), Failure> {
        let (None, Some(node)) = (&self.config.region_id, &self.node_name) else { return Ok(()) };
        let client = cluster.client().await?;
        let gate = readiness.gate("region");
        cluster.helpers.spawn(region::follow(client, node.clone(), Arc::clone(store), gate));
        Ok(())
    }

    /// Loads the configuration, and follows it where it can change. What can never fix itself is a failure.
    async fn follow_configuration(&self, cluster: &mut Cluster, store: &Arc<Store>) -> Result<(), Failure> {
        match self.config.chosen() {
            Chosen::ConfigMap(name) => {
                let client = cluster.client().await?;
                cluster.helpers.spawn(config_map::follow(client, name, Arc::clone(store)));
            }
            Chosen::Local(source @ Source::Directory(_)) => follow_directory(source, cluster, store),
            Chosen::Local(source) => {
                // Said in one line before anything is logged; a region that is still to come is waited for.
                if self.config.region_id.is_some() || self.node_name.is_none() {
                    self.config.load(&cluster.access).await?;
                }
                store.offer(Ok(source.read()?));
            }
        }
        Ok(())
    }
}

/// The cluster, if there is one to ask, and the tasks that follow it.
struct Cluster {
    access: Access,
    client: Option<Client>,
    /// Dropped, and so ended, with the server.
    helpers: JoinSet<()>,
}

impl Cluster {
    /// The one client; an error where there is no way to a cluster.
    async fn client(&mut self) -> Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = self.access.required(&Surroundings::current()).await?;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// The look-ups by `mode`; not ready until the API server has answered once.
    async fn lookups(
        &mut self,
        mode: Mode,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> Result<Option<Lookups>, Failure> {
        self.client = connect::connect(&self.access, mode, &Surroundings::current()).await?;
        let Some(client) = &self.client else { return Ok(None) };
        self.helpers.spawn(reach::reach(client.clone(), readiness.gate("api-server")));
        Ok(Some(Lookups::new(client.clone(), Arc::clone(metrics))))
    }
}

fn follow_directory(source: Source, cluster: &mut Cluster, store: &Arc<Store>) {
    let Source::Directory(directory) = &source else { return };
    // Before the first read, so that no change falls in between.
    let mut watch = watch::directory(directory);
    let read = |source: &Source| source.read().map_err(|error| error.to_string());
    store.offer(read(&source));
    let store = Arc::clone(store);
    cluster.helpers.spawn(async move {
        loop {
            watch.changed().await;
            let (source, store) = (source.clone(), Arc::clone(&store));
            // Reading and compiling stay off the threads that answer requests.
            if tokio::task::spawn_blocking(move || store.offer(read(&source))).await.is_err() {
                tracing::error!("a configuration reload panicked; the current configuration stays in use");
            }
        }
    });
}

fn say_who_is_trusted(settings: &Settings) {
    if !settings.policy.is_set() {
        tracing::warn!(
            "privileged runtimes are unrestricted; set --privileged-namespaces and --privileged-creators"
        );
    }
    if settings.report_only {
        tracing::warn!("--report-only: nothing is patched or denied");
    }
}

impl TlsFlags {
    fn identity(&self) -> Result<(Identity, Option<ClientAuth>), Failure> {
        let Self { tls_cert_dir, self_signed: _, dns_name, ca_out, client_ca, client_allowed_name } =
            self.clone();
        let clients = client_ca.map(|authority| ClientAuth { authority, allowed_names: client_allowed_name });
        let identity = match tls_cert_dir {
            Some(directory) => {
                for name in ["tls.crt", "tls.key"] {
                    present(&directory.join(name))?;
                }
                Identity::Directory(directory)
            }
            None => self_signed(dns_name, ca_out.as_deref())?,
        };
        Ok((identity, clients))
    }
}

/// A Secret that is not mounted at all does not come by itself, so that is said at once.
fn present(file: &Path) -> Result<(), Failure> {
    match std::fs::metadata(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure(format!(
            "no certificate: {}: {error}; mount a kubernetes.io/tls Secret at --tls-cert-dir, or try --self-signed",
            file.display()
        ))),
    }
}

fn self_signed(mut names: Vec<String>, ca_out: Option<&Path>) -> Result<Identity, Failure> {
    if names.is_empty() {
        names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    }
    let validity = Validity::days(SystemTime::now(), SELF_SIGNED_DAYS)?;
    let authority = certs::authority("sandbox-injector self-signed", validity)?;
    let serving = certs::serving(&authority, &names, validity)?;
    if let Some(path) = ca_out {
        std::fs::write(path, &authority.certificate)
            .map_err(|error| Failure(format!("cannot write --ca-out {}: {error}", path.display())))?;
    }
    Ok(Identity::Memory { certificate: serving.certificate, key: serving.key })
}
