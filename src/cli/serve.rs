//! `serve`: wires the store, the webhook and the server together and runs them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;

use super::flags::{ConfigFlags, DecisionFlags};
use super::{FAILED, Failure};
use crate::certs::{self, Validity};
use crate::config::source::Source;
use crate::config::store::Store;
use crate::duration;
use crate::metrics::Metrics;
use crate::review::verdict::Settings;
use crate::runtimes::NoLookups;
use crate::server::tls::{ClientAuth, Identity, Tls};
use crate::server::{Limits, Options, Readiness, Server, Shutdown, Stopped};
use crate::telemetry::{self, LogFormat};
use crate::validate::ConfigMapName;
use crate::watch;
use crate::webhook::Webhook;

/// How long a `--self-signed` certificate is valid: for trying things out.
const SELF_SIGNED_DAYS: u32 = 30;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Try it with the built-in runtimes and a certificate made on the spot:
    sandbox-injector serve --self-signed --ca-out ca.crt --region-id cn-hangzhou
  In a cluster, with a Secret and a ConfigMap mounted:
    sandbox-injector serve --tls-cert-dir /tls --config-dir /config --region-id cn-hangzhou")]
pub(super) struct Serve {
    /// Where HTTPS is served
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:9443")]
    bind: SocketAddr,
    /// Where /livez, /readyz and /metrics are served, over plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    metrics_bind: SocketAddr,
    /// How long to go on serving after SIGTERM, such as 20s
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration::parse)]
    drain: Duration,
    /// Decide, log, count and warn, but never patch nor deny
    #[arg(long)]
    report_only: bool,
    /// The ConfigMap whose edits /validate checks; it looks at no other
    #[arg(long, value_name = "NAMESPACE/NAME", default_value_t)]
    config_name: ConfigMapName,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What is logged: a level, or a filter such as sandbox_injector=debug [default: RUST_LOG, else info]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    config: ConfigFlags,
    #[command(flatten)]
    decisions: DecisionFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
struct TlsFlags {
    /// A mounted kubernetes.io/tls Secret (tls.crt, tls.key); picked up again when it changes
    #[arg(long, value_name = "DIR", required_unless_present = "self_signed", conflicts_with = "self_signed")]
    tls_cert_dir: Option<PathBuf>,
    /// Make a certificate authority and a certificate in memory, for trying things out
    #[arg(long)]
    self_signed: bool,
    /// A name or address that the self-signed certificate is for (repeatable) [default: localhost, 127.0.0.1, ::1]
    #[arg(long, value_name = "NAME", requires = "self_signed")]
    dns_name: Vec<String>,
    /// Where to write the self-signed authority's certificate
    #[arg(long, value_name = "FILE", requires = "self_signed")]
    ca_out: Option<PathBuf>,
    /// Demand a client certificate of this authority (mTLS with the API server); picked up again when it changes
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Demand this name in the client's certificate (repeatable)
    #[arg(long, value_name = "NAME", requires = "client_ca")]
    client_allowed_name: Vec<String>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        telemetry::init(self.log_format, self.log_level.as_deref())?;
        telemetry::install_panic_hook();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<ExitCode, Failure> {
        let Self {
            bind,
            metrics_bind,
            drain,
            report_only,
            config_name,
            log_format: _,
            log_level: _,
            tls,
            config,
            decisions,
        } = self;
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let (identity, clients) = tls.identity()?;
        let tls = Tls::new(identity, clients, &metrics, &readiness)?;
        let gate = readiness.gate("configuration");
        let store = Arc::new(Store::new(config.region_id.clone(), Arc::clone(&metrics), gate));
        load(&config, &store)?;
        let settings = decisions.settings(report_only, None);
        say_who_is_trusted(&settings);
        let server = Server::bind(Options { bind, metrics_bind, drain, limits: Limits::default() }).await?;
        tracing::info!(https = %server.https_address()?, http = %server.http_address()?, "listening");
        let webhook = Webhook::new(store, settings, NoLookups, Arc::clone(&metrics)).validating(config_name);
        let stopped = server.run(Arc::new(webhook), tls, metrics, readiness, Shutdown::on_signals()?).await;
        Ok(match stopped {
            Stopped::Drained => ExitCode::SUCCESS,
            Stopped::CutOff | Stopped::Aborted => {
                tracing::warn!(?stopped, "ended with requests in flight");
                ExitCode::from(FAILED)
            }
        })
    }
}

/// Loads the configuration; a directory is followed from now on. What can never mend itself is a failure.
fn load(config: &ConfigFlags, store: &Arc<Store>) -> Result<(), Failure> {
    let source = config.source();
    let Source::Directory(directory) = &source else {
        config.load()?;
        store.offer(source.read().map_err(|error| error.to_string()));
        return Ok(());
    };
    // Before the first read, so that no change falls in between.
    let mut watch = watch::directory(directory);
    store.offer(source.read().map_err(|error| error.to_string()));
    let store = Arc::clone(store);
    tokio::spawn(async move {
        loop {
            watch.changed().await;
            let (source, store) = (source.clone(), Arc::clone(&store));
            // Reading and compiling stay off the threads that answer requests.
            let offer = move || store.offer(source.read().map_err(|error| error.to_string()));
            if tokio::task::spawn_blocking(offer).await.is_err() {
                tracing::error!("a reload ended early; the configuration in use stays");
            }
        }
    });
    Ok(())
}

fn say_who_is_trusted(settings: &Settings) {
    if !settings.policy.is_set() {
        tracing::warn!(
            "anyone may ask for privileged runtimes; --privileged-namespaces and --privileged-creators limit that"
        );
    }
    if settings.report_only {
        tracing::warn!("--report-only: nothing is patched or denied");
    }
}

impl TlsFlags {
    fn identity(self) -> Result<(Identity, Option<ClientAuth>), Failure> {
        let Self { tls_cert_dir, self_signed: _, dns_name, ca_out, client_ca, client_allowed_name } = self;
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
