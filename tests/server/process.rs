//! A server in a process of its own: its log, its signals, its limit on open files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, fs};

use rstest::rstest;
use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::server::{Limits, Shutdown, Stopped, TimeLimits};
use sandbox_injector::telemetry;
use sandbox_injector::telemetry::LogFormat;
use sandbox_injector::tls::Identity;
use support::certificates::{ca, serving};
use support::client::{self, Client, get, post};
use support::eventually;
use support::server::{ASKED_PANIC, Setup};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Where the process finds its certificate, and leaves its addresses and log.
const DIRECTORY: &str = "TEST_SERVER_DIRECTORY";
const FORMAT: &str = "TEST_SERVER_LOG_FORMAT";

/// Not a test but the process that the others start.
#[tokio::test]
#[ignore = "started by the other tests"]
async fn process() {
    let directory = PathBuf::from(env::var_os(DIRECTORY).unwrap());
    let format = if env::var(FORMAT).unwrap() == "json" {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let _log = telemetry::init(format, Some("info")).unwrap();
    telemetry::install_panic_hook();
    let server = Setup {
        limits: Limits {
            times: TimeLimits {
                handshake: Duration::from_millis(500),
                ..TimeLimits::default()
            },
            ..Limits::default()
        },
        identity: Some(Identity::Directory(directory.clone())),
        shutdown: Some(Shutdown::on_signals().unwrap()),
        ..Setup::default()
    };
    let server = server.start().await;
    fs::write(
        directory.join("addresses.new"),
        format!("{} {}", server.https, server.http),
    )
    .unwrap();
    fs::rename(directory.join("addresses.new"), directory.join("addresses")).unwrap();
    assert_eq!(server.task.await.unwrap(), Stopped::Drained);
}

struct Process {
    directory: TempDir,
    child: Child,
    ca: CertificateAndKey,
    https: SocketAddr,
    http: SocketAddr,
}

impl Process {
    /// Starts it with a limit on open files.
    async fn start(format: &str, open_files: usize) -> Self {
        let (directory, ca) = (TempDir::new().unwrap(), ca());
        let pair = serving(&ca);
        fs::write(directory.path().join("tls.crt"), pair.certificate).unwrap();
        fs::write(directory.path().join("tls.key"), pair.key).unwrap();
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -n {open_files} && exec \"$0\" \"$@\""),
            ])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "process::process", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(FORMAT, format)
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let addresses = eventually("the addresses", async || {
            fs::read_to_string(directory.path().join("addresses")).ok()
        })
        .await;
        let (https, http) = addresses.split_once(' ').unwrap();
        Self {
            child,
            ca,
            https: https.parse().unwrap(),
            http: http.parse().unwrap(),
            directory,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.https, client::config(&self.ca, None))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    async fn end(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        eventually("the end", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
#[case::text("text")]
#[case::json("json")]
#[tokio::test]
async fn the_log_consists_of_lines_and_withholds_panic_messages(#[case] format: &str) {
    let mut process = Process::start(format, 1024).await;
    let client = process.client();
    assert_eq!(client.mutate("panic").await.status, 500);
    assert_eq!(client.mutate("{}").await.status, 200);
    assert_eq!(get(process.http, "/readyz").await.status, 200);
    assert!(process.end().await.success());
    let log = process.log();
    assert!(!log.contains(ASKED_PANIC), "{log}");
    assert!(log.contains("tests/support/src/server.rs:"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
    let lines: Vec<&str> = log.lines().collect();
    if format == "json" {
        for line in &lines {
            let line: serde_json::Value = serde_json::from_str(line).expect(line);
            assert!(
                line["timestamp"].is_string()
                    && line["level"].is_string()
                    && line["message"].is_string()
            );
        }
    } else {
        let levels = [" INFO ", " WARN ", " ERROR "];
        assert!(
            lines
                .iter()
                .all(|line| levels.iter().any(|level| line.contains(level))),
            "{log}"
        );
    }
}

#[tokio::test]
async fn running_out_of_descriptors_is_logged_once_and_recovers() {
    let process = Process::start("text", 64).await;
    let client = process.client();
    assert_eq!(client.mutate("{}").await.status, 200);
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(TcpStream::connect(process.https).await.unwrap());
    }
    eventually("the complaint", async || {
        process
            .log()
            .contains("cannot accept connections")
            .then_some(())
    })
    .await;
    // Who is connected is served throughout.
    assert_eq!(client.mutate("{}").await.status, 200);
    eventually("the next to be served", async || {
        let next = process.client();
        next.send(post("/mutate", "{}"))
            .await
            .ok()
            .filter(|answer| answer.status == 200)
    })
    .await;
    drop(crowd);
    let log = process.log();
    let complaints = log.matches("cannot accept connections").count();
    // Each listener for itself, and anew when it has accepted meanwhile; not each attempt.
    assert!(complaints < 10, "{log}");
    assert!(log.contains("connection limit lowered"), "{log}");
}
