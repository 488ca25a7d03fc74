//! The whole webhook behind a real socket: configuration, decisions, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::config::config_map::Entries;
use engine::review::decide::Settings;
use rustls::ClientConfig;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use sandbox_injector::serve::store::{Store, Taken};
use sandbox_injector::serve::webhook::Webhook;
use sandbox_injector::server::shutdown::Trigger;
use sandbox_injector::server::{Limits, Server, ServerOptions, Shutdown};
use sandbox_injector::source::Source;
use sandbox_injector::tls::{Identity, Tls};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::certificates;
use super::client::{self, Answer, Client, post};
use super::metrics::Scrape;

/// A webhook that serves until this is dropped.
pub struct Service {
    pub https: SocketAddr,
    http: SocketAddr,
    config: Arc<ClientConfig>,
    client: Client,
    _trigger: Trigger,
}

impl Service {
    /// Serves the embedded configuration.
    pub async fn start(settings: Settings) -> Self {
        Self::start_with(settings, Source::Embedded.read().unwrap()).await
    }

    /// Serves with these entries and the region `cn-hangzhou`.
    pub async fn start_with(settings: Settings, entries: Entries) -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let options = ServerOptions {
            bind: any,
            metrics_bind: any,
            drain: Duration::from_millis(10),
            limits: Limits::default(),
        };
        let server = Server::bind(options).await.unwrap();
        let (https, http) = (
            server.https_address().unwrap(),
            server.http_address().unwrap(),
        );
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let ca = certificates::ca();
        let pair = certificates::serving(&ca);
        let identity = Identity::Memory {
            certificate: pair.certificate,
            key: pair.key,
        };
        let tls = Tls::new(identity, None, &metrics, &readiness).unwrap();
        let gate = readiness.gate("configuration");
        let store = Arc::new(Store::new(
            "cn-hangzhou".parse().ok(),
            Arc::clone(&metrics),
            gate,
        ));
        assert_eq!(store.offer(Ok(entries)), Taken::Loaded);
        let webhook = Webhook::new(store, settings, None, Arc::clone(&metrics));
        let (trigger, shutdown) = Shutdown::manual();
        tokio::spawn(server.run(Arc::new(webhook), tls, metrics, readiness, shutdown));
        let config = client::config(&ca, None);
        let client = Client::new(https, Arc::clone(&config));
        Self {
            https,
            http,
            config,
            client,
            _trigger: trigger,
        }
    }

    /// A connection of its own, over which anything may be sent.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        client::connect(self.https, &self.config).await
    }

    /// A client with connections of its own.
    pub fn client(&self) -> Client {
        Client::new(self.https, Arc::clone(&self.config))
    }

    pub async fn mutate(&self, body: impl Into<hyper::body::Bytes>) -> Answer {
        self.client.mutate(body).await
    }

    pub async fn validate(&self, body: impl Into<hyper::body::Bytes>) -> Answer {
        self.client
            .send(post("/validate?timeout=5s", body))
            .await
            .unwrap()
    }

    /// How many reviews ended so.
    pub async fn counted(&self, outcome: &str) -> f64 {
        self.scrape().await.value(
            "sandbox_injector_admission_requests_total",
            &[("outcome", outcome)],
        )
    }

    /// A gauge without labels, by its name after the prefix.
    pub async fn gauge(&self, name: &str) -> f64 {
        self.scrape()
            .await
            .value(&format!("sandbox_injector_{name}"), &[])
    }

    async fn scrape(&self) -> Scrape {
        Scrape::parse(client::get(self.http, "/metrics").await.text())
    }
}
