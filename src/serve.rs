//! The webhook in service: the store, the webhook and the server wired together, and what keeps
//! them fresh.

pub mod follow;
pub mod identity;
pub mod store;
pub mod webhook;

use std::io;
use std::sync::Arc;

use engine::config::config_map::ConfigMapName;
use engine::config::region::Region;
use engine::config::{Config, Rejected};
use engine::review::decide::Settings;
use kube::Client;
use tokio::task::JoinSet;

use self::identity::IdentityError;
use self::store::Store;
use self::webhook::Webhook;
use crate::cluster::connect::{self, ConnectError, LookupMode, Surroundings};
use crate::cluster::{Access, Lookups, readiness};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::server::{Server, ServerError, ServerOptions, Shutdown, Stopped};
use crate::source::{Source, SourceError};
use crate::tls::{ClientAuth, Identity, Tls, TlsError};

/// How the webhook is set up.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to listen, and how much clients may use up.
    pub server: ServerOptions,
    /// The serving certificate.
    pub identity: Identity,
    /// Which clients may connect; `None` is all of them.
    pub clients: Option<ClientAuth>,
    /// Where the configuration comes from.
    pub configuration: Configuration,
    /// The ConfigMap whose edits are validated, where it is not the one that is watched.
    pub validated: Option<ConfigMapName>,
    /// The region, where it is known.
    pub region: Option<Region>,
    /// The node from which the region is read otherwise.
    pub node: Option<String>,
    /// Which cluster.
    pub access: Access,
    /// Whether owners are looked up.
    pub lookups: LookupMode,
    /// How pods are decided on.
    pub settings: Settings,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configuration {
    /// This machine.
    Local(Source),
    /// The cluster.
    ConfigMap(ConfigMapName),
}

/// Why the webhook does not serve: something that never fixes itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The serving certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The way to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Reading a configuration that does not change.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A configuration that does not change has errors.
    #[error("{from}: {rejected}")]
    Rejected {
        /// Where it is from.
        from: Source,
        /// The errors.
        rejected: Rejected,
    },
    /// The listeners.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The signal handlers.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
}

/// Serves until a signal ends it, and returns how that went.
///
/// # Errors
/// When it cannot start for a reason that never fixes itself. What can, such as a ConfigMap that
/// does not exist yet, only makes it not ready.
pub async fn serve(options: ServeOptions) -> Result<Stopped, ServeError> {
    let ServeOptions {
        server,
        identity,
        clients,
        configuration,
        validated,
        region,
        node,
        access,
        lookups,
        settings,
    } = options;
    let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
    let tls = Tls::new(identity, clients, &metrics, &readiness)?;
    let gate = readiness.gate("configuration");
    let store = Arc::new(Store::new(region.clone(), Arc::clone(&metrics), gate));
    // Dropped, and so ended, with the server.
    let mut tasks = JoinSet::new();
    let mut cluster = Cluster {
        access,
        client: None,
    };
    let lookups = match cluster.for_lookups(lookups).await? {
        Some(client) => {
            tasks.spawn(readiness::await_api_server(
                client.clone(),
                readiness.gate("api-server"),
            ));
            Some(Lookups::new(client, Arc::clone(&metrics)))
        }
        None => None,
    };
    let node = node.filter(|_| region.is_none());
    let region_follows = node.is_some();
    if let Some(node) = node {
        let (client, gate) = (cluster.client().await?, readiness.gate("region"));
        tasks.spawn(follow::follow_region(
            client,
            node,
            Arc::clone(&store),
            gate,
        ));
    }
    let validated = validated.unwrap_or_else(|| configuration.config_map());
    match configuration {
        Configuration::ConfigMap(name) => {
            let client = cluster.client().await?;
            tasks.spawn(follow::follow_config_map(client, name, Arc::clone(&store)));
        }
        Configuration::Local(Source::Directory(directory)) => {
            tasks.spawn(follow::follow_directory(directory, Arc::clone(&store)));
        }
        Configuration::Local(source) => {
            let entries = source.read()?;
            // One line before anything is logged; a region that is still to come is waited for.
            if !region_follows && let Err(rejected) = Config::load(&entries, region.as_ref()) {
                return Err(ServeError::Rejected {
                    from: source,
                    rejected,
                });
            }
            store.offer(Ok(entries));
        }
    }
    warn_of_trust(&settings);
    let server = Server::bind(server).await?;
    tracing::info!(
        https = %server.https_address()?,
        http = %server.http_address()?,
        lookups = if lookups.is_some() { "on" } else { "off" },
        "listening"
    );
    let webhook =
        Webhook::new(store, settings, lookups, Arc::clone(&metrics)).validating(validated);
    let shutdown = Shutdown::on_signals().map_err(ServeError::Signals)?;
    Ok(server
        .run(Arc::new(webhook), tls, metrics, readiness, shutdown)
        .await)
}

fn warn_of_trust(settings: &Settings) {
    if !settings.privileged.is_set() {
        tracing::warn!(
            "privileged runtimes are unrestricted; set --privileged-namespaces and --privileged-creators"
        );
    }
    if settings.report_only {
        tracing::warn!("--report-only: nothing is patched or denied");
    }
}

impl Configuration {
    /// The ConfigMap whose edits are edits of this configuration.
    fn config_map(&self) -> ConfigMapName {
        match self {
            Self::ConfigMap(name) => name.clone(),
            Self::Local(_) => ConfigMapName::default(),
        }
    }
}

/// The way to the cluster, and the one client once it is needed.
struct Cluster {
    access: Access,
    client: Option<Client>,
}

impl Cluster {
    /// The client for look-ups; `None` where they are off.
    async fn for_lookups(&mut self, mode: LookupMode) -> Result<Option<Client>, ConnectError> {
        self.client = connect::connect(&self.access, mode, &Surroundings::current()).await?;
        Ok(self.client.clone())
    }

    /// The client; an error where there is no way to a cluster.
    async fn client(&mut self) -> Result<Client, ConnectError> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = self.access.required(&Surroundings::current()).await?;
        self.client = Some(client.clone());
        Ok(client)
    }
}
