//! What is refused before it is stored: broken configurations and storage annotations.

use engine::config::config_map::Entries;
use engine::config::finding::Severity;
use engine::config::lint::check;
use engine::config::region::Region;
use engine::review::decode::{MalformedReview, decode_raw};
use engine::review::respond;
use engine::review::validate::{ValidatedKind, ValidationRules};
use rstest::rstest;
use serde_json::{Value, json};

use super::repository::default_runtimes;

const PREFIX: &str = "e2b.agents.kruise.io";

/// What comes of a review.
struct Answer {
    body: Vec<u8>,
    kind: Option<ValidatedKind>,
    denied: bool,
    warnings: Vec<String>,
}

fn validate(
    body: &[u8],
    rules: &ValidationRules,
    region: Option<&Region>,
) -> Result<Answer, MalformedReview> {
    let review = decode_raw(body)?;
    let validation = review.validate(rules, region)?;
    Ok(Answer {
        body: respond::write_validation(&validation, rules.report_only),
        kind: validation.kind,
        denied: validation.denial.is_some(),
        warnings: validation.warnings,
    })
}

fn review(operation: &str, resource: [&str; 3], object: &Value, old: &Value) -> Vec<u8> {
    let [group, version, resource] = resource;
    let named = if object.is_null() { old } else { object };
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": operation,
        "resource": {"group": group, "version": version, "resource": resource},
        "name": named["metadata"]["name"], "namespace": named["metadata"]["namespace"],
        "userInfo": {"username": "admin"}, "object": object, "oldObject": old}})
    .to_string()
    .into_bytes()
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "sandbox-injection-config", "namespace": "sandbox-system"}, "data": data})
}

fn of_config_map(operation: &str, object: &Value, old: &Value) -> Answer {
    let body = review(operation, ["", "v1", "configmaps"], object, old);
    validate(
        &body,
        &ValidationRules::default(),
        "cn-hangzhou".parse().ok().as_ref(),
    )
    .unwrap()
}

fn response(answer: &Answer) -> Value {
    let review: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    assert_eq!(review["response"]["uid"], "u-1");
    assert!(review["response"].get("patch").is_none());
    for warning in review["response"]["warnings"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = warning.as_str().unwrap();
        assert!(
            text.len() <= 120 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{text}"
        );
        assert!(text.starts_with("sandbox-injector: "), "{text}");
    }
    review["response"].clone()
}

#[track_caller]
fn assert_allowed(answer: &Answer) -> Vec<String> {
    let response = response(answer);
    assert_eq!(response["allowed"], true, "{response:#}");
    assert!(!answer.denied);
    let warnings = response["warnings"].as_array().into_iter().flatten();
    warnings
        .map(|warning| warning.as_str().unwrap().to_owned())
        .collect()
}

/// The fields of the causes.
#[track_caller]
fn assert_denied(answer: &Answer) -> Vec<(String, String)> {
    let response = response(answer);
    let status = &response["status"];
    assert_eq!(response["allowed"], false, "{response:#}");
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    assert_eq!(status["details"]["kind"], answer.kind.unwrap().as_str());
    let causes = status["details"]["causes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let causes: Vec<_> = causes
        .iter()
        .map(|cause| (text(&cause["field"]), text(&cause["message"])))
        .collect();
    for (field, message) in &causes {
        assert!(message.starts_with("sandbox-injector: "), "{message}");
        let said = message.strip_prefix("sandbox-injector: ").unwrap();
        assert!(
            text(&status["message"]).contains(&format!("{field}: {said}")),
            "{status:#}"
        );
    }
    causes
}

// The ConfigMap

#[test]
fn the_default_configuration_passes_with_the_warnings_of_a_check() {
    let entries = default_runtimes();
    let data: Value = entries
        .iter()
        .map(|(key, text)| (key.clone(), json!(text)))
        .collect();
    let warnings = assert_allowed(&of_config_map("CREATE", &config_map(data), &Value::Null));
    let expected = check(&entries, "cn-hangzhou".parse().ok().as_ref()).findings;
    assert_eq!(warnings.len(), expected.len());
    assert!(
        warnings[0].starts_with(
            "sandbox-injector: data[csi]: runtime csi is privileged (2 privileged containers"
        ),
        "{warnings:?}"
    );
}

#[test]
fn a_broken_edit_is_denied_with_every_error_of_a_check() {
    let data = json!({"csi": r#"{"csiSidecar": [{"name": "a", "image": "x/<tag>", "volumeMount": []}], "volumes": []}"#,
        "agent-runtime": "{", "all": "{}"});
    let entries: Entries = data
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
        .collect();
    let old = config_map(json!({"csi": "{}"}));
    let answer = of_config_map("UPDATE", &config_map(data), &old);
    let causes = assert_denied(&answer);
    let errors: Vec<_> = check(&entries, None)
        .findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    assert_eq!(causes.len(), errors.len());
    for error in &errors {
        let field = format!(
            "data[{}]{}",
            error.runtime,
            error.place().trim_start_matches('$')
        );
        let message = format!("sandbox-injector: {} ({})", error.message, error.code);
        assert!(
            causes.contains(&(field, message)),
            "{error:?} in {causes:#?}"
        );
    }
    assert!(
        causes
            .iter()
            .any(|(field, _)| field == "data[csi].csiSidecar[0].volumeMount"),
        "{causes:#?}"
    );
    assert!(!answer.warnings.is_empty(), "the rest is still said");
}

#[test]
fn an_edit_that_leaves_the_data_unchanged_passes() {
    let broken = config_map(json!({"csi": "{"}));
    let mut labelled = broken.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(
        assert_allowed(&of_config_map("UPDATE", &labelled, &broken)),
        [""; 0]
    );
    let mut leaving = config_map(json!({"csi": "["}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        assert_allowed(&of_config_map("UPDATE", &leaving, &broken)),
        [""; 0]
    );
    assert_denied(&of_config_map(
        "UPDATE",
        &config_map(json!({"csi": "["})),
        &broken,
    ));
    assert_denied(&of_config_map("CREATE", &broken, &Value::Null));
}

#[test]
fn a_deletion_passes_with_a_warning() {
    let answer = of_config_map("DELETE", &Value::Null, &config_map(json!({})));
    let warnings = assert_allowed(&answer);
    assert!(
        matches!(warnings.as_slice(), [one] if one.contains("sandbox-system/sandbox-injection-config"))
    );
}

#[rstest]
#[case::nothing(json!({}), "data")]
#[case::no_text(json!({"csi": 5}), "data.csi")]
fn data_that_is_not_a_configuration_is_denied(#[case] data: Value, #[case] field: &str) {
    let causes = assert_denied(&of_config_map("CREATE", &config_map(data), &Value::Null));
    assert_eq!(causes[0].0, field);
}

#[test]
fn binary_data_is_denied() {
    let mut object = config_map(json!({"csi": "{}"}));
    object["binaryData"] = json!({"x": "AA=="});
    let causes = assert_denied(&of_config_map(
        "CREATE",
        &object,
        &config_map(json!({"csi": "{}"})),
    ));
    assert_eq!(causes[0].0, "binaryData");
}

#[test]
fn of_a_thousand_errors_some_are_reported() {
    let data: Value = (0..1000).map(|n| (format!("r{n}"), json!("{"))).collect();
    let causes = assert_denied(&of_config_map("CREATE", &config_map(data), &Value::Null));
    assert_eq!(causes.len(), 51);
    assert!(causes[50].1.contains("950 more"), "{:?}", causes[50]);
}

#[rstest]
#[case::another_name(["", "v1", "configmaps"], "other", "sandbox-system")]
#[case::another_namespace(["", "v1", "configmaps"], "sandbox-injection-config", "default")]
#[case::another_kind(["", "v1", "secrets"], "sandbox-injection-config", "sandbox-system")]
#[case::another_group(["x.io", "v1", "configmaps"], "sandbox-injection-config", "sandbox-system")]
#[case::a_set(["agents.kruise.io", "v1alpha1", "sandboxsets"], "a", "default")]
#[case::another_systems_sandbox(["agents.x-k8s.io", "v1alpha1", "sandboxes"], "a", "default")]
fn other_objects_are_ignored(
    #[case] resource: [&str; 3],
    #[case] name: &str,
    #[case] namespace: &str,
) {
    let object = json!({"metadata": {"name": name, "namespace": namespace,
        "annotations": {format!("{PREFIX}/csi-volume-config"): "{"}}, "data": {"csi": "{"}});
    for operation in ["CREATE", "UPDATE", "DELETE", "CONNECT"] {
        let answer = validate(
            &review(operation, resource, &object, &json!({"x": 1})),
            &ValidationRules::default(),
            None,
        )
        .unwrap();
        assert_eq!(assert_allowed(&answer), [""; 0]);
        assert_eq!(answer.kind, None);
    }
}

#[test]
fn the_config_map_may_have_another_name() {
    let rules = ValidationRules {
        config_map: "default/other".parse().unwrap(),
        report_only: false,
    };
    let mut object = config_map(json!({"csi": "{"}));
    let body = review("CREATE", ["", "v1", "configmaps"], &object, &Value::Null);
    assert_allowed(&validate(&body, &rules, None).unwrap());
    object["metadata"] = json!({"name": "other", "namespace": "default"});
    let body = review("CREATE", ["", "v1", "configmaps"], &object, &Value::Null);
    assert_denied(&validate(&body, &rules, None).unwrap());
    let reporting = ValidationRules {
        report_only: true,
        ..rules
    };
    let answer = validate(&body, &reporting, None).unwrap();
    let response = response(&answer);
    assert_eq!(response["allowed"], true);
    let warnings = response["warnings"].to_string();
    assert!(
        warnings.contains("would be denied: data[csi]: "),
        "{warnings}"
    );
}

// Storage annotations

fn annotated(annotations: &[(&str, &str)]) -> Value {
    let annotations: Value = annotations
        .iter()
        .map(|(key, value)| (format!("{PREFIX}/{key}"), json!(value)))
        .collect();
    json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": "box", "namespace": "default", "annotations": annotations}, "spec": {}})
}

fn of_sandbox(operation: &str, object: &Value, old: &Value) -> Answer {
    let body = review(
        operation,
        ["agents.kruise.io", "v1alpha1", "sandboxes"],
        object,
        old,
    );
    validate(&body, &ValidationRules::default(), None).unwrap()
}

#[rstest]
#[case::one(r#"[{"pvName":"pv-nas","mountPath":"/data"}]"#)]
#[case::full(r#"[{"pvName":"pv.a","mountPath":"/a","subPath":"x/y","readOnly":true},{"pvName":"pv.a","mountPath":"/a/b","subPath":"/x","readOnly":false}]"#)]
#[case::nulls(r#"[{"pvName":"a","mountPath":"/a","subPath":null,"readOnly":null}]"#)]
#[case::dots_in_names(r#"[{"pvName":"a","mountPath":"/a..b","subPath":"..."}]"#)]
#[case::none("[]")]
fn valid_volume_configs_pass(#[case] text: &str) {
    let answer = of_sandbox(
        "CREATE",
        &annotated(&[("csi-volume-config", text)]),
        &Value::Null,
    );
    assert_eq!(assert_allowed(&answer), [""; 0]);
}

#[rstest]
#[case::no_json("[{", "", "is not JSON")]
#[case::empty("", "", "is not JSON")]
#[case::an_object(r#"{"pvName":"a","mountPath":"/a"}"#, "", "must be a JSON array")]
#[case::a_text(r#"["a"]"#, "[0]", "must be an object")]
#[case::no_name(r#"[{"mountPath":"/a"}]"#, "[0].pvName", "is missing")]
#[case::empty_name(r#"[{"pvName":"","mountPath":"/a"}]"#, "[0].pvName", "is empty")]
#[case::bad_name(
    r#"[{"pvName":"A b","mountPath":"/a"}]"#,
    "[0].pvName",
    "is not a valid PersistentVolume name"
)]
#[case::number(r#"[{"pvName":1,"mountPath":"/a"}]"#, "[0].pvName", "must be a string")]
#[case::no_path(r#"[{"pvName":"a"}]"#, "[0].mountPath", "is missing")]
#[case::relative(
    r#"[{"pvName":"a","mountPath":"a"}]"#,
    "[0].mountPath",
    "must be an absolute path"
)]
#[case::dots(
    r#"[{"pvName":"a","mountPath":"/a/../b"}]"#,
    "[0].mountPath",
    "must not contain '.', '..', '//' or a trailing slash"
)]
#[case::slash(
    r#"[{"pvName":"a","mountPath":"/a/"}]"#,
    "[0].mountPath",
    "must not contain '.', '..', '//' or a trailing slash"
)]
#[case::twice(
    r#"[{"pvName":"a","mountPath":"/a"},{"pvName":"b","mountPath":"/a"}]"#,
    "[1].mountPath",
    "earlier entry"
)]
#[case::sub_path(
    r#"[{"pvName":"a","mountPath":"/a","subPath":"x/../../y"}]"#,
    "[0].subPath",
    "contains '..'"
)]
#[case::sub_path_type(
    r#"[{"pvName":"a","mountPath":"/a","subPath":1}]"#,
    "[0].subPath",
    "must be a string"
)]
#[case::read_only(
    r#"[{"pvName":"a","mountPath":"/a","readOnly":"true"}]"#,
    "[0].readOnly",
    "must be true or false"
)]
#[case::second(
    r#"[{"pvName":"a","mountPath":"/a"},{"pvName":"b","mountPath":"b"}]"#,
    "[1].mountPath",
    "must be an absolute path"
)]
fn invalid_volume_configs_name_the_entry_and_the_field(
    #[case] text: &str,
    #[case] field: &str,
    #[case] message: &str,
) {
    let object = annotated(&[("csi-volume-config", text)]);
    let causes = assert_denied(&of_sandbox("CREATE", &object, &Value::Null));
    let expected = format!("metadata.annotations[{PREFIX}/csi-volume-config]{field}");
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert_eq!(causes[0].0, expected);
    assert!(causes[0].1.contains(message), "{causes:?}");
    // As a change of a good one, too; but not where it was so before.
    let good = annotated(&[("csi-volume-config", "[]")]);
    assert_denied(&of_sandbox("UPDATE", &object, &good));
    let mut relabelled = object.clone();
    relabelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(
        assert_allowed(&of_sandbox("UPDATE", &relabelled, &object)),
        [""; 0]
    );
    let mut leaving = object.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_allowed(&of_sandbox("UPDATE", &leaving, &good));
    assert_allowed(&of_sandbox("DELETE", &Value::Null, &object));
}

#[test]
fn every_error_of_every_entry_is_reported() {
    let text = r#"[{"pvName":"","mountPath":"x","subPath":"..","readOnly":1},7,{"pvName":"a","mountPath":"/b"}]"#;
    let causes = assert_denied(&of_sandbox(
        "CREATE",
        &annotated(&[("csi-volume-config", text)]),
        &Value::Null,
    ));
    let fields: Vec<&str> = causes
        .iter()
        .map(|(field, _)| field.split_once("config]").unwrap().1)
        .collect();
    assert_eq!(
        fields,
        [
            "[0].pvName",
            "[0].mountPath",
            "[0].subPath",
            "[0].readOnly",
            "[1]"
        ]
    );
}

#[rstest]
#[case::both(&[("csi-volume-name", "pv"), ("csi-mount-point", "/data")], &[])]
#[case::all(&[("csi-volume-name", "pv"), ("csi-mount-point", "/data"), ("csi-subpath", "a/b")], &[])]
#[case::no_point(&[("csi-volume-name", "pv")], &["csi-mount-point"])]
#[case::no_name(&[("csi-mount-point", "/data")], &["csi-volume-name"])]
#[case::subpath_alone(&[("csi-subpath", "a")], &["csi-volume-name", "csi-mount-point"])]
#[case::faults(&[("csi-volume-name", "P V"), ("csi-mount-point", "data/"), ("csi-subpath", "../x")],
    &["csi-volume-name", "csi-mount-point", "csi-subpath"])]
fn a_single_volume_needs_its_name_and_place(
    #[case] annotations: &[(&str, &str)],
    #[case] refused: &[&str],
) {
    let answer = of_sandbox("CREATE", &annotated(annotations), &Value::Null);
    if refused.is_empty() {
        assert_eq!(assert_allowed(&answer), [""; 0]);
        return;
    }
    let fields: Vec<String> = assert_denied(&answer)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    let expected: Vec<String> = refused
        .iter()
        .map(|key| format!("metadata.annotations[{PREFIX}/{key}]"))
        .collect();
    assert_eq!(fields, expected);
}

#[test]
fn the_array_wins_with_a_warning() {
    let both = annotated(&[("csi-volume-config", "[]"), ("csi-volume-name", "pv")]);
    let warnings = assert_allowed(&of_sandbox("CREATE", &both, &Value::Null));
    assert!(
        matches!(warnings.as_slice(), [one] if one.contains("csi-volume-config")),
        "{warnings:?}"
    );
    // Without the array what was not used before is.
    let single = annotated(&[("csi-volume-name", "pv")]);
    assert_denied(&of_sandbox("UPDATE", &single, &both));
}

#[test]
fn a_claim_is_checked_in_both_places() {
    let mut claim = annotated(&[("csi-volume-config", "[1]")]);
    claim["spec"] = json!({"annotations": {format!("{PREFIX}/csi-volume-name"): "pv"}});
    let resource = ["agents.kruise.io", "v1alpha1", "sandboxclaims"];
    let answer = validate(
        &review("CREATE", resource, &claim, &Value::Null),
        &ValidationRules::default(),
        None,
    )
    .unwrap();
    let fields: Vec<String> = assert_denied(&answer)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(
        fields,
        [
            format!("metadata.annotations[{PREFIX}/csi-volume-config][0]"),
            format!("spec.annotations[{PREFIX}/csi-mount-point]")
        ]
    );
    // Only the place that changed counts.
    let mut changed = claim.clone();
    changed["spec"]["annotations"][format!("{PREFIX}/csi-mount-point")] = json!("/data");
    let answer = validate(
        &review("UPDATE", resource, &changed, &claim),
        &ValidationRules::default(),
        None,
    )
    .unwrap();
    assert_allowed(&answer);
    // A Sandbox's spec has no annotations of its own.
    claim["metadata"]["annotations"] = json!({});
    assert_allowed(&of_sandbox("CREATE", &claim, &Value::Null));
}

#[test]
fn a_subresource_is_ignored() {
    let object = annotated(&[("csi-volume-config", "{")]);
    let mut body: Value = serde_json::from_slice(&review(
        "UPDATE",
        ["agents.kruise.io", "v1alpha1", "sandboxes"],
        &object,
        &json!({"metadata": {}}),
    ))
    .unwrap();
    body["request"]["subResource"] = json!("status");
    assert_allowed(
        &validate(
            body.to_string().as_bytes(),
            &ValidationRules::default(),
            None,
        )
        .unwrap(),
    );
}

#[test]
fn a_tenants_text_is_sanitized() {
    let text = r#"[{"pvName":"a","mountPath":"/a","\u001b[31m\u00e9":1}]"#;
    let warnings = assert_allowed(&of_sandbox(
        "CREATE",
        &annotated(&[("csi-volume-config", text)]),
        &Value::Null,
    ));
    assert!(
        matches!(warnings.as_slice(), [one] if one.contains("csi-volume-config[0]: unknown field ?[31m?;")),
        "{warnings:?}"
    );
}

#[rstest]
#[case(b"".as_slice())]
#[case(b"{}".as_slice())]
#[case(br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"group":"agents.kruise.io","version":"v1","resource":"sandboxes"}}}"#.as_slice())]
#[case(br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"group":"agents.kruise.io","version":"v1","resource":"sandboxes"},"object":[]}}"#.as_slice())]
fn a_body_that_is_not_a_review_is_malformed(#[case] body: &[u8]) {
    assert!(validate(body, &ValidationRules::default(), None).is_err());
}
