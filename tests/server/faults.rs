//! Faults beneath the process: files that are not what they were, a stopped process, a replica that
//! is gone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sandbox_injector::certs::CertificateAndKey;
use serde_json::{Value, json};
use support::client::{self, Client, post};
use support::kubelet::Volume;
use support::process::{Process, review};
use support::{certificates, eventually};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

const CONFIG_RELOADS: &str = "sandbox_injector_config_reloads_total";
const TLS_RELOADS: &str = "sandbox_injector_tls_reloads_total";

/// A runtime that adds one variable to the main container.
fn runtime(value: &str) -> String {
    json!({"mainContainer": {"env": [{"name": "VERSION", "value": value}]}}).to_string()
}

/// A review of a pod that requests the runtime `a`.
fn asking() -> String {
    let mut review: Value = serde_json::from_str(&review("01-kruise-sandboxset-pod")).unwrap();
    review["request"]["object"]["metadata"]["annotations"]["sandbox-injector.io/runtimes"] =
        "a".into();
    review.to_string()
}

/// Whether the pod gets the variable with this value, by a connection of its own.
async fn gets(process: &Process, value: &str) -> bool {
    let answer = process.client().mutate(asking()).await;
    let Some(patch) = answer.json()["response"]["patch"]
        .as_str()
        .map(str::to_owned)
    else {
        return false;
    };
    let patch = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, patch).unwrap();
    String::from_utf8(patch)
        .unwrap()
        .contains(&format!("\"value\":\"{value}\""))
}

async fn expect(process: &Process, value: &str) {
    eventually(value, async || gets(process, value).await.then_some(())).await;
}

async fn failures(process: &Process, metric: &str) -> f64 {
    process
        .scrape()
        .await
        .value(metric, &[("result", "failure")])
}

/// Waits for one more failed reload than before.
async fn expect_failure(process: &Process, metric: &str, before: f64) {
    eventually("a failed reload", async || {
        (failures(process, metric).await > before).then_some(())
    })
    .await;
}

async fn serving_directory(directory: &Path) -> Process {
    let process = Process::start(&["--config-dir", directory.to_str().unwrap()]).await;
    expect(&process, "0").await;
    process
}

#[tokio::test]
async fn a_directory_in_place_of_a_key_is_an_error_and_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a");
    fs::write(&file, runtime("0")).unwrap();
    // Another one, so that there is a configuration without the first.
    fs::write(directory.path().join("b"), runtime("0")).unwrap();
    let process = serving_directory(directory.path()).await;
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    eventually("the complaint", async || {
        process
            .log()
            .iter()
            .any(|line| line.contains("Is a directory") && line.contains("/a: "))
            .then_some(())
    })
    .await;
    expect(&process, "0").await;
    fs::remove_dir(&file).unwrap();
    fs::write(&file, runtime("1")).unwrap();
    expect(&process, "1").await;
}

#[tokio::test]
async fn an_emptied_directory_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a");
    fs::write(&file, runtime("0")).unwrap();
    let process = serving_directory(directory.path()).await;
    fs::remove_file(&file).unwrap();
    expect_failure(&process, CONFIG_RELOADS, 0.0).await;
    assert!(gets(&process, "0").await);
    fs::write(&file, runtime("1")).unwrap();
    expect(&process, "1").await;
}

#[tokio::test]
async fn a_directory_that_is_renamed_or_recreated_is_followed() {
    let root = TempDir::new().unwrap();
    let (directory, aside) = (root.path().join("config"), root.path().join("aside"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("a"), runtime("0")).unwrap();
    let process = serving_directory(&directory).await;

    fs::rename(&directory, &aside).unwrap();
    expect_failure(&process, CONFIG_RELOADS, 0.0).await;
    assert!(gets(&process, "0").await);
    // What happens to it meanwhile is out of scope.
    fs::write(aside.join("a"), runtime("1")).unwrap();
    fs::rename(&aside, &directory).unwrap();
    expect(&process, "1").await;
    fs::write(directory.join("a"), runtime("2")).unwrap();
    expect(&process, "2").await;

    // Another in its place at once, and the old one still there under another name.
    fs::create_dir(root.path().join("next")).unwrap();
    fs::write(root.path().join("next/a"), runtime("3")).unwrap();
    fs::rename(&directory, &aside).unwrap();
    fs::rename(root.path().join("next"), &directory).unwrap();
    expect(&process, "3").await;
    fs::write(aside.join("a"), runtime("not this one")).unwrap();
    fs::write(directory.join("a"), runtime("4")).unwrap();
    expect(&process, "4").await;

    // The one above it goes too, as when a whole volume is mounted anew.
    fs::remove_dir_all(root.path()).unwrap();
    eventually("the complaint", async || {
        process
            .log()
            .iter()
            .any(|line| line.contains("cannot read the configuration"))
            .then_some(())
    })
    .await;
    assert!(gets(&process, "4").await);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("a"), runtime("5")).unwrap();
    expect(&process, "5").await;
    assert_eq!(client::get(process.http, "/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_vanish_while_they_are_read_are_read_again() {
    /// Few keys are read too fast for anything to vanish meanwhile.
    const KEYS: usize = 200;
    let directory = TempDir::new().unwrap();
    let names: Vec<String> = (0..KEYS).map(|number| format!("key-{number}")).collect();
    let files = |value: &str| {
        let mut files: Vec<(String, String)> = names
            .iter()
            .map(|name| (name.clone(), runtime(value)))
            .collect();
        files.push(("a".to_owned(), runtime(value)));
        files
    };
    let write = |volume: &mut Volume, value: &str| {
        let files = files(value);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        volume.write(&files);
    };
    let mut volume = Volume::new(directory.path(), &[]);
    write(&mut volume, "0");
    let process = serving_directory(directory.path()).await;
    // Each swap removes the version that may be being read; the pauses are of every length around
    // that of a reading.
    for round in 1..=60 {
        write(&mut volume, &round.to_string());
        sleep(Duration::from_millis(round * 7 % 90)).await;
        assert_eq!(client::get(process.http, "/readyz").await.status, 200);
    }
    expect(&process, "60").await;
    println!(
        "failed reloads: {}",
        failures(&process, CONFIG_RELOADS).await
    );
}

#[tokio::test]
async fn a_directory_in_place_of_the_client_ca_changes_nothing() {
    let (directory, first) = (TempDir::new().unwrap(), certificates::ca());
    let ca = directory.path().join("ca.crt");
    fs::write(&ca, &first.certificate).unwrap();
    let process = Process::start(&["--region-id", "r", "--client-ca", ca.to_str().unwrap()]).await;
    let served = async |ca: &CertificateAndKey| {
        let identity = certificates::client(ca, "kube-apiserver", &[], certificates::valid());
        let client = Client::new(process.https, client::config(&process.ca, Some(&identity)));
        client
            .send(post("/mutate", asking()))
            .await
            .is_ok_and(|answer| answer.status == 200)
    };
    assert!(served(&first).await);
    fs::remove_file(&ca).unwrap();
    fs::create_dir(&ca).unwrap();
    expect_failure(&process, TLS_RELOADS, 0.0).await;
    let line = eventually("the complaint", async || {
        process
            .log()
            .into_iter()
            .find(|line| line.contains("ca.crt") && line.contains("ERROR"))
    })
    .await;
    assert!(
        line.contains("--client-ca") && line.contains("the previous one stays in use"),
        "{line}"
    );
    assert!(served(&first).await);
    assert_eq!(client::get(process.http, "/readyz").await.status, 200);
    fs::remove_dir(&ca).unwrap();
    let next = certificates::ca();
    fs::write(&ca, &next.certificate).unwrap();
    eventually("the next CA", async || served(&next).await.then_some(())).await;
    assert!(!served(&first).await);
}

#[tokio::test]
async fn a_directory_in_place_of_the_certificate_changes_nothing() {
    let process = Process::start(&["--region-id", "r"]).await;
    let directory = process.certificate_directory();
    let config = client::config(&process.ca, None);
    let shown = async || client::certificate(process.https, &config).await.unwrap();
    let before = shown().await;
    for name in ["tls.crt", "tls.key"] {
        let failed = failures(&process, TLS_RELOADS).await;
        // A version of the Secret in which one of the two is a directory.
        let link = directory.join("..data");
        let version = format!("..broken-{name}");
        fs::create_dir_all(directory.join(&version).join(name)).unwrap();
        let other = if name == "tls.crt" {
            "tls.key"
        } else {
            "tls.crt"
        };
        fs::copy(link.join(other), directory.join(&version).join(other)).unwrap();
        let good = fs::read_link(&link).unwrap();
        std::os::unix::fs::symlink(&version, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), &link).unwrap();
        expect_failure(&process, TLS_RELOADS, failed).await;
        assert_eq!(shown().await, before, "{name}");
        assert_eq!(client::get(process.http, "/readyz").await.status, 200);
        std::os::unix::fs::symlink(&good, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), &link).unwrap();
        eventually("all as before", async || {
            let log = process.log();
            let last = log.iter().rev().find(|line| {
                line.contains("the file on disk is usable again") || line.contains(name)
            });
            last.is_some_and(|line| line.contains("the file on disk is usable again"))
                .then_some(())
        })
        .await;
    }
    let next = certificates::serving(&process.ca);
    let expected = certificates::der(&next.certificate).remove(0);
    for (name, text) in [("tls.crt", &next.certificate), ("tls.key", &next.key)] {
        fs::write(directory.join("..data").join(name), text).unwrap();
    }
    fs::write(directory.join("touched"), "").unwrap();
    eventually("the next certificate", async || {
        (shown().await == expected).then_some(())
    })
    .await;
}

fn signal(process: &Process, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Clients that review without a pause until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    retried: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Load {
    const CLIENTS: usize = 8;

    /// Each client takes the replicas in turn, and sends a review to the next when one does not
    /// answer: as the API server does when a connection cannot be made, and as controllers do
    /// when a pod was not created.
    fn start(replicas: &[Client]) -> Self {
        let (stop, served, retried) =
            <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let mut tasks = JoinSet::new();
        for number in 0..Self::CLIENTS {
            let (stop, served, retried) =
                (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&retried));
            let replicas: Vec<Client> = replicas.iter().map(Client::another).collect();
            tasks.spawn(async move {
                let body = review("01-kruise-sandboxset-pod");
                for turn in number.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut answer = None;
                    for attempt in 0..3 {
                        let client = &replicas[(turn + attempt) % replicas.len()];
                        answer = client
                            .send(post("/mutate?timeout=10s", body.clone()))
                            .await
                            .ok();
                        if answer.is_some() {
                            break;
                        }
                        retried.fetch_add(1, Ordering::Relaxed);
                    }
                    let answer = answer.expect("a review was lost");
                    assert_eq!(answer.status, 200);
                    assert!(
                        answer.json()["response"]["patch"].is_string(),
                        "{}",
                        answer.text()
                    );
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self {
            stop,
            served,
            retried,
            tasks,
        }
    }

    async fn more(&self, count: usize) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("load", async || {
            (self.served.load(Ordering::Relaxed) >= before + count).then_some(())
        })
        .await;
    }

    async fn end(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
        (
            self.served.load(Ordering::Relaxed),
            self.retried.load(Ordering::Relaxed),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_resumes_where_it_was() {
    let process = Process::start(&["--region-id", "cn-hangzhou"]).await;
    let load = Load::start(&[process.client()]);
    for pause in [1, 50, 500] {
        load.more(100).await;
        signal(&process, "-STOP");
        // The kernel accepts a client that connects meanwhile, and lets it wait.
        let waiting = process.client();
        let waiting =
            tokio::spawn(async move { waiting.mutate(review("01-kruise-sandboxset-pod")).await });
        sleep(Duration::from_millis(pause)).await;
        signal(&process, "-CONT");
        assert_eq!(waiting.await.unwrap().status, 200);
        load.more(100).await;
    }
    let (served, retried) = load.end().await;
    assert_eq!(retried, 0, "a request was not answered");
    let scrape = process.scrape().await;
    let counted = scrape.value(
        "sandbox_injector_admission_requests_total",
        &[("outcome", "injected")],
    );
    assert_eq!(counted, f64::from(u32::try_from(served + 3).unwrap()));
    assert_eq!(
        scrape.value("sandbox_injector_in_flight_requests", &[]),
        0.0
    );
    println!("stopped three times: {served} reviews, each answered the first time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_loses_no_review() {
    let arguments = ["--region-id", "cn-hangzhou"];
    let (one, other) = (
        Process::start(&arguments).await,
        Process::start(&arguments).await,
    );
    let load = Load::start(&[one.client(), other.client()]);
    load.more(200).await;
    signal(&one, "-KILL");
    load.more(200).await;
    let (served, retried) = load.end().await;
    assert!(retried > 0, "nobody met the killed one");
    assert_eq!(
        other
            .client()
            .mutate(review("01-kruise-sandboxset-pod"))
            .await
            .status,
        200
    );
    println!("one of two replicas killed: {served} reviews, none lost, {retried} sent again");
}
