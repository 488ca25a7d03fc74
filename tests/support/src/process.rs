//! The binary as a process: `serve` on ports of its own, and what it logs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use sandbox_injector::certs::CertificateAndKey;

use super::client::Client;
use super::kubelet::Volume;
use super::metrics::Scrape;
use super::{certificates, client, eventually};

/// A running `serve`.
pub struct Process {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub ca: CertificateAndKey,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    tls: tempfile::TempDir,
}

impl Process {
    /// Starts `serve` with `arguments` beside a certificate directory and ports, and waits until it
    /// listens.
    pub async fn start(arguments: &[&str]) -> Self {
        let ca = certificates::ca();
        let CertificateAndKey { certificate, key } = certificates::serving(&ca);
        let tls = tempfile::tempdir().unwrap();
        Volume::new(tls.path(), &[("tls.crt", &certificate), ("tls.key", &key)]);
        let mut child = Command::new(crate::program())
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--metrics-bind",
                "127.0.0.1:0",
                "--drain",
                "100ms",
            ])
            .arg("--tls-cert-dir")
            .arg(tls.path())
            .args(arguments)
            .env_remove("REGION_ID")
            .env_remove("KUBECONFIG")
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let listening = eventually("the listening line", async || {
            let lines = log.lock().unwrap();
            lines
                .iter()
                .find(|line| line.contains("listening"))
                .cloned()
        })
        .await;
        let address = |name: &str| {
            let text = listening.replace('"', "").replace(':', "=");
            let start = text.find(&format!("{name}=")).unwrap() + name.len() + 1;
            let end = text[start..]
                .find([' ', ',', '}'])
                .map_or(text.len(), |length| start + length);
            text[start..end].replace('=', ":").parse().unwrap()
        };
        Self {
            https: address("https"),
            http: address("http"),
            ca,
            child,
            log,
            tls,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.https, client::config(&self.ca, None))
    }

    pub async fn scrape(&self) -> Scrape {
        Scrape::parse(client::get(self.http, "/metrics").await.text())
    }

    pub async fn metrics_text(&self) -> String {
        client::get(self.http, "/metrics").await.text().to_owned()
    }

    /// Where its certificate is mounted.
    pub fn certificate_directory(&self) -> &Path {
        self.tls.path()
    }

    /// What was logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log has a line with this text.
    pub async fn logged(&self, text: &str) {
        eventually(text, async || {
            self.log()
                .iter()
                .any(|line| line.contains(text))
                .then_some(())
        })
        .await;
    }

    /// Nothing reads the log for as long as this is held.
    pub fn unread(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A recorded review.
pub fn review(name: &str) -> String {
    std::fs::read_to_string(
        Path::new("testdata/reviews")
            .join(name)
            .with_extension("json"),
    )
    .unwrap()
}
