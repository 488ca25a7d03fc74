//! The server: HTTPS for the API server, plain HTTP for probes and metrics.
//!
//! ```text
//! listener ── TLS ── connection ── routes ── Reviews (the webhook, given from outside)
//! ```
//!
//! It knows nothing of pods. It must never drop a request that it has begun to read, wait without a
//! deadline, or let one client's behaviour be felt by another.

mod body;
mod connection;
mod head;
mod health;
mod listener;
mod open_files;
mod registry;
mod reply;
mod routes;
pub mod shutdown;
mod throttle;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::listener::{Kind, Listener};
use self::registry::{Registry, Stage};
pub use self::reply::Reply;
pub use self::shutdown::Shutdown;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::tls::Tls;

/// What answers reviews: the webhook as the server sees it.
pub trait Reviews: Send + Sync + 'static {
    /// Answers `POST /mutate`. `body` is the whole request body; at `deadline` the answer should be
    /// on its way, for a little later the API server gives up and the server abandons the call.
    fn mutate(&self, body: Bytes, deadline: Instant) -> impl Future<Output = Reply> + Send;

    /// Answers `POST /validate` likewise.
    fn validate(&self, body: Bytes, deadline: Instant) -> impl Future<Output = Reply> + Send;
}

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where HTTPS is served (`--bind`).
    pub bind: SocketAddr,
    /// Where probes and metrics are served (`--metrics-bind`).
    pub metrics_bind: SocketAddr,
    /// How long requests are still taken after the first signal (`--drain`): as long as it takes
    /// until no client sends new connections here.
    pub drain: Duration,
    /// What a client may use up.
    pub limits: Limits,
}

/// What clients may use up. The defaults suit a cluster; tests shrink them.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// In connections.
    pub connections: ConnectionLimits,
    /// In space.
    pub bytes: ByteLimits,
    /// In time.
    pub times: TimeLimits,
}

/// How many connections may be open.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Over HTTPS; one more displaces the one that has been idle longest. Lowered at start to what
    /// the process may open.
    pub https: usize,
    /// Over HTTPS, beyond that: still accepted, to be told 503.
    pub spare: usize,
    /// Of the plain listener.
    pub plain: usize,
}

/// How many bytes requests may take.
#[derive(Debug, Clone)]
pub struct ByteLimits {
    /// Of one request body. The API server's own limit on objects leaves reviews well below.
    pub body: usize,
    /// Of all request bodies that are being read or answered; at least [`Self::body`].
    pub in_flight: usize,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct TimeLimits {
    /// A TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// From the end of the head to the end of the body.
    pub body: Duration,
    /// Until the client has taken an answer.
    pub write: Duration,
    /// Without a request, after which a connection is closed. More than the 90 s for which the API
    /// server keeps one, so that it is the API server that closes: it does not retry a POST
    /// that meets a closing one.
    pub idle: Duration,
    /// Without a request, after which a connection may be displaced by a new one.
    pub displaceable: Duration,
    /// Until the client closes after we did, during which what it still sends is thrown away:
    /// closing with unread bytes resets the connection, and the answer might be lost.
    pub linger: Duration,
    /// A request whose `timeout` parameter is absent or invalid; what Kubernetes defaults to.
    pub default_timeout: Duration,
    /// Any request; what Kubernetes allows.
    pub max_timeout: Duration,
}

/// Why the server could not be started.
#[derive(Debug, Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({flag}): {source}; {fix}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The flag it came from.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        fix: &'static str,
    },
    /// The system cannot tell the address of a listener.
    #[error("cannot tell the address that is listened on: {0}")]
    Address(#[source] io::Error),
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// After the drain, with everything answered.
    Drained,
    /// After the drain, cutting off what was still open when the longest time for a request had
    /// passed.
    CutOff,
    /// At once, on a second signal.
    Aborted,
}

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub struct Server {
    https: TcpListener,
    http: TcpListener,
    options: ServerOptions,
}

impl Server {
    /// Listens on both addresses.
    ///
    /// # Errors
    /// When an address is taken, not of this host, or not permitted.
    pub async fn bind(options: ServerOptions) -> Result<Self, ServerError> {
        let https = listen(options.bind, "--bind").await?;
        let http = listen(options.metrics_bind, "--metrics-bind").await?;
        Ok(Self {
            https,
            http,
            options,
        })
    }

    /// The address of the HTTPS listener; its port is the real one when port 0 was requested.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn https_address(&self) -> Result<SocketAddr, ServerError> {
        self.https.local_addr().map_err(ServerError::Address)
    }

    /// The address of the plain listener.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn http_address(&self) -> Result<SocketAddr, ServerError> {
        self.http.local_addr().map_err(ServerError::Address)
    }

    /// Serves until `shutdown` says so, then drains: not ready at once, `Connection: close` on
    /// answers for [`ServerOptions::drain`], then no new connections and an end to what is in
    /// flight. Probes are answered to the last.
    pub async fn run<R: Reviews>(
        self,
        reviews: Arc<R>,
        tls: Tls,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        mut shutdown: Shutdown,
    ) -> Stopped {
        let Self {
            https,
            http,
            options:
                ServerOptions {
                    bind: _,
                    metrics_bind: _,
                    drain,
                    limits,
                },
        } = self;
        let limits = Arc::new(limits.within_open_files());
        let https = Listener {
            tcp: https,
            kind: Kind::Https(TlsAcceptor::from(tls.server_config()), Arc::clone(&metrics)),
            router: routes::router(reviews, Arc::clone(&metrics), Arc::clone(&limits)),
            registry: Registry::new(limits.connections.https, limits.connections.spare),
            limits: Arc::clone(&limits),
        };
        let http = Listener {
            tcp: http,
            kind: Kind::Plain,
            router: health::router(readiness.clone(), metrics),
            registry: Registry::new(limits.connections.plain, 0),
            limits: Arc::clone(&limits),
        };
        let (https_registry, http_registry) =
            (Arc::clone(&https.registry), Arc::clone(&http.registry));

        let mut reloading = JoinSet::new();
        reloading.spawn(tls.follow());
        let mut probes = JoinSet::new();
        probes.spawn(http.run());
        let mut serving = JoinSet::new();
        serving.spawn(https.run());

        shutdown.signal(1).await;
        readiness.shut_down();
        https_registry.enter(Stage::Draining);
        tracing::info!(
            "shutting down: failing readiness, draining for {drain:?} (signal again to stop now)"
        );
        let in_order = async {
            sleep(drain).await;
            tracing::info!("drain finished; no longer accepting connections");
            https_registry.enter(Stage::Stopping);
            let longest = limits.times.max_timeout + limits.times.linger;
            let stopped = match timeout(longest, serving.join_next()).await {
                Ok(_) => Stopped::Drained,
                Err(_) => Stopped::CutOff,
            };
            http_registry.enter(Stage::Stopping);
            // An answer that comes too late to be read is not waited for.
            let _ = timeout(limits.times.linger, probes.join_next()).await;
            stopped
        };
        let stopped = tokio::select! {
            stopped = in_order => stopped,
            () = shutdown.signal(2) => Stopped::Aborted,
        };
        // The next server on these addresses finds them free.
        for mut tasks in [serving, probes, reloading] {
            tasks.shutdown().await;
        }
        stopped
    }
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| {
        let fix = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "use another port, or stop the process that is using this one"
            }
            io::ErrorKind::AddrNotAvailable => {
                "use an address of this host, or 0.0.0.0 or [::] for all of them"
            }
            io::ErrorKind::PermissionDenied => "use a port of 1024 or above",
            _ if address.is_ipv6() => "if IPv6 is not available, use 0.0.0.0 with the port",
            _ => "use another address",
        };
        ServerError::Bind {
            address,
            flag,
            source,
            fix,
        }
    })
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            https: 4096,
            spare: 64,
            plain: 256,
        }
    }
}

impl Default for ByteLimits {
    fn default() -> Self {
        Self {
            body: 7 << 20,
            in_flight: 64 << 20,
        }
    }
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            displaceable: Duration::from_secs(1),
            linger: Duration::from_secs(1),
            default_timeout: Duration::from_secs(10),
            max_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// As many connections as the process may open files, and that raised as far as need be.
    fn within_open_files(mut self) -> Self {
        /// Descriptors for everything that is not a connection of a client.
        const OTHER_FILES: usize = 64;
        let ConnectionLimits {
            https,
            spare,
            plain,
        } = &mut self.connections;
        let others = OTHER_FILES + *spare + *plain;
        let files = open_files::allow(*https + others);
        let room = files.saturating_sub(others).max(16);
        if room < *https {
            tracing::warn!(
                connections = room,
                open_files = files,
                "connection limit lowered: the hard limit on open files (ulimit -Hn) is too low"
            );
            *https = room;
        }
        self
    }
}
