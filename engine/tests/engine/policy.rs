//! Who may have privileged runtimes, with the creators that the shipped manifests name; and a
//! webhook that only reports.

use std::fs;
use std::path::PathBuf;

use engine::budget::Budget;
use engine::config::Config;
use engine::pattern::Pattern;
use engine::review::decide::Settings;
use engine::review::decode::decode;
use engine::review::respond;
use engine::runtimes::PrivilegedRules;
use engine::yaml;
use serde_json::{Value, json};

use super::repository::{self, default_runtimes};

const TENANTS: [&str; 3] = [
    "alice",
    "system:serviceaccount:default:default",
    // A look-alike of a controller in a namespace of the tenant's.
    "system:serviceaccount:default:ack-agent-sandbox-controller",
];

fn reviews() -> Vec<(PathBuf, Value)> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository::path("testdata/reviews"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let review = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        (path, review)
    };
    files.into_iter().map(read).collect()
}

/// The recorded review, its pod asking for these runtimes.
fn asking(mut review: Value, runtimes: &str) -> Value {
    let metadata = &mut review["request"]["object"]["metadata"];
    if metadata["annotations"].is_null() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"]["sandbox-injector.io/runtimes"] = runtimes.into();
    review
}

fn created_by(mut review: Value, user: &str) -> Value {
    review["request"]["userInfo"]["username"] = user.into();
    review
}

fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// The patterns of the shipped Deployment.
fn shipped_creators() -> Vec<Pattern> {
    let text = repository::text("manifests/base/deployment.yaml");
    let deployment = yaml::value(&text).unwrap();
    let arguments = deployment
        .pointer("/spec/template/spec/containers/0/args")
        .unwrap();
    let creators: Vec<Pattern> = arguments
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|argument| {
            argument
                .as_str()?
                .strip_prefix("--privileged-creators=")?
                .parse()
                .ok()
        })
        .collect();
    assert!(creators.len() >= 3, "one for each system");
    creators
}

fn settings(namespaces: Vec<Pattern>, creators: Vec<Pattern>) -> Settings {
    Settings {
        privileged: PrivilegedRules {
            namespaces,
            creators,
        },
        ..Settings::default()
    }
}

fn response(review: &Value, settings: &Settings) -> Value {
    let config = Config::load(&default_runtimes(), "cn-hangzhou".parse().ok().as_ref()).unwrap();
    let body = review.to_string();
    let review = decode(body.as_bytes()).unwrap();
    let mut budget = Budget::unlimited();
    let progress = review.decide(&config, settings, &mut budget);
    let decided = progress.finish(&mut budget, |question| {
        panic!("look-ups are off: {question:?}")
    });
    let answer = respond::write(review.envelope().uid, &decided, settings.report_only);
    let review: Value = serde_json::from_slice(&answer).unwrap();
    review["response"].clone()
}

#[track_caller]
fn assert_forbidden(response: &Value, flag: &str) {
    assert_eq!(response["allowed"], false, "{response:#}");
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["reason"], "Forbidden");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("runtime csi is privileged") && message.contains(flag),
        "{message}"
    );
    assert!(response.get("patch").is_none());
}

#[test]
fn pods_of_the_controllers_pass_and_pods_of_tenants_are_denied() {
    let settings = settings(Vec::new(), shipped_creators());
    for (path, review) in reviews() {
        let review = asking(review, "agent-runtime,csi");
        let passed = response(&review, &settings);
        assert_eq!(passed["allowed"], true, "{}: {passed:#}", path.display());
        assert!(passed["patch"].is_string(), "{}", path.display());
        for tenant in TENANTS {
            let refused = response(&created_by(review.clone(), tenant), &settings);
            assert_forbidden(&refused, "--privileged-creators");
            assert!(
                refused["status"]["message"]
                    .as_str()
                    .unwrap()
                    .contains(tenant)
            );
        }
    }
}

#[test]
fn anyone_may_use_a_runtime_that_is_not_privileged() {
    let settings = settings(patterns(&["nowhere"]), shipped_creators());
    for (path, review) in reviews() {
        let review = created_by(asking(review, "agent-runtime"), TENANTS[0]);
        let response = response(&review, &settings);
        assert_eq!(
            response["allowed"],
            true,
            "{}: {response:#}",
            path.display()
        );
        assert!(response["patch"].is_string(), "{}", path.display());
    }
}

#[test]
fn each_flag_that_is_set_must_match() {
    let (_, review) = reviews().remove(0);
    let review = asking(review, "csi");
    let creator = review["request"]["userInfo"]["username"]
        .as_str()
        .unwrap()
        .to_owned();
    let both =
        |namespace: &str, creator: &str| settings(patterns(&[namespace]), patterns(&[creator]));
    assert_eq!(response(&review, &both("def*", &creator))["allowed"], true);
    assert_forbidden(
        &response(&review, &both("other", &creator)),
        "--privileged-namespaces",
    );
    assert_forbidden(
        &response(&review, &both("default", "other")),
        "--privileged-creators",
    );
    // The namespace is the review's, whatever the pod says of itself.
    let mut forged = review.clone();
    forged["request"]["object"]["metadata"]["namespace"] = "trusted".into();
    assert_forbidden(
        &response(&forged, &both("trusted", "*")),
        "--privileged-namespaces",
    );
    // A review without a user is nobody's.
    let mut nobody = review;
    nobody["request"]
        .as_object_mut()
        .unwrap()
        .shift_remove("userInfo");
    assert_forbidden(
        &response(&nobody, &settings(Vec::new(), patterns(&["system:*"]))),
        "--privileged-creators",
    );
    assert_eq!(
        response(&nobody, &Settings::default())["allowed"],
        true,
        "unset means anyone"
    );
}

#[test]
fn report_only_neither_patches_nor_denies_recorded_reviews() {
    let (_, review) = reviews().remove(0);
    let reporting = Settings {
        report_only: true,
        ..settings(Vec::new(), shipped_creators())
    };
    let injected = response(&asking(review.clone(), "csi"), &reporting);
    assert_eq!(injected["allowed"], true);
    assert!(
        injected.get("patch").is_none() && injected.get("patchType").is_none(),
        "{injected:#}"
    );
    assert_eq!(
        injected["auditAnnotations"]["runtimes"], "csi",
        "it is decided nonetheless"
    );
    let refused = response(
        &created_by(asking(review.clone(), "csi"), "alice"),
        &reporting,
    );
    assert_eq!(refused["allowed"], true);
    let warning = refused["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("sandbox-injector: would be denied: runtime csi is privileged"),
        "{warning}"
    );
    assert!(warning.len() <= 120, "{warning}");
    let mut clash = asking(review, "csi");
    clash["request"]["object"]["spec"]["volumes"] =
        json!([{"name": "run-cnfs", "hostPath": {"path": "/"}}]);
    let clash = response(&clash, &reporting);
    assert_eq!(
        (&clash["allowed"], clash.get("status")),
        (&json!(true), None)
    );
    assert!(
        clash["warnings"]
            .to_string()
            .contains("would be denied: spec.volumes[0]"),
        "{clash:#}"
    );
}
