//! A real kube-apiserver with its etcd, where `KUBEBUILDER_ASSETS` names a directory that holds
//! them.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use hyper::Request;
use kube::Client;
use rcgen::KeyPair;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// The token of somebody who may do everything.
const ADMIN: &str = "admin-token";
/// The token of somebody who may do nothing but look around.
const NOBODY: &str = "nobody-token";

/// Far more than a start takes.
const START: Duration = Duration::from_secs(90);

/// A running pair. Dropping it ends both.
pub struct RealServer {
    url: String,
    directory: TempDir,
    children: Vec<Child>,
}

impl Drop for RealServer {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The directory of the binaries, if there is one.
pub fn assets() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
    let has = |name: &str| directory.join(name).is_file();
    assert!(
        has("kube-apiserver") && has("etcd"),
        "KUBEBUILDER_ASSETS={} has no kube-apiserver and etcd",
        directory.display()
    );
    Some(directory)
}

impl RealServer {
    pub async fn start(assets: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(
            at("tokens.csv"),
            format!("{ADMIN},admin,admin,system:masters\n{NOBODY},nobody,nobody\n"),
        )
        .unwrap();
        std::fs::write(
            at("accounts.key"),
            KeyPair::generate().unwrap().serialize_pem(),
        )
        .unwrap();
        let [clients, peers, secure] = ports();
        let (clients, peers) = (
            format!("http://127.0.0.1:{clients}"),
            format!("http://127.0.0.1:{peers}"),
        );
        let run = |program: &str, arguments: &[String]| {
            let log = File::create(at(&format!("{program}.log"))).unwrap();
            let mut command = Command::new(assets.join(program));
            command
                .args(arguments)
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            command.spawn().unwrap()
        };
        let etcd = run(
            "etcd",
            &[
                format!("--data-dir={}", at("etcd")),
                format!("--listen-client-urls={clients}"),
                format!("--advertise-client-urls={clients}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        );
        let apiserver = run(
            "kube-apiserver",
            &[
                format!("--etcd-servers={clients}"),
                format!("--secure-port={secure}"),
                format!("--cert-dir={}", at("certificates")),
                format!("--token-auth-file={}", at("tokens.csv")),
                format!("--service-account-key-file={}", at("accounts.key")),
                format!("--service-account-signing-key-file={}", at("accounts.key")),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                "--authorization-mode=RBAC".to_owned(),
                "--allow-privileged=true".to_owned(),
                // Nobody makes service accounts here.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
            ],
        );
        let url = format!("https://127.0.0.1:{secure}");
        let mut server = Self {
            url,
            directory,
            children: vec![etcd, apiserver],
        };
        server.expect_ready().await;
        server
    }

    pub async fn client(&self) -> Client {
        super::client(&self.url, ADMIN).await
    }

    /// The client of somebody without any role.
    pub async fn powerless(&self) -> Client {
        super::client(&self.url, NOBODY).await
    }

    async fn expect_ready(&mut self) {
        let client = self.client().await;
        let end = Instant::now() + START;
        loop {
            let request = Request::get("/readyz").body(Vec::new()).unwrap();
            if client
                .request_text(request)
                .await
                .is_ok_and(|text| text == "ok")
            {
                return;
            }
            let ended = self
                .children
                .iter_mut()
                .any(|child| child.try_wait().unwrap().is_some());
            if ended || Instant::now() >= end {
                let log = self.directory.path().join("kube-apiserver.log");
                panic!(
                    "kube-apiserver does not start:\n{}",
                    std::fs::read_to_string(log).unwrap()
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Ports that were free a moment ago.
fn ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
