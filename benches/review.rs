//! Reviews, bytes in and bytes out, beside the least that any reader of JSON has to do: one
//! validating pass over the same bytes.
//!
//! ```text
//! cargo bench --bench review
//! ```
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot start should panic"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::budget::Budget;
use engine::config::Config;
use engine::review::decide::Settings;
use engine::review::decode::decode;
use engine::review::respond;
use sandbox_injector::source::Source;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn recorded(name: &str) -> Vec<u8> {
    // As the API server sends it: compact.
    let path = format!(
        "{}/testdata/reviews/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::to_vec(&value).unwrap()
}

/// A recorded review with `change` made to it.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&recorded("01-kruise-sandboxset-pod")).unwrap();
    change(&mut review);
    serde_json::to_vec(&review).unwrap()
}

/// A review whose pod has `containers` containers with `env` variables between them and about
/// `size` bytes.
fn large(containers: usize, env: usize, size: usize) -> Vec<u8> {
    changed(|review| {
        let filler = size.saturating_sub(8 << 10) / env.max(1);
        let container = |index: usize| {
            let variables: Vec<Value> = (0..env / containers)
                .map(|number| json!({"name": format!("VARIABLE_{index}_{number}"), "value": "x".repeat(filler.saturating_sub(60))}))
                .collect();
            json!({"name": format!("c{index}"), "image": "registry.example.com/tools:v1", "env": variables, "resources": {}})
        };
        review["request"]["object"]["spec"]["containers"] =
            (0..containers).map(container).collect();
    })
}

/// A review of a pod that was injected before.
fn injected(config: &Config) -> Vec<u8> {
    let body = recorded("01-kruise-sandboxset-pod");
    let answer: Value = serde_json::from_slice(&answer(&body, config)).unwrap();
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, patch).unwrap();
    changed(|review| {
        json_patch::patch(
            &mut review["request"]["object"],
            &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap(),
        )
        .unwrap();
    })
}

fn answer(body: &[u8], config: &Config) -> Vec<u8> {
    let settings = Settings::default();
    let review = decode(body).unwrap();
    let mut budget = Budget::unlimited();
    let progress = review.decide(config, &settings, &mut budget);
    let verdict = progress.finish(&mut budget, |_| unreachable!("look-ups are off"));
    respond::write(review.envelope().uid, &verdict, false)
}

fn reviews(criterion: &mut Criterion) {
    let region = "cn-hangzhou".parse().unwrap();
    let config = Config::load(&Source::Embedded.read().unwrap(), Some(&region)).unwrap();
    let cases = [
        ("kruise", recorded("01-kruise-sandboxset-pod")),
        ("agent-sandbox", recorded("03-agent-sandbox-warmpool-pod")),
        ("manual-layout", recorded("08-kruise-manual-runtime-pod")),
        ("64KiB", large(4, 64, 64 << 10)),
        ("1MiB", large(200, 1000, 1 << 20)),
        ("injected-already", injected(&config)),
        (
            "other-label",
            changed(|review| {
                review["request"]["object"]["metadata"]["labels"] = json!({"app": "web"});
            }),
        ),
    ];
    for (name, body) in &cases {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("answer", |bencher| {
            bencher.iter(|| answer(black_box(body), &config));
        });
        group.bench_function("one-pass", |bencher| {
            bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(body)).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, reviews);
criterion_main!(benches);
