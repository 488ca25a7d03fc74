//! What the server answers to requests good and bad.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use rstest::rstest;
use sandbox_injector::server::{Limits, Server, ServerOptions};
use support::client::{get, post};
use support::server::{ASKED_PANIC, Setup};

#[tokio::test]
async fn a_review_reaches_the_webhook_and_its_reply_the_client() {
    let server = Setup::default().start().await;
    let answer = server.client().mutate("{\"a\": \"<b>\"}").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), "{\"a\": \"<b>\"}");
    assert_eq!(answer.headers["content-type"], "application/json");
    let answer = server.client().send(post("/validate", "{}")).await.unwrap();
    assert_eq!(answer.text(), "validated");
}

#[tokio::test]
async fn connections_are_kept_and_counted() {
    let server = Setup::default().start().await;
    let client = server.client();
    for _ in 0..10 {
        client.mutate("{}").await;
    }
    server
        .expect_metric("sandbox_injector_connections", &[], 1.0)
        .await;
    client.forget();
    server
        .expect_metric("sandbox_injector_connections", &[], 0.0)
        .await;
}

#[rstest]
#[case::path("POST", "/", &[], 404)]
#[case::get("GET", "/mutate", &[], 405)]
#[case::put("PUT", "/validate", &[("content-type", "application/json")], 405)]
#[case::no_type("POST", "/mutate", &[], 415)]
#[case::other_type("POST", "/mutate", &[("content-type", "application/yaml")], 415)]
#[case::gzip("POST", "/mutate", &[("content-type", "application/json"), ("content-encoding", "gzip")], 415)]
#[tokio::test]
async fn a_body_that_is_not_a_review_is_rejected_in_one_line(
    #[case] method: &str,
    #[case] path: &str,
    #[case] headers: &[(&str, &str)],
    #[case] status: u16,
) {
    let server = Setup::default().start().await;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = server
        .client()
        .send(request.body(Full::new(Bytes::from("{}"))).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.text().lines().count(), 1, "{answer:?}");
    assert_eq!(
        answer.headers.get("allow").map(|allow| allow == "POST"),
        (status == 405).then_some(true)
    );
}

#[tokio::test]
async fn a_charset_in_the_content_type_is_accepted() {
    let server = Setup::default().start().await;
    let mut request = post("/mutate?timeout=10s", "{}");
    request.headers_mut().insert(
        "content-type",
        "application/json; charset=utf-8".parse().unwrap(),
    );
    assert_eq!(
        server.client().send(request).await.unwrap().status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_deadline_is_the_api_servers_minus_a_margin() {
    let server = Setup::default().start().await;
    let client = server.client();
    for (query, most) in [
        ("?timeout=5s", 4_500),
        ("?timeout=500ms", 450),
        ("", 9_500),
        ("?timeout=x", 9_500),
    ] {
        let answer = client
            .send(post(&format!("/mutate{query}"), "deadline"))
            .await
            .unwrap();
        let left: u64 = answer.text().parse().unwrap();
        assert!((most / 2..=most).contains(&left), "{query}: {left} ms");
    }
}

#[tokio::test]
async fn a_panic_fails_only_its_request() {
    let server = Setup::default().start().await;
    let client = server.client();
    let answer = client.mutate("panic").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let status = answer.json();
    assert_eq!(
        (&status["kind"], &status["code"]),
        (&"Status".into(), &500.into())
    );
    assert!(!answer.text().contains(ASKED_PANIC));
    assert_eq!(client.mutate("{}").await.status, StatusCode::OK);
    let scrape = server.scrape().await;
    let panicked = [("outcome", "panicked")];
    assert_eq!(
        scrape.value("sandbox_injector_admission_requests_total", &panicked),
        1.0
    );
    assert_eq!(
        scrape.value("sandbox_injector_in_flight_requests", &[]),
        0.0
    );
}

#[tokio::test]
async fn probes_report_the_reason() {
    let server = Setup::default().start().await;
    assert_eq!(get(server.http, "/livez").await.status, StatusCode::OK);
    assert_eq!(server.expect_ready(true).await, "ok\n");
    let gate = server.readiness.gate("configuration");
    gate.not_ready("key csi: $.volume[0].name: not a string");
    assert_eq!(
        server.expect_ready(false).await,
        "configuration: key csi: $.volume[0].name: not a string\n"
    );
    gate.ready();
    server.expect_ready(true).await;
    assert_eq!(get(server.http, "/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(server.http, "/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_valid_text_with_every_family() {
    let server = Setup::default().start().await;
    let _ = server.metrics.runtime("csi");
    let answer = get(server.http, "/metrics").await;
    assert_eq!(
        answer.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let scrape = server.scrape().await;
    for (name, kind) in [
        ("admission_requests", "counter"),
        ("admission_duration_seconds", "histogram"),
        ("injections", "counter"),
        ("conflicts", "counter"),
        ("lookups", "counter"),
        ("config_info", "gauge"),
        ("config_reloads", "counter"),
        ("config_last_success_timestamp_seconds", "gauge"),
        ("tls_certificate_not_before_timestamp_seconds", "gauge"),
        ("tls_certificate_not_after_timestamp_seconds", "gauge"),
        ("tls_reloads", "counter"),
        ("connections", "gauge"),
        ("in_flight_requests", "gauge"),
        ("build_info", "gauge"),
    ] {
        let family = scrape.families.get(&format!("sandbox_injector_{name}"));
        assert_eq!(
            family.map(|family| family.kind.as_str()),
            Some(kind),
            "{name}"
        );
    }
    assert_eq!(
        scrape.bounds("sandbox_injector_admission_duration_seconds")[0],
        25e-6
    );
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(scrape.value("sandbox_injector_build_info", &version), 1.0);
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line_with_a_fix() {
    let server = Setup::default().start().await;
    let options = ServerOptions {
        bind: server.https,
        metrics_bind: ([127, 0, 0, 1], 0).into(),
        drain: Duration::ZERO,
        limits: Limits::default(),
    };
    let error = Server::bind(options).await.unwrap_err().to_string();
    assert!(
        error.contains(&server.https.to_string()) && error.contains("--bind"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
}
