//! How often and how much answering a review allocates: what is not requested must cost nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::print_stdout, reason = "the figures are worth seeing")]

use allocation_counter::AllocationInfo;
use engine::budget::Budget;
use engine::config::Config;
use engine::review::decide::Settings;
use engine::review::decode::decode;
use engine::review::respond;
use rstest::rstest;
use sandbox_injector::source::Source;
use serde_json::{Value, json};

/// A recorded review, compact as the API server sends it.
fn recorded(name: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review = serde_json::from_str(
        &std::fs::read_to_string(format!("testdata/reviews/{name}.json")).unwrap(),
    )
    .unwrap();
    change(&mut review);
    serde_json::to_vec(&review).unwrap()
}

fn embedded() -> Config {
    let region = "cn-hangzhou".parse().unwrap();
    Config::load(&Source::Embedded.read().unwrap(), Some(&region)).unwrap()
}

/// What one answer allocates, the answer itself included, and the answer.
fn measured(body: &[u8], config: &Config) -> (AllocationInfo, Vec<u8>) {
    let settings = Settings::default();
    let mut answer = Vec::new();
    let used = allocation_counter::measure(|| {
        let review = decode(body).unwrap();
        let mut budget = Budget::unlimited();
        let progress = review.decide(config, &settings, &mut budget);
        let verdict = progress.finish(&mut budget, |question| {
            panic!("look-ups are off: {question:?}")
        });
        answer = respond::write(review.envelope().uid, &verdict, false);
    });
    (used, answer)
}

fn say(name: &str, used: &AllocationInfo, answer: &[u8]) {
    let AllocationInfo {
        count_total,
        bytes_total,
        bytes_max,
        ..
    } = used;
    println!(
        "{name}: {count_total} allocations of {bytes_total} bytes, {bytes_max} at once, for {} bytes of answer",
        answer.len()
    );
}

#[rstest]
#[case("01-kruise-sandboxset-pod", 40)]
#[case("03-agent-sandbox-warmpool-pod", 40)]
#[case("08-kruise-manual-runtime-pod", 400)]
fn a_review_takes_few_allocations(#[case] name: &str, #[case] most: u64) {
    let (used, answer) = measured(&recorded(name, |_| {}), &embedded());
    say(name, &used, &answer);
    assert!(used.count_total <= most, "{} allocations", used.count_total);
    // Apart from the answer itself, a few kilobytes.
    assert!(
        used.bytes_max <= 2 * answer.len() as u64 + (8 << 10),
        "{} bytes",
        used.bytes_max
    );
}

#[test]
fn a_pod_without_a_sandbox_label_takes_almost_none() {
    let body = recorded("01-kruise-sandboxset-pod", |review| {
        review["request"]["object"]["metadata"]["labels"] = json!({"app": "web"});
    });
    let (used, answer) = measured(&body, &embedded());
    say("another label", &used, &answer);
    assert!(used.count_total <= 10, "{} allocations", used.count_total);
}

#[test]
fn long_lists_are_read_once() {
    let variables = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|number| json!({"name": format!("VARIABLE_{number}"), "value": "x"}))
            .collect()
    };
    let runtime = json!({"mainContainer": {"env": variables(100)}}).to_string();
    let config = Config::load(&[("many", runtime)].into(), None).unwrap();
    let body = recorded("01-kruise-sandboxset-pod", |review| {
        let pod = &mut review["request"]["object"];
        pod["metadata"]["annotations"]["sandbox-injector.io/runtimes"] = "many".into();
        pod["spec"]["containers"][0]["env"] = variables(5000).into();
    });
    let (used, answer) = measured(&body, &config);
    say("5000 variables", &used, &answer);
    assert!(
        used.bytes_total <= 8 * body.len() as u64,
        "{} bytes for {}",
        used.bytes_total,
        body.len()
    );
}
