//! The watched ConfigMap: edits live within a second, whatever happens to the watch.

use std::sync::Arc;
use std::time::Duration;

use engine::config::config_map::ConfigMapName;
use rstest::rstest;
use sandbox_injector::cluster::config_map;
use sandbox_injector::metrics::Metrics;
use sandbox_injector::readiness::Readiness;
use sandbox_injector::serve::follow::follow_config_map;
use sandbox_injector::serve::store::Store;
use serde_json::{Value, json};
use support::apiserver::{ApiServer, Fault};
use support::eventually;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One process that follows the ConfigMap.
struct Replica {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    following: JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Replica {
    async fn start(server: &ApiServer) -> Self {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let gate = readiness.gate("configuration");
        let store = Arc::new(Store::new(None, Arc::clone(&metrics), gate));
        let following = follow_config_map(server.client().await, name(), Arc::clone(&store));
        Self {
            store,
            metrics,
            readiness,
            following: tokio::spawn(following),
        }
    }

    /// The value of the label that the configuration in use adds.
    fn label(&self) -> Option<String> {
        Some(
            self.store.current()?.config.runtimes()[0].labels[0]
                .1
                .clone(),
        )
    }

    async fn expect(&self, label: &str) {
        eventually(label, async || {
            (self.label().as_deref() == Some(label)).then_some(())
        })
        .await;
    }

    async fn expect_reason(&self, part: &str) {
        let said = async || {
            self.readiness
                .check()
                .err()
                .filter(|said| said.contains(part))
        };
        eventually(part, said).await;
    }

    async fn expect_failures(&self, count: u32) {
        let series = format!("config_reloads_total{{result=\"failure\"}} {count}\n");
        eventually(&series, async || {
            self.metrics.text().contains(&series).then_some(())
        })
        .await;
    }
}

fn name() -> ConfigMapName {
    "sandbox-system/sandbox-injection-config".parse().unwrap()
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "sandbox-injection-config", "namespace": "sandbox-system"}})
}

fn labelled(label: &str) -> Value {
    config_map(json!({"csi": json!({"labels": {"edition": label}}).to_string()}))
}

#[tokio::test]
async fn an_edit_is_live_in_every_replica_within_a_second() {
    let server = ApiServer::start().await;
    server.put(&labelled("first"));
    let replicas = [Replica::start(&server).await, Replica::start(&server).await];
    for replica in &replicas {
        replica.expect("first").await;
    }
    server.expect_watches(2).await;
    for edition in ["second", "third", "fourth"] {
        let begun = Instant::now();
        server.put(&labelled(edition));
        for replica in &replicas {
            replica.expect(edition).await;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    }
    // All that came over the watches that were there.
    assert_eq!(server.asked("/configmaps").len(), 4);
    assert!(
        replicas
            .iter()
            .all(|replica| replica.readiness.check().is_ok())
    );
}

#[tokio::test]
async fn a_missing_config_map_is_reported_and_loaded_when_it_appears() {
    let server = ApiServer::start().await;
    let replica = Replica::start(&server).await;
    replica
        .expect_reason(
            "ConfigMap sandbox-system/sandbox-injection-config does not exist; create it",
        )
        .await;
    let mut other = labelled("other");
    other["metadata"]["name"] = "other".into();
    server.put(&other);
    server.put(&config_map(json!({})));
    replica
        .expect_reason("the configuration defines no runtime")
        .await;
    server.put(&labelled("first"));
    replica.expect("first").await;
    assert_eq!(replica.readiness.check(), Ok(()));
}

#[tokio::test]
async fn deletion_and_broken_edits_keep_the_last_good_one() {
    let server = ApiServer::start().await;
    server.put(&labelled("first"));
    let replica = Replica::start(&server).await;
    replica.expect("first").await;
    server.expect_watches(1).await;
    server.put(&config_map(json!({"csi": "{\"labels\": 1}"})));
    replica.expect_failures(1).await;
    server.delete(&labelled(""));
    replica.expect_failures(2).await;
    server.put(&config_map(json!({"csi": 1})));
    replica.expect_failures(3).await;
    assert_eq!(
        (replica.label().as_deref(), replica.readiness.check()),
        (Some("first"), Ok(()))
    );
    server.put(&labelled("second"));
    replica.expect("second").await;
}

#[derive(Clone, Copy)]
enum Happens {
    Expires,
    IsCut,
    ServerRestarts,
    HistoryIsLost,
    Bookmark,
}

#[rstest]
#[case::expired(Happens::Expires)]
#[case::cut(Happens::IsCut)]
#[case::restarted(Happens::ServerRestarts)]
#[case::compacted(Happens::HistoryIsLost)]
#[case::bookmarked(Happens::Bookmark)]
#[tokio::test]
async fn a_watch_survives(#[case] happens: Happens) {
    let server = ApiServer::start().await;
    server.put(&labelled("first"));
    let replica = Replica::start(&server).await;
    replica.expect("first").await;
    for edition in ["second", "third"] {
        server.expect_watches(1).await;
        match happens {
            Happens::Expires => server.expire_watches(),
            Happens::IsCut => server.cut_watches(),
            Happens::ServerRestarts => server.restart().await,
            Happens::HistoryIsLost => {
                server.compact();
                server.cut_watches();
            }
            Happens::Bookmark => server.bookmark(),
        }
        let begun = Instant::now();
        server.put(&labelled(edition));
        replica.expect(edition).await;
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    }
    replica.expect_failures(0).await;
}

#[tokio::test]
async fn an_edit_during_an_outage_is_live_within_a_second_of_its_end() {
    let server = ApiServer::start().await;
    server.put(&labelled("first"));
    let replica = Replica::start(&server).await;
    replica.expect("first").await;
    server.expect_watches(1).await;
    server.fault(Fault::drop("/configmaps"));
    server.cut_watches();
    // So many attempts that the pauses between them have grown as far as they do.
    let asked = server.asked("/configmaps").len();
    eventually("attempts", async || {
        (server.asked("/configmaps").len() > asked + 8).then_some(())
    })
    .await;
    server.stop().await;
    server.put(&labelled("second"));
    server.repair();
    assert_eq!(
        (replica.label().as_deref(), replica.readiness.check()),
        (Some("first"), Ok(()))
    );
    server.restart().await;
    let begun = Instant::now();
    replica.expect("second").await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    // That the API server was away refused nothing.
    replica.expect_failures(0).await;
}

#[rstest]
#[case::forbidden(
    Fault::status("/configmaps", 403),
    "grant list and watch on configmaps in namespace sandbox-system to \
    system:serviceaccount:sandbox-system:sandbox-injector"
)]
#[case::broken(Fault::status("/configmaps", 500), "answered 500")]
#[case::cut(Fault::drop("/configmaps"), "connection closed")]
#[case::nonsense(Fault::body("/configmaps", "[]"), "unexpected response")]
#[case::watch_forbidden(Fault::status("watch=true", 403), "")]
#[case::watch_gone(Fault::status("watch=true", 410), "")]
#[tokio::test]
async fn a_failure_is_reported_and_retried(#[case] fault: Fault, #[case] reason: &str) {
    let server = ApiServer::start().await;
    server.put(&labelled("first"));
    server.fault(fault);
    let replica = Replica::start(&server).await;
    if reason.is_empty() {
        // Lists alone do, if need be.
        replica.expect("first").await;
        server.put(&labelled("second"));
        replica.expect("second").await;
    } else {
        replica.expect_reason(reason).await;
    }
    server.repair();
    server.put(&labelled("third"));
    replica.expect("third").await;
    server.expect_watches(1).await;
    assert_eq!(replica.readiness.check(), Ok(()));
}

#[tokio::test]
async fn a_verb_reads_it_once() {
    let server = ApiServer::start().await;
    let client = server.client().await;
    let error = config_map::read(&client, &name())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not exist; create it"), "{error}");
    server.put(&labelled("first"));
    let entries = config_map::read(&client, &name()).await.unwrap();
    assert_eq!(
        entries,
        [("csi", r#"{"labels":{"edition":"first"}}"#)].into()
    );
    server.fault(Fault::status("/configmaps", 403));
    let error = config_map::read(&client, &name())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("grant list and watch on configmaps"),
        "{error}"
    );
}
