//! TLS: one server configuration for the life of the process, in which the certificate and the
//! client CA are swapped beneath running connections.
//!
//! A broken replacement must never displace a working one, and nothing is read from disk during a
//! handshake. Every handshake is a full one: the API server keeps no tickets, so none are made.

mod client;
mod pair;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ServerConfig};
use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::sleep;
use x509_parser::error::X509Error;

use self::client::{AllowedNames, ClientCa, SwappedVerifier};
use self::pair::Pair;
use crate::certs;
use crate::metrics::{Metrics, Reload};
use crate::readiness::{Gate, Readiness};
use crate::telemetry::LastWarning;
use crate::watch::{self, Watch};

/// How long after a failed read there is another before the failure is reported.
const SECOND_READ_DELAY: Duration = Duration::from_millis(200);

/// Why a certificate, key or CA is not loaded.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file}: {source}; {fix}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        fix: &'static str,
    },
    /// A file contains no PEM section of the kind that is needed.
    #[error("{file}: no PEM {wanted} in it")]
    Missing {
        /// The file.
        file: String,
        /// What is missing.
        wanted: &'static str,
    },
    /// A PEM section cannot be decoded or used.
    #[error("{file}: {source}")]
    Unusable {
        /// The file.
        file: String,
        /// What is wrong.
        source: UnusablePem,
    },
    /// The key belongs to another certificate.
    #[error("{key}: does not match the certificate in {certificate}; replace both files together")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// Expired, while the pair in use is not.
    #[error(
        "{file}: expired (notAfter {not_after}) while the certificate in use is valid; renew it"
    )]
    Expired {
        /// The certificate's file.
        file: String,
        /// When it expired.
        not_after: String,
    },
    /// Not valid yet, while the pair in use is.
    #[error(
        "{file}: not valid before {not_before}, while the certificate in use is still valid; check the clocks"
    )]
    NotYetValid {
        /// The certificate's file.
        file: String,
        /// When it becomes valid.
        not_before: String,
    },
    /// The cryptography does not do what is configured.
    #[error("cannot configure TLS: {0}")]
    Configuration(#[source] rustls::Error),
    /// Reading panicked.
    #[error("{file}: reading it failed: {source}")]
    Panicked {
        /// The file or directory.
        file: String,
        /// The panic, without its message.
        source: JoinError,
    },
}

/// What is wrong with a PEM section.
#[derive(Debug, Error)]
pub enum UnusablePem {
    /// It is not PEM.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// It is not a certificate.
    #[error("not an X.509 certificate: {0}")]
    NotACertificate(#[from] x509_parser::nom::Err<X509Error>),
    /// It is a certificate that the TLS library does not take.
    #[error("{0:?}")]
    Certificate(CertificateError),
    /// It is not a certificate that can sign others.
    #[error("not a CA certificate: {0}")]
    NotACa(#[source] rustls::Error),
    /// Nothing can be verified with it.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    /// It is a key that the TLS library does not take.
    #[error(transparent)]
    Key(rustls::Error),
}

/// Where the serving certificate comes from.
#[derive(Clone)]
pub enum Identity {
    /// A mounted `kubernetes.io/tls` Secret: `tls.crt` with the chain, leaf first, and `tls.key`.
    /// Reloaded.
    Directory(PathBuf),
    /// PEM made in this process.
    Memory {
        /// The chain, leaf first.
        certificate: String,
        /// The private key.
        key: String,
    },
}

/// Which clients may connect.
#[derive(Debug, Clone)]
pub struct ClientAuth {
    /// A PEM file of CA certificates, one of which must have signed the client's certificate.
    /// Reloaded.
    pub ca: PathBuf,
    /// Of these names the client's certificate must have one, as a DNS name or common name; empty
    /// is any name.
    pub allowed_names: Vec<String>,
}

/// The TLS side of the server: the configuration for handshakes, and what keeps it fresh.
pub struct Tls {
    config: Arc<ServerConfig>,
    reloads: Vec<Reloading>,
}

/// A file, or pair of files, that is swapped when it changes.
struct Reloading {
    watch: Watch,
    watched: Arc<Watched>,
    gate: Gate,
    metrics: Arc<Metrics>,
    /// So that the same error is logged and counted once.
    last_warning: LastWarning,
}

/// What is read, and where it goes.
enum Watched {
    Pair {
        directory: PathBuf,
        current: Arc<CurrentPair>,
    },
    Ca {
        file: PathBuf,
        current: Arc<SwappedVerifier>,
    },
}

/// The pair that handshakes use.
#[derive(Default)]
struct CurrentPair(ArcSwapOption<Pair>);

/// The one place that chooses the cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Tls {
    /// Reads everything once and makes the gates `certificate` and, with `clients`, `client-ca`.
    ///
    /// What is missing or broken on disk is not an error here: handshakes fail and the gate says
    /// why until it is fixed. An expired certificate is used when there is no better one, and
    /// logged as an error.
    ///
    /// # Errors
    /// When an in-memory identity is unusable, which no reload could fix.
    pub fn new(
        identity: Identity,
        clients: Option<ClientAuth>,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> Result<Self, TlsError> {
        let pair = Arc::new(CurrentPair::default());
        let gate = readiness.gate("certificate");
        let mut reloads = Vec::new();
        match identity {
            Identity::Memory { certificate, key } => {
                let made =
                    Pair::parse(certificate.as_bytes(), key.as_bytes(), "certificate", "key")?;
                metrics.certificate(made.not_before, made.not_after);
                pair.0.store(Some(Arc::new(made)));
                gate.ready();
            }
            Identity::Directory(directory) => reloads.push(Reloading {
                // Before the first read, so that no change falls in between.
                watch: watch::directory(&directory),
                watched: Arc::new(Watched::Pair {
                    directory,
                    current: Arc::clone(&pair),
                }),
                gate,
                metrics: Arc::clone(metrics),
                last_warning: LastWarning::default(),
            }),
        }
        let verifier = clients.map(|ClientAuth { ca, allowed_names }| {
            let verifier = Arc::new(SwappedVerifier::new(
                provider(),
                AllowedNames::new(allowed_names),
            ));
            reloads.push(Reloading {
                watch: watch::file(&ca),
                watched: Arc::new(Watched::Ca {
                    file: ca,
                    current: Arc::clone(&verifier),
                }),
                gate: readiness.gate("client-ca"),
                metrics: Arc::clone(metrics),
                last_warning: LastWarning::default(),
            });
            verifier
        });
        for reloading in &mut reloads {
            let result = reloading.watched.read(SystemTime::now());
            reloading.settle(result);
        }
        Ok(Self {
            config: server_config(pair, verifier)?,
            reloads,
        })
    }

    /// The configuration for an acceptor. It stays the same through every reload.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Follows the files for ever.
    pub(super) async fn follow(self) {
        let mut tasks = tokio::task::JoinSet::new();
        for reloading in self.reloads {
            tasks.spawn(reloading.follow());
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn server_config(
    pair: Arc<CurrentPair>,
    verifier: Option<Arc<SwappedVerifier>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Configuration)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(pair);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

impl Reloading {
    async fn follow(mut self) {
        loop {
            self.watch.changed().await;
            let mut result = self.read().await;
            if result.is_err() {
                // A writer that is between its two files, or has just removed the ones that we were
                // reading.
                sleep(SECOND_READ_DELAY).await;
                result = self.read().await;
            }
            self.settle(result);
        }
    }

    /// Reads off the threads that answer requests.
    async fn read(&self) -> Result<Reread, TlsError> {
        let watched = Arc::clone(&self.watched);
        let read = tokio::task::spawn_blocking(move || watched.read(SystemTime::now())).await;
        read.unwrap_or_else(|source| {
            Err(TlsError::Panicked {
                file: self.watched.to_string(),
                source,
            })
        })
    }

    /// Tells log, metric and gate how a read ended.
    fn settle(&mut self, result: Result<Reread, TlsError>) {
        match result {
            Ok(Reread::Unchanged) => {
                // What is on disk is what is in use: a failure in between has passed.
                if self.last_warning.clear() {
                    tracing::info!(source = %self.watched, "the file on disk is usable again");
                }
            }
            Ok(Reread::Ca) => {
                self.last_warning.clear();
                self.gate.ready();
                self.metrics.tls_reload(Reload::Success);
                tracing::info!(source = %self.watched, "client CA loaded");
            }
            Ok(Reread::Pair(pair)) => {
                self.last_warning.clear();
                self.gate.ready();
                self.metrics.tls_reload(Reload::Success);
                self.metrics.certificate(pair.not_before, pair.not_after);
                let not_after = certs::date(pair.not_after);
                if pair.expired(SystemTime::now()) {
                    tracing::error!(source = %self.watched, not_after, "certificate loaded, but it has expired");
                } else {
                    tracing::info!(source = %self.watched, not_after, "certificate loaded");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if !self.last_warning.replace(&error) {
                    return;
                }
                self.metrics.tls_reload(Reload::Failure);
                if self.watched.in_use() {
                    tracing::error!(source = %self.watched, %error, "not loaded; the previous one stays in use");
                } else {
                    tracing::error!(source = %self.watched, %error, "not loaded; no connection can be accepted until it is");
                    self.gate.not_ready(error);
                }
            }
        }
    }
}

/// What a read brought.
enum Reread {
    Unchanged,
    Ca,
    Pair(Arc<Pair>),
}

impl Watched {
    /// Reads from disk and swaps, if there is something new and good.
    fn read(&self, now: SystemTime) -> Result<Reread, TlsError> {
        match self {
            Self::Pair { directory, current } => {
                let pair = Pair::read(directory)?;
                let in_use = current.0.load_full();
                if in_use.as_ref().is_some_and(|in_use| in_use.same(&pair)) {
                    return Ok(Reread::Unchanged);
                }
                if let Some(in_use) = in_use.filter(|in_use| in_use.valid(now)) {
                    pair.refuse_unless_valid(now, &in_use, directory)?;
                }
                let pair = Arc::new(pair);
                current.0.store(Some(Arc::clone(&pair)));
                Ok(Reread::Pair(pair))
            }
            Self::Ca { file, current } => {
                let ca = ClientCa::read(file, &provider())?;
                Ok(if current.swap(ca) {
                    Reread::Ca
                } else {
                    Reread::Unchanged
                })
            }
        }
    }

    /// Whether something good was read before.
    fn in_use(&self) -> bool {
        match self {
            Self::Pair { current, .. } => current.0.load().is_some(),
            Self::Ca { current, .. } => current.is_loaded(),
        }
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pair { directory, .. } => directory.display().fmt(f),
            Self::Ca { file, .. } => file.display().fmt(f),
        }
    }
}

impl ResolvesServerCert for CurrentPair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .load()
            .as_ref()
            .map(|pair| Arc::clone(&pair.certified))
    }
}

impl std::fmt::Debug for CurrentPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CurrentPair")
    }
}

impl std::fmt::Debug for Identity {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(directory) => f.debug_tuple("Directory").field(directory).finish(),
            Self::Memory { .. } => f.write_str("Memory"),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
