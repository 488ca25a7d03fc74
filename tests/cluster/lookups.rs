//! Look-ups of owners against an API server: what the usual pod costs, races, and every kind of
//! trouble.

use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;

use engine::runtimes::{LookupError, Question};
use rstest::rstest;
use sandbox_injector::cluster::Lookups;
use sandbox_injector::cluster::readiness::await_api_server;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use serde_json::{Value, json};
use support::apiserver::{ApiServer, Fault};
use support::metrics::Scrape;
use support::{LONG, eventually};
use tokio::time::Instant;

const NAMESPACE: &str = "default";
const UID: &str = "5a1d5b36-6c9d-4f0e-9d3b-0d9d6f7a1c01";

/// What a review with the usual `?timeout=5s` leaves.
const PATIENCE: Duration = Duration::from_millis(4500);

type Answer = Result<Option<Vec<String>>, LookupError>;

struct Bench {
    server: ApiServer,
    lookups: Lookups,
    metrics: Arc<Metrics>,
}

impl Bench {
    async fn new() -> Self {
        Self::on(ApiServer::with_kruise().await).await
    }

    async fn on(server: ApiServer) -> Self {
        let metrics = Arc::new(Metrics::new());
        let lookups = Lookups::new(server.client().await, Arc::clone(&metrics));
        Self {
            server,
            lookups,
            metrics,
        }
    }

    async fn sandbox(&self, name: &str, uid: &str) -> Answer {
        self.within(PATIENCE, name, uid).await
    }

    async fn within(&self, patience: Duration, name: &str, uid: &str) -> Answer {
        let question = Question::Sandbox {
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        self.lookups
            .declared(&question, Instant::now() + patience)
            .await
    }

    async fn sandbox_set(&self, name: &str) -> Answer {
        let question = Question::SandboxSet {
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
        };
        self.lookups
            .declared(&question, Instant::now() + PATIENCE)
            .await
    }

    /// The queries of the GETs of Sandboxes so far.
    fn queries(&self) -> Vec<String> {
        self.server
            .asked("/sandboxes/")
            .into_iter()
            .map(|asked| asked.query)
            .collect()
    }

    fn counted(&self, result: &str) -> f64 {
        Scrape::parse(&self.metrics.text())
            .value("sandbox_injector_lookups_total", &[("result", result)])
    }
}

fn object(kind: &str, name: &str, uid: &str, runtimes: &[&str]) -> Value {
    let runtimes: Vec<Value> = runtimes.iter().map(|name| json!({"name": name})).collect();
    json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": uid}, "spec": {"runtimes": runtimes}})
}

fn found(names: &[&str]) -> Answer {
    Ok(Some(names.iter().map(|name| (*name).to_owned()).collect()))
}

thread_local! {
    /// What was logged on this thread, which a test has for itself.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes to the log of the thread that it is used on.
struct Log;

impl Log {
    /// Has to be for the whole process: what a thread's own subscriber gets depends on the other
    /// threads.
    fn capture() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(|| Log)
                .try_init()
                .unwrap();
        });
    }

    fn count(part: &str) -> usize {
        LOG.with_borrow(|log| log.matches(part).count())
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.push_str(std::str::from_utf8(bytes).unwrap()));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_usual_pod_costs_one_get_from_the_cache() {
    let bench = Bench::new().await;
    bench
        .server
        .put(&object("Sandbox", "a", UID, &["agent-runtime", "csi"]));
    assert_eq!(
        bench.sandbox("a", UID).await,
        found(&["agent-runtime", "csi"])
    );
    assert_eq!(bench.queries(), ["resourceVersion=0"]);
    assert_eq!(bench.server.asked("").len(), 1);
    assert_eq!(bench.counted("found"), 1.0);
}

#[tokio::test]
async fn a_sandbox_without_runtimes_answers_nothing() {
    let bench = Bench::new().await;
    let mut sandbox = object("Sandbox", "a", UID, &[]);
    bench.server.put(&sandbox);
    assert_eq!(bench.sandbox("a", UID).await, found(&[]));
    sandbox["spec"] = json!({});
    bench.server.put(&sandbox);
    assert_eq!(bench.sandbox("a", UID).await, found(&[]));
}

#[tokio::test]
async fn a_new_sandbox_is_found_although_the_cache_lags() {
    let bench = Bench::new().await;
    bench.server.freeze_memory();
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    assert_eq!(bench.queries(), ["resourceVersion=0", ""]);
}

#[tokio::test]
async fn a_recreated_sandbox_is_distinguished_from_the_old_one() {
    let bench = Bench::new().await;
    bench
        .server
        .put(&object("Sandbox", "a", "old", &["agent-runtime"]));
    bench.server.freeze_memory();
    bench.server.delete(&object("Sandbox", "a", "old", &[]));
    bench.server.put(&object("Sandbox", "a", "new", &["csi"]));
    // The pod of the new one, while memory still has the old one.
    assert_eq!(bench.sandbox("a", "new").await, found(&["csi"]));
    assert_eq!(bench.queries(), ["resourceVersion=0", ""]);
    // A late pod of a third one that is gone: neither of the two is its owner.
    assert_eq!(bench.sandbox("a", "gone").await, Ok(None));
}

#[tokio::test]
async fn a_missing_sandbox_is_requested_exactly_twice() {
    let bench = Bench::new().await;
    assert_eq!(bench.sandbox("a", UID).await, Ok(None));
    assert_eq!(bench.queries(), ["resourceVersion=0", ""]);
    assert_eq!(bench.counted("not_found"), 1.0);
    assert_eq!(bench.sandbox_set("pool").await, Ok(None));
    bench
        .server
        .put(&object("SandboxSet", "pool", UID, &["csi"]));
    assert_eq!(bench.sandbox_set("pool").await, found(&["csi"]));
}

#[rstest]
#[case::outside("../../configmaps/secrets")]
#[case::query("a?watch=true")]
#[case::empty("")]
#[case::upper("Code_Interpreter")]
#[tokio::test]
async fn an_impossible_name_is_not_requested(#[case] name: &str) {
    let bench = Bench::new().await;
    assert_eq!(bench.sandbox(name, UID).await, Ok(None));
    assert_eq!(bench.sandbox_set(name).await, Ok(None));
    assert_eq!(bench.sandbox("a", "").await, Ok(None));
    assert_eq!(bench.server.asked(""), []);
}

#[rstest]
#[case::timeout(Fault::status("/sandboxes/", 504))]
#[case::internal(Fault::status("/sandboxes/", 500))]
#[case::unavailable(Fault::status("/sandboxes/", 503))]
#[case::too_many(Fault::status("/sandboxes/", 429))]
#[case::cut(Fault::drop("/sandboxes/"))]
#[tokio::test]
async fn a_temporary_failure_is_retried(#[case] fault: Fault) {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    bench.server.fault(fault.times(2));
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    assert_eq!(
        (bench.counted("retried"), bench.counted("found")),
        (2.0, 1.0)
    );
}

#[rstest]
#[case::internal(
    Fault::status("/sandboxes/", 500),
    "500: etcdserver: request timed out"
)]
#[case::too_many(Fault::status("/sandboxes/", 429), "429: too many requests")]
#[case::cut(
    Fault::drop("/sandboxes/"),
    "connection closed before message completed"
)]
#[case::hung(Fault::hang("/sandboxes/"), "did not answer in time")]
#[case::slow(
    Fault::delay("/sandboxes/", Duration::from_secs(5)),
    "did not answer in time"
)]
#[case::discovery(Fault::status("/apis", 500), "500")]
#[tokio::test]
async fn a_failure_past_the_deadline_is_reported_in_time(#[case] fault: Fault, #[case] why: &str) {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    bench.server.fault(fault);
    let begun = Instant::now();
    let Err(LookupError::Transient(said)) =
        bench.within(Duration::from_millis(400), "a", UID).await
    else {
        panic!("not passing")
    };
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        said.starts_with("cannot look up the Sandbox default/a: "),
        "{said}"
    );
    assert!(said.contains(why) && said.contains("attempt"), "{said}");
    assert_eq!(bench.counted("unavailable"), 1.0);
}

#[tokio::test]
async fn an_api_server_that_comes_back_within_the_deadline_answers() {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    bench.server.stop().await;
    let Err(LookupError::Transient(said)) =
        bench.within(Duration::from_millis(300), "a", UID).await
    else {
        panic!("not passing")
    };
    assert!(said.contains("Connection refused"), "{said}");
    let (answer, ()) = tokio::join!(bench.sandbox("a", UID), async {
        eventually("a retry", async || {
            (bench.counted("retried") > 4.0).then_some(())
        })
        .await;
        bench.server.restart().await;
    });
    assert_eq!(answer, found(&["csi"]));
}

#[tokio::test]
async fn retry_after_is_obeyed_within_the_deadline() {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    bench
        .server
        .fault(Fault::retry_after("/sandboxes/", 429, 1).times(1));
    let begun = Instant::now();
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    bench
        .server
        .fault(Fault::retry_after("/sandboxes/", 503, 30));
    let begun = Instant::now();
    assert!(matches!(
        bench.sandbox("a", UID).await,
        Err(LookupError::Transient(_))
    ));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_hanging_request_is_hedged_by_another() {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    bench.server.fault(Fault::hang("/sandboxes/").times(1));
    let begun = Instant::now();
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(bench.queries().len(), 2);
    // A slow one is waited for.
    bench
        .server
        .fault(Fault::delay("/sandboxes/", Duration::from_millis(1500)).times(2));
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
}

#[rstest]
#[case::forbidden(
    403,
    "grant get on sandboxes.agents.kruise.io in namespace default to system:serviceaccount:sandbox-system:sandbox-injector"
)]
#[case::unauthorized(401, "credentials (401); check the service account's token")]
#[case::bad_request(400, "answered 400")]
#[tokio::test]
async fn a_permanent_failure_is_reported_at_once_with_its_fix(
    #[case] code: u16,
    #[case] fix: &str,
) {
    let bench = Bench::new().await;
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    bench.server.fault(Fault::status("/sandboxes/", code));
    let Err(LookupError::Permanent(said)) = bench.sandbox("a", UID).await else {
        panic!("not lasting")
    };
    assert!(
        said.starts_with("cannot look up the Sandbox default/a: ") && said.contains(fix),
        "{said}"
    );
    assert_eq!(bench.queries().len(), 1);
    assert_eq!(bench.counted("refused"), 1.0);
}

#[rstest]
#[case::no_json("<html>", "$: ")]
#[case::other_kind(
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","uid":"1"}}"#,
    "$: not the requested object"
)]
#[case::no_list(
    r#"{"apiVersion":"agents.kruise.io/v1alpha1","kind":"Sandbox","metadata":{"name":"a","uid":"1"},"spec":{"runtimes":"csi"}}"#,
    "$.spec.runtimes: must be a sequence, not string"
)]
#[tokio::test]
async fn a_malformed_answer_is_a_permanent_failure(#[case] body: &str, #[case] place: &str) {
    let bench = Bench::new().await;
    bench.server.fault(Fault::body("/sandboxes/", body));
    let Err(LookupError::Permanent(said)) = bench.sandbox("a", "1").await else {
        panic!("not lasting")
    };
    assert!(
        said.contains("unexpected response") && said.contains(place),
        "{said}"
    );
}

#[tokio::test]
async fn a_kind_that_is_not_installed_costs_no_get_and_is_noticed_later() {
    let bench = Bench::on(ApiServer::start().await).await;
    assert_eq!(bench.sandbox("a", UID).await, Ok(None));
    let asked = bench.server.asked("").len();
    for _ in 0..50 {
        assert_eq!(bench.sandbox("a", UID).await, Ok(None));
    }
    assert_eq!(bench.server.asked("").len(), asked);
    bench.server.install_kruise();
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    eventually("the kind", async || {
        (bench.sandbox("a", UID).await == found(&["csi"])).then_some(())
    })
    .await;
    // Once it is there, every pod requests it again.
    assert_eq!(bench.sandbox("b", UID).await, Ok(None));
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    bench.server.delete(
        &json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "sandboxes.agents.kruise.io"}}),
    );
    assert_eq!(bench.sandbox("a", UID).await, Ok(None));
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_logged_once() {
    Log::capture();
    let bench = Bench::on(ApiServer::start().await).await;
    for _ in 0..20 {
        assert_eq!(bench.sandbox("a", UID).await, Ok(None));
    }
    assert_eq!(Log::count("the kind is not installed in the cluster"), 1);
    bench.server.install_kruise();
    bench.server.put(&object("Sandbox", "a", UID, &["csi"]));
    eventually("the kind", async || {
        (bench.sandbox("a", UID).await == found(&["csi"])).then_some(())
    })
    .await;
    assert_eq!(Log::count("the kind is not installed in the cluster"), 1);
    assert_eq!(Log::count("the kind is now installed"), 1);
}

#[tokio::test]
async fn a_failed_discovery_is_a_failure() {
    let bench = Bench::on(ApiServer::start().await).await;
    assert_eq!(bench.sandbox("a", UID).await, Ok(None));
    bench.server.fault(Fault::status("/apis", 500));
    let answer = eventually("another look", async || {
        bench
            .within(Duration::from_millis(400), "a", UID)
            .await
            .err()
    });
    assert!(matches!(answer.await, LookupError::Transient(_)));
}

#[tokio::test]
async fn another_version_is_found_by_discovery() {
    let server = ApiServer::start().await;
    for mut definition in support::apiserver::definitions() {
        definition["spec"]["versions"][0]["name"] = "v1beta1".into();
        server.put(&definition);
    }
    let mut sandbox = object("Sandbox", "a", UID, &["csi"]);
    sandbox["apiVersion"] = "agents.kruise.io/v1beta1".into();
    server.put(&sandbox);
    let bench = Bench::on(server).await;
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    let asked = bench.server.asked("").len();
    assert_eq!(bench.sandbox("a", UID).await, found(&["csi"]));
    assert_eq!(bench.server.asked("").len(), asked + 1);
}

#[tokio::test]
async fn an_address_without_an_api_server_does_not_mean_a_missing_kind() {
    let bench = Bench::new().await;
    bench.server.fault(Fault::no_path("/"));
    let Err(LookupError::Permanent(said)) = bench.sandbox("a", UID).await else {
        panic!("a silent nothing")
    };
    assert!(said.contains("unexpected response from /apis"), "{said}");
}

#[tokio::test]
async fn many_pods_at_once_are_all_answered() {
    let bench = Arc::new(Bench::new().await);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (name, uid) = (format!("sandbox-{number}"), format!("uid-{number}"));
        bench.server.put(&object("Sandbox", &name, &uid, &["csi"]));
        let bench = Arc::clone(&bench);
        asking.spawn(async move { bench.within(LONG, &name, &uid).await });
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.unwrap(), found(&["csi"]));
    }
}

#[tokio::test]
async fn readiness_waits_for_the_first_answer_and_not_for_another() {
    let server = ApiServer::start().await;
    server.stop().await;
    let readiness = Readiness::new();
    let reaching = tokio::spawn(await_api_server(
        server.client().await,
        readiness.gate("api-server"),
    ));
    let refused =
        |said: String| (said.starts_with("api-server: ") && said.contains("refused")).then_some(());
    eventually("the reason", async || {
        readiness.check().err().and_then(refused)
    })
    .await;
    server.fault(Fault::status("/version", 401));
    server.restart().await;
    let unknown = |said: String| {
        said.contains("check the service account's token")
            .then_some(())
    };
    eventually("another reason", async || {
        readiness.check().err().and_then(unknown)
    })
    .await;
    server.repair();
    eventually("readiness", async || readiness.check().ok()).await;
    reaching.await.unwrap();
    server.stop().await;
    assert_eq!(readiness.check(), Ok(()));
}
