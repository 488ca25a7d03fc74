//! A server under test, with a webhook that does as the body says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use rustls::ClientConfig;
use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use sandbox_injector::server::shutdown::Trigger;
use sandbox_injector::server::{Limits, Reply, Reviews, Server, ServerOptions, Shutdown, Stopped};
use sandbox_injector::tls::{ClientAuth, Identity, Tls};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::client::{self, Client};
use super::metrics::Scrape;
use super::{certificates, eventually};

/// The message of a panic that a test requests.
pub const ASKED_PANIC: &str = "as asked";

/// Echoes, or does what a body that begins so says: `panic`, `wait` (for [`Webhook::release`]),
/// `slow`, `deadline` (answers the milliseconds left), `length` (answers the body's length).
#[derive(Default)]
pub struct Webhook {
    pub release: Notify,
    pub waiting: AtomicUsize,
}

impl Reviews for Webhook {
    async fn mutate(&self, body: Bytes, deadline: Instant) -> Reply {
        match &*body {
            b"panic" => panic!("{ASKED_PANIC}"),
            _ if body.starts_with(b"wait") => {
                let released = self.release.notified();
                self.waiting.fetch_add(1, Ordering::SeqCst);
                released.await;
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                Reply::json(body)
            }
            b"slow" => {
                sleep(Duration::from_millis(20)).await;
                Reply::json(body)
            }
            b"deadline" => Reply::json(
                deadline
                    .duration_since(Instant::now())
                    .as_millis()
                    .to_string(),
            ),
            _ if body.starts_with(b"length") => Reply::json(body.len().to_string()),
            _ => Reply::json(body),
        }
    }

    async fn validate(&self, _body: Bytes, _deadline: Instant) -> Reply {
        Reply::json("validated")
    }
}

/// How a server under test differs from the usual.
pub struct Setup {
    pub limits: Limits,
    pub drain: Duration,
    pub identity: Option<Identity>,
    pub clients: Option<ClientAuth>,
    pub shutdown: Option<Shutdown>,
    /// Where to listen; port 0 is any.
    pub bind: SocketAddr,
    pub metrics_bind: SocketAddr,
}

/// A server that runs in this process.
pub struct Running {
    pub ca: CertificateAndKey,
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub webhook: Arc<Webhook>,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    pub trigger: Trigger,
    pub task: JoinHandle<Stopped>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            drain: Duration::from_millis(200),
            identity: None,
            clients: None,
            shutdown: None,
            bind: ([127, 0, 0, 1], 0).into(),
            metrics_bind: ([127, 0, 0, 1], 0).into(),
        }
    }
}

impl Setup {
    /// Starts with a CA made for it.
    pub async fn start(self) -> Running {
        self.start_under(certificates::ca()).await
    }

    /// Starts; unless there is another identity, the serving certificate is signed by `ca`.
    pub async fn start_under(self, ca: CertificateAndKey) -> Running {
        let Self {
            limits,
            drain,
            identity,
            clients,
            shutdown,
            bind,
            metrics_bind,
        } = self;
        let server = Server::bind(ServerOptions {
            bind,
            metrics_bind,
            drain,
            limits,
        })
        .await
        .unwrap();
        let (https, http) = (
            server.https_address().unwrap(),
            server.http_address().unwrap(),
        );
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let identity = identity.unwrap_or_else(|| {
            let CertificateAndKey { certificate, key } = certificates::serving(&ca);
            Identity::Memory { certificate, key }
        });
        let tls = Tls::new(identity, clients, &metrics, &readiness).unwrap();
        let webhook = Arc::new(Webhook::default());
        let (trigger, manual) = Shutdown::manual();
        let task = tokio::spawn(server.run(
            Arc::clone(&webhook),
            tls,
            Arc::clone(&metrics),
            readiness.clone(),
            shutdown.unwrap_or(manual),
        ));
        Running {
            ca,
            https,
            http,
            webhook,
            metrics,
            readiness,
            trigger,
            task,
        }
    }
}

impl Running {
    /// A TLS configuration that trusts this server.
    pub fn config(&self) -> Arc<ClientConfig> {
        client::config(&self.ca, None)
    }

    pub fn client(&self) -> Client {
        Client::new(self.https, self.config())
    }

    pub async fn scrape(&self) -> Scrape {
        Scrape::parse(client::get(self.http, "/metrics").await.text())
    }

    /// Waits until a series has a value.
    pub async fn expect_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name} {labels:?} = {value}");
        eventually(&what, async || {
            (self.scrape().await.get(name, labels) == Some(value)).then_some(())
        })
        .await;
    }

    /// Waits until `/readyz` answers so, and gives its body.
    pub async fn expect_ready(&self, ready: bool) -> String {
        eventually("readiness", async || {
            let answer = client::get(self.http, "/readyz").await;
            (answer.status.is_success() == ready).then(|| answer.text().to_owned())
        })
        .await
    }

    /// Waits until so many requests are waiting in the webhook.
    pub async fn expect_waiting(&self, count: usize) {
        let waiting = || self.webhook.waiting.load(Ordering::SeqCst);
        eventually("waiting requests", async || {
            (waiting() == count).then_some(())
        })
        .await;
    }
}
