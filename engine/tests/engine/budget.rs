//! The work of a decision is charged wherever it depends on the pod, and a decision that costs too
//! much is refused.

use engine::budget::{Budget, Work};
use engine::config::Config;
use engine::review::decide::{Settings, Verdict};
use engine::review::decode::decode;
use engine::review::respond;
use rstest::rstest;
use serde_json::{Value, json};

use crate::repository::{default_runtimes, text};

const REVIEWS: [&str; 3] = [
    "01-kruise-sandboxset-pod",
    "03-agent-sandbox-warmpool-pod",
    "08-kruise-manual-runtime-pod",
];

fn recorded(name: &str) -> Value {
    serde_json::from_str(&text(&format!("testdata/reviews/{name}.json"))).unwrap()
}

fn config() -> Config {
    Config::load(&default_runtimes(), Some(&"cn-hangzhou".parse().unwrap())).unwrap()
}

/// Answers a review with this budget: what was spent, and the response.
fn answered(body: &[u8], config: &Config, mut budget: Budget) -> (Work, Value) {
    let review = decode(body).unwrap();
    let settings = Settings::default();
    let progress = review.decide(config, &settings, &mut budget);
    let decided = progress.finish(&mut budget, |question| {
        panic!("look-ups are off: {question:?}")
    });
    assert!(!matches!(decided.verdict, Verdict::Ignored(_)));
    let answer = respond::write(review.envelope().uid, &decided, false);
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    (budget.spent(), answer["response"].take())
}

fn spent(body: &[u8], config: &Config) -> Work {
    let (spent, response) = answered(body, config, Budget::unlimited());
    assert_eq!(response["allowed"], true);
    spent
}

#[test]
fn a_review_that_costs_more_than_its_budget_is_refused_with_413() {
    let config = config();
    for name in REVIEWS {
        let body = recorded(name).to_string().into_bytes();
        let Work { steps, bytes } = spent(&body, &config);
        assert!(
            steps > 0 && bytes > 0,
            "{name}: {steps} steps and {bytes} bytes"
        );
        let enough = answered(&body, &config, Budget::new(steps, bytes)).1;
        assert_eq!(enough["allowed"], true, "{name}");
        for (steps, bytes) in [
            (0, bytes),
            (steps / 2, bytes),
            (steps - 1, bytes),
            (steps, 0),
            (steps, bytes - 1),
        ] {
            let response = answered(&body, &config, Budget::new(steps, bytes)).1;
            assert_eq!(
                response["allowed"], false,
                "{name}: {steps} steps and {bytes} bytes"
            );
            assert_eq!(response["status"]["code"], 413);
            assert_eq!(response["status"]["reason"], "RequestEntityTooLarge");
            let message = response["status"]["message"].as_str().unwrap();
            assert!(
                message.contains(&format!("({steps} steps and {bytes} bytes)")),
                "{message}"
            );
        }
    }
}

#[rstest]
#[case(REVIEWS[0], 400, 2 << 10)]
#[case(REVIEWS[1], 400, 2 << 10)]
#[case(REVIEWS[2], 2_000, 16 << 10)]
fn a_recorded_review_costs_little(
    #[case] name: &str,
    #[case] most_steps: u64,
    #[case] most_bytes: u64,
) {
    let Work { steps, bytes } = spent(recorded(name).to_string().as_bytes(), &config());
    println!("{name}: {steps} steps and {bytes} bytes");
    assert!(
        steps <= most_steps && bytes <= most_bytes,
        "{steps} steps and {bytes} bytes"
    );
}

/// The work grows with what the pod has, so that it is charged for.
#[rstest]
#[case::annotations("/metadata/annotations", |pod: &mut Value, count: usize| {
    for number in 0..count { pod["metadata"]["annotations"][format!("a{number}")] = "x".into(); }
}, false)]
#[case::volumes("/spec/volumes", |pod: &mut Value, count: usize| {
    pod["spec"]["volumes"] = (0..count).map(|number| json!({"name": format!("v{number}"), "emptyDir": {}})).collect();
}, true)]
#[case::containers("/spec/containers", |pod: &mut Value, count: usize| {
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    containers.extend((0..count).map(|number| json!({"name": format!("c{number}"), "image": "i"})));
}, false)]
#[case::env("/spec/containers/0/env", |pod: &mut Value, count: usize| {
    pod["spec"]["containers"][0]["env"] = (0..count).map(|number| json!({"name": format!("E{number}")})).collect();
}, true)]
#[case::mounts("/spec/containers/0/volumeMounts", |pod: &mut Value, count: usize| {
    pod["spec"]["containers"][0]["volumeMounts"] =
        (0..count).map(|number| json!({"name": "v", "mountPath": format!("/m{number}")})).collect();
}, true)]
#[case::mounts_of_others("/spec/initContainers/0/volumeMounts", |pod: &mut Value, count: usize| {
    let mounts: Vec<_> = (0..count).map(|number| json!({"name": "v", "mountPath": format!("/m{number}")})).collect();
    pod["spec"]["initContainers"] = json!([{"name": "own", "image": "i", "volumeMounts": mounts}]);
}, true)]
fn what_a_pod_has_is_charged(
    #[case] place: &str,
    #[case] fill: fn(&mut Value, usize),
    #[case] parsed: bool,
) {
    let config = config();
    let spent = |count: usize| {
        let mut review = recorded(REVIEWS[0]);
        review["request"]["object"]["metadata"]["annotations"]["sandbox-injector.io/runtimes"] =
            "agent-runtime,csi".into();
        fill(&mut review["request"]["object"], count);
        let (spent, _) = answered(review.to_string().as_bytes(), &config, Budget::unlimited());
        (
            spent,
            review["request"]["object"]
                .pointer(place)
                .unwrap()
                .to_string()
                .len() as u64,
        )
    };
    let ((few, few_bytes), (many, many_bytes)) = (spent(10), spent(1010));
    assert!(
        many.steps >= few.steps + 1000,
        "{} steps, {} with 1000 more",
        few.steps,
        many.steps
    );
    if parsed {
        assert!(
            many.bytes - few.bytes >= many_bytes - few_bytes,
            "{} bytes, then {}",
            few.bytes,
            many.bytes
        );
    }
}
