//! The floor under the webhook: the same server, which reads the body and returns a constant reply
//! of the size that the recorded OpenKruise review gets. What it costs is what no webhook on this
//! stack can do without.
//!
//! ```text
//! cargo run --release --example floor -- --bind 127.0.0.1:9444 --tls-cert-dir DIR
//! ```
#![allow(
    clippy::expect_used,
    reason = "an example that cannot start should say so and stop"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use clap::Parser;
use sandbox_injector::metrics::{Admission, Metrics};
use sandbox_injector::readiness::Readiness;
use sandbox_injector::server::{Limits, Reply, Reviews, Server, ServerOptions, Shutdown};
use sandbox_injector::tls::{Identity, Tls};
use tokio::time::Instant;

#[derive(Parser)]
struct Flags {
    /// Where HTTPS is served
    #[arg(long, default_value = "127.0.0.1:9444")]
    bind: SocketAddr,
    /// Where probes are served
    #[arg(long, default_value = "127.0.0.1:8081")]
    metrics_bind: SocketAddr,
    /// A directory with tls.crt and tls.key
    #[arg(long)]
    tls_cert_dir: PathBuf,
    /// The size of the reply in bytes
    #[arg(long, default_value_t = 5_744)]
    reply_bytes: usize,
}

struct Floor {
    reply: Bytes,
    metrics: Arc<Metrics>,
}

impl Reviews for Floor {
    async fn mutate(&self, _body: Bytes, _deadline: Instant) -> Reply {
        self.metrics.admission(Admission::Injected, Duration::ZERO);
        Reply::json(self.reply.clone())
    }
    async fn validate(&self, body: Bytes, deadline: Instant) -> Reply {
        self.mutate(body, deadline).await
    }
}

#[tokio::main]
async fn main() {
    let Flags {
        bind,
        metrics_bind,
        tls_cert_dir,
        reply_bytes,
    } = Flags::parse();
    let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
    let tls = Tls::new(
        Identity::Directory(tls_cert_dir),
        None,
        &metrics,
        &readiness,
    )
    .expect("a usable certificate");
    let options = ServerOptions {
        bind,
        metrics_bind,
        drain: Duration::ZERO,
        limits: Limits::default(),
    };
    let server = Server::bind(options).await.expect("free addresses");
    let floor = Floor {
        reply: vec![b'x'; reply_bytes].into(),
        metrics: Arc::clone(&metrics),
    };
    let shutdown = Shutdown::on_signals().expect("signal handlers");
    server
        .run(Arc::new(floor), tls, metrics, readiness, shutdown)
        .await;
}
