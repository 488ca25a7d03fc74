//! The webhook configurations: which objects each webhook is called for.

use std::fs;

use engine::annotations::RUNTIMES_ANNOTATION;
use engine::systems::{SANDBOX_LABELS, SandboxLabel};
use serde_json::{Map, Value, json};

use super::objects::Objects;
use super::selectors::{called, namespace};
use super::{NAME, flag};

/// What a real API server sent for the pods of each system.
pub(super) fn reviews() -> Vec<(String, Value)> {
    let mut names: Vec<String> = fs::read_dir("testdata/reviews")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let read = |name: String| {
        let review = fs::read_to_string(format!("testdata/reviews/{name}")).unwrap();
        (name, serde_json::from_str(&review).unwrap())
    };
    let reviews: Vec<(String, Value)> = names.into_iter().map(read).collect();
    assert!(reviews.len() >= 8);
    reviews
}

fn mutating(objects: &Objects) -> &Value {
    objects.get("MutatingWebhookConfiguration", NAME)
}

#[test]
fn every_sandbox_pod_costs_one_call_in_every_namespace() {
    let objects = Objects::overlay("base", &[]);
    for (name, review) in reviews() {
        let request = &review["request"];
        let labels = request["object"]["metadata"]["labels"].as_object().unwrap();
        let calls = called(
            mutating(&objects),
            labels,
            &namespace(request["namespace"].as_str().unwrap()),
        );
        assert_eq!(calls.len(), 1, "{name}: {calls:?}");
        // Sandboxes next to the sandbox controllers are sandboxes too.
        assert_eq!(
            called(mutating(&objects), labels, &namespace("sandbox-system")),
            calls
        );
    }
}

#[test]
fn a_pod_with_several_of_the_labels_costs_one_call_too() {
    let objects = Objects::overlay("base", &[]);
    for subset in 0..1_u32 << SANDBOX_LABELS.len() {
        for other_value in [false, true] {
            let mut labels = Map::from_iter([("app".to_owned(), json!("x"))]);
            let mut is_sandbox = false;
            for (index, SandboxLabel { key, value, .. }) in SANDBOX_LABELS.iter().enumerate() {
                if subset & (1 << index) != 0 {
                    is_sandbox |= value.is_none() || !other_value;
                    let value = if other_value {
                        "something"
                    } else {
                        value.unwrap_or("")
                    };
                    labels.insert((*key).to_owned(), value.into());
                }
            }
            let calls = called(mutating(&objects), &labels, &namespace("default"));
            assert_eq!(
                calls.len(),
                usize::from(is_sandbox),
                "{labels:?}: {calls:?}"
            );
        }
    }
}

#[test]
fn other_pods_and_excluded_namespaces_cost_no_call() {
    let objects = Objects::overlay("base", &[]);
    let plain = |labels: Value| labels.as_object().unwrap().clone();
    for pod in [
        json!({}),
        json!({"app": "web"}),
        json!({"agents.kruise.io/created-by": "me"}),
        json!({"agents.x-k8s.io/created-by": "controller"}),
        json!({"opensandbox.io/id": "x"}),
    ] {
        assert!(called(mutating(&objects), &plain(pod), &namespace("default")).is_empty());
    }
    // Its own pods could not start themselves.
    let own = objects.get("Deployment", NAME)["spec"]["template"]["metadata"]["labels"].clone();
    assert!(called(mutating(&objects), &plain(own), &namespace("default")).is_empty());

    for (_, review) in reviews() {
        let labels = review["request"]["object"]["metadata"]["labels"]
            .as_object()
            .unwrap();
        for excluded in [
            "kube-system",
            objects.get("Deployment", NAME)["metadata"]["namespace"]
                .as_str()
                .unwrap(),
        ] {
            assert!(called(mutating(&objects), labels, &namespace(excluded)).is_empty());
        }
        let mut switched = namespace("default");
        switched.insert(
            "sandbox-injector.io/injection".to_owned(),
            "disabled".into(),
        );
        assert!(called(mutating(&objects), labels, &switched).is_empty());
        switched.insert("sandbox-injector.io/injection".to_owned(), "enabled".into());
        assert_eq!(called(mutating(&objects), labels, &switched).len(), 1);
    }
}

#[test]
fn the_mutating_webhook_is_called_only_for_new_pods() {
    let objects = Objects::overlay("base", &[]);
    let webhooks = mutating(&objects)["webhooks"].as_array().unwrap();
    assert_eq!(webhooks.len(), SANDBOX_LABELS.len());
    for webhook in webhooks {
        assert_eq!(
            webhook["rules"],
            json!([{
                "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                "scope": "Namespaced"
            }])
        );
        let promised = json!({
            "admissionReviewVersions": ["v1"], "matchPolicy": "Equivalent", "failurePolicy": "Fail",
            "timeoutSeconds": 5, "sideEffects": "None", "reinvocationPolicy": "Never"
        });
        for (field, value) in promised.as_object().unwrap() {
            assert_eq!(&webhook[field], value, "{}: {field}", webhook["name"]);
        }
        assert_eq!(webhook["clientConfig"]["service"]["path"], "/mutate");
    }
}

#[test]
fn the_validating_webhook_never_blocks_and_is_narrow() {
    let objects = Objects::overlay("base", &[]);
    let webhooks = objects.get("ValidatingWebhookConfiguration", NAME)["webhooks"]
        .as_array()
        .unwrap();
    for webhook in webhooks {
        assert_eq!(webhook["failurePolicy"], "Ignore");
        assert_eq!(webhook["sideEffects"], "None");
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
        assert_eq!(webhook["clientConfig"]["service"]["path"], "/validate");
        assert_eq!(webhook["matchConditions"].as_array().unwrap().len(), 1);
    }
    let operations: Vec<&Value> = webhooks
        .iter()
        .map(|webhook| &webhook["rules"][0]["operations"])
        .collect();
    assert_eq!(
        operations,
        [
            &json!(["CREATE", "UPDATE", "DELETE"]),
            &json!(["CREATE", "UPDATE"])
        ]
    );
    let resources: Vec<&Value> = webhooks
        .iter()
        .map(|webhook| &webhook["rules"][0]["resources"])
        .collect();
    assert_eq!(
        resources,
        [
            &json!(["configmaps"]),
            &json!(["sandboxes", "sandboxclaims"])
        ]
    );

    // The ConfigMap that the program reads is the one that is checked.
    let (config_namespace, config_name) =
        flag(&objects, "--config-map")[0].split_once('/').unwrap();
    let expression = webhooks[0]["matchConditions"][0]["expression"]
        .as_str()
        .unwrap();
    assert!(
        expression.ends_with(&format!("== '{config_name}'")),
        "{expression}"
    );
    assert_eq!(
        webhooks[0]["namespaceSelector"],
        json!({"matchLabels": {"kubernetes.io/metadata.name": config_namespace}})
    );
    let expression = webhooks[1]["matchConditions"][0]["expression"]
        .as_str()
        .unwrap();
    for annotation in [
        "csi-volume-config",
        "csi-volume-name",
        "csi-mount-point",
        "csi-subpath",
    ] {
        assert!(
            expression.contains(&format!("'{annotation}'")),
            "{annotation}"
        );
    }
}

#[test]
fn the_report_covers_the_same_pods_and_denies_none() {
    let objects = Objects::overlay("base", &["admission-report"]);
    let policy = &objects.get("ValidatingAdmissionPolicy", "sandbox-injector-report")["spec"];
    let condition = policy["matchConditions"][0]["expression"].as_str().unwrap();
    for SandboxLabel { key, value, .. } in SANDBOX_LABELS {
        assert!(
            condition.contains(&format!("'{key}' in object.metadata.labels")),
            "{key}"
        );
        let of_value = format!(
            "object.metadata.labels['{key}'] == '{}'",
            value.unwrap_or_default()
        );
        assert_eq!(condition.contains(&of_value), value.is_some(), "{key}");
    }
    assert_eq!(
        condition.matches("' in object.metadata.labels").count(),
        SANDBOX_LABELS.len()
    );
    let opted_out = policy["matchConditions"][1]["expression"].as_str().unwrap();
    assert!(opted_out.contains(&format!(
        "object.metadata.annotations['{RUNTIMES_ANNOTATION}']"
    )));
    let validation = policy["validations"][0]["expression"].as_str().unwrap();
    assert!(validation.contains("'sandbox-injector.io/status' in object.metadata.annotations"));
    assert_eq!(
        policy["matchConstraints"]["resourceRules"][0]["operations"],
        json!(["CREATE"])
    );
    assert_eq!(policy["failurePolicy"], "Ignore");
    let binding = &objects.get(
        "ValidatingAdmissionPolicyBinding",
        "sandbox-injector-report",
    )["spec"];
    assert_eq!(binding["policyName"], "sandbox-injector-report");
    assert_eq!(binding["validationActions"], json!(["Audit", "Warn"]));
}
