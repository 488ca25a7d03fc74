use rstest::rstest;
use serde_json::json;

use super::*;
use crate::json_path::walk_all;
use crate::review::decode::{Reviewed, decode};
use crate::yaml;

fn parse(text: &str) -> Vec<Value> {
    yaml::documents(text)
        .into_iter()
        .map(|document| document.unwrap().value)
        .collect()
}

fn read_all(text: &str) -> Vec<Result<InputObject, ManifestError>> {
    let documents = parse(text);
    let templates = Templates::collect(&documents, "default");
    documents
        .iter()
        .flat_map(|document| read(document, "default", &templates))
        .collect()
}

fn subjects(text: &str) -> Vec<InputPod> {
    let pod = |found| match found {
        Ok(InputObject::Pod(subject)) => *subject,
        other => panic!("{other:?}"),
    };
    read_all(text).into_iter().map(pod).collect()
}

fn passed(text: &str) -> SkippedObject {
    match read_all(text).pop() {
        Some(Ok(InputObject::Skipped(passed))) => passed,
        other => panic!("{other:?}"),
    }
}

fn error(text: &str) -> String {
    read_all(text)
        .into_iter()
        .find_map(Result::err)
        .unwrap()
        .to_string()
}

const CONTAINERS: &str = "{spec: {containers: [{name: a}]}}";

#[rstest]
#[case("agents.kruise.io/v1alpha1", "SandboxSet", "runtimes: [{name: csi}, {name: agent-runtime}], template", Some(vec!["csi", "agent-runtime"]))]
#[case("agents.kruise.io/v1beta1", "Sandbox", "runtimes: [{name: csi, version: 2}], template", Some(vec!["csi"]))]
#[case("agents.kruise.io/v1alpha1", "Sandbox", "template", Some(vec![]))]
#[case("agents.kruise.io/v1alpha1", "SandboxSet", "runtimes: [], template", Some(vec![]))]
#[case(
    "agents.kruise.io/v1alpha1",
    "SandboxTemplate",
    "runtimes: [{name: csi}], template",
    None
)]
#[case(
    "agents.x-k8s.io/v1beta1",
    "Sandbox",
    "runtimes: [{name: csi}], podTemplate",
    None
)]
#[case(
    "sandbox.opensandbox.io/v1alpha1",
    "Pool",
    "runtimes: [{name: csi}], template",
    None
)]
#[case("apps/v1", "Deployment", "runtimes: [{name: csi}], template", None)]
fn only_the_kinds_with_the_field_declare_runtimes(
    #[case] api_version: &str,
    #[case] kind: &str,
    #[case] spec: &str,
    #[case] expected: Option<Vec<&str>>,
) {
    let text = format!(
        "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}, spec: {{{spec}: {CONTAINERS}}}}}"
    );
    let declared = subjects(&text).remove(0).declared;
    assert_eq!(
        declared.as_ref().map(|declared| declared.runtimes.clone()),
        expected.map(|names| names.into_iter().map(str::to_owned).collect())
    );
    if let Some(declared) = declared {
        assert_eq!(
            (declared.kind.as_str(), declared.name.as_str()),
            (kind, "x")
        );
    }
}

#[test]
fn a_pod_stays_as_it_is() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: team-a}\nspec: {future: 1}\nstatus: {}\n";
    let subject = subjects(text).remove(0);
    assert_eq!(subject.pod, parse(text)[0]);
    assert_eq!(
        (subject.namespace.as_str(), subject.declared, subject.review),
        ("team-a", None, None)
    );
    assert_eq!(subject.origin.to_string(), "Pod a");
    let without = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n";
    let subject = subjects(without).remove(0);
    assert_eq!(subject.pod, parse(without)[0]);
    assert_eq!(
        (subject.namespace.as_str(), subject.origin.name.as_str()),
        ("default", "a-*")
    );
}

#[test]
fn lists_are_flattened_and_a_broken_item_does_not_hide_the_others() {
    let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}, spec: {}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
- apiVersion: v1
  kind: PodList
  items:
  - {metadata: {name: d}}
- 7
";
    let found = read_all(text);
    assert_eq!(found.len(), 5);
    let Ok(InputObject::Pod(first)) = &found[0] else {
        panic!()
    };
    assert_eq!(first.origin.to_string(), "Pod a (items[0])");
    assert_eq!(
        found[1].as_ref().unwrap_err().to_string(),
        "$.items[1].spec.template: missing; a workload needs spec.template"
    );
    let Ok(InputObject::Skipped(third)) = &found[2] else {
        panic!()
    };
    assert_eq!(
        third.note,
        "skipped: ConfigMap c (items[2]) is neither a pod nor a known pod template"
    );
    let Ok(InputObject::Pod(fourth)) = &found[3] else {
        panic!()
    };
    assert_eq!(fourth.origin.path.to_string(), "$.items[3].items[0]");
    assert_eq!(
        fourth.pod,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d"}})
    );
    assert_eq!(
        found[4].as_ref().unwrap_err().to_string(),
        "$.items[4]: must be an object, not a number"
    );
}

#[test]
fn an_empty_list_gives_nothing() {
    assert!(read_all("{apiVersion: v1, kind: List, items: []}").is_empty());
    assert!(read_all("{apiVersion: v1, kind: PodList, items: null}").is_empty());
}

fn review(change: impl FnOnce(&mut Value)) -> String {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "6b1f90a9",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "team-a",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:a:b"},
            "object": {"metadata": {"generateName": "a-"}, "spec": {}},
            "dryRun": true,
        },
    });
    change(&mut review);
    review.to_string()
}

#[test]
fn a_review_keeps_what_its_answer_needs() {
    let subject = subjects(&review(|_| {})).remove(0);
    assert_eq!(
        subject.pod,
        json!({"metadata": {"generateName": "a-"}, "spec": {}})
    );
    assert_eq!(subject.namespace, "team-a");
    assert_eq!(subject.origin.to_string(), "AdmissionReview a-*");
    let expected = RecordedReview {
        uid: "6b1f90a9".into(),
        username: "system:serviceaccount:a:b".into(),
    };
    assert_eq!(subject.review, Some(expected));
}

#[rstest]
#[case("/request/resource/resource", json!("services"), "is a CREATE of services; only CREATE of pods is decided on")]
#[case("/request/resource/group", json!("x.io"), "is a CREATE of pods.x.io; only")]
#[case("/request/operation", json!("DELETE"), "is a DELETE of pods; only")]
#[case("/request/resource/resource", json!(null), "AdmissionReview a-* does not say what it is about; only")]
#[case("/request/resource/version", json!("v2"), "is a CREATE of pods in version \"v2\"; only")]
#[case("/request/subResource", json!("exec"), "is a CREATE of pods/exec; only")]
fn a_review_of_anything_but_a_new_pod_is_skipped(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] note: &str,
) {
    let passed = passed(&review(|review| set(review, pointer, value)));
    assert!(passed.note.contains(note), "{}", passed.note);
    assert_eq!(passed.review.unwrap().uid, "6b1f90a9");
}

#[rstest]
#[case("/apiVersion", json!("admission.k8s.io/v1beta1"), "$.apiVersion: must be admission.k8s.io/v1, not \"admission.k8s.io/v1beta1\"")]
#[case("/request", json!(null), "$.request: missing; this AdmissionReview has no request; it may be a response")]
#[case("/request", json!([]), "$.request: must be an object, not a list")]
#[case("/request/uid", json!(""), "$.request.uid: missing; an AdmissionReview's request has it")]
#[case("/request/operation", json!(1), "$.request.operation: must be a string, not a number; quote it")]
#[case("/request/resource", json!(null), "$.request.resource: must be an object, not null")]
#[case("/request/object", json!(null), "$.request.object: missing; set the pod to create")]
#[case("/request/userInfo", json!(true), "$.request.userInfo: must be an object, not a boolean")]
fn a_malformed_review_is_an_error_with_its_path(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    assert_eq!(
        error(&review(|review| set(review, pointer, value))),
        expected
    );
}

/// The webhook allows, decides on and rejects the same reviews, whatever stands in place of some
/// part of one.
#[test]
fn a_recorded_review_is_read_as_the_webhook_reads_it() {
    let original: Value = serde_json::from_str(&review(|_| {})).unwrap();
    let mut places = Vec::new();
    walk_all(&original, &mut |path, _| places.push(path.clone()));
    let (mut pods, mut skipped, mut rejected) = (0, 0, 0);
    for place in places.iter().filter(|place| place.steps().len() > 1) {
        for junk in [
            json!(null),
            json!(7),
            json!("x"),
            json!(""),
            json!([]),
            json!({}),
            json!(true),
        ] {
            let mut document = original.clone();
            *place.find_mut(&mut document).unwrap() = junk;
            let body = document.to_string();
            let found = read(&document, "default", &Templates::default()).remove(0);
            match (decode(body.as_bytes()).map(|review| review.reviewed), found) {
                (Err(_), Err(_)) => rejected += 1,
                (Ok(Reviewed::Other), Ok(InputObject::Skipped(_))) => skipped += 1,
                (Ok(Reviewed::Pod(_) | Reviewed::MalformedPod { .. }), Ok(InputObject::Pod(_))) => {
                    pods += 1;
                }
                (webhook, offline) => panic!("{body}: {webhook:?} and {offline:?}"),
            }
        }
    }
    assert!(
        pods > 20 && skipped > 5 && rejected > 10,
        "{pods} {skipped} {rejected}"
    );
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
}

#[rstest]
#[case("v1", "Service", "", "skipped: Service x is neither a pod")]
#[case("example.com/v1", "Pod", "", "skipped: Pod x is neither a pod")]
#[case("example.com/v1", "Sandbox", "", "skipped: Sandbox x is neither a pod")]
#[case(
    "agents.kruise.io/v1alpha1",
    "Checkpoint",
    "",
    "skipped: Checkpoint x is neither a pod"
)]
#[case("agents.kruise.io/v1alpha1", "SandboxClaim", "", "pass the SandboxSet")]
#[case(
    "extensions.agents.x-k8s.io/v1beta1",
    "SandboxWarmPool",
    "",
    "pass its SandboxTemplate"
)]
#[case(
    "extensions.agents.x-k8s.io/v1beta1",
    "SandboxClaim",
    "",
    "pass its SandboxTemplate"
)]
#[case(
    "sandbox.opensandbox.io/v1alpha1",
    "BatchSandbox",
    "poolRef: fast",
    "takes its pods from Pool fast; pass that Pool"
)]
#[case(
    "apps/v1",
    "ControllerRevision",
    "",
    "skipped: ControllerRevision x is neither a pod"
)]
#[case(
    "sandbox.opensandbox.io/v1alpha1",
    "Deployment",
    "",
    "skipped: Deployment x is neither a pod"
)]
fn kinds_that_create_no_pods_are_skipped(
    #[case] api_version: &str,
    #[case] kind: &str,
    #[case] spec: &str,
    #[case] note: &str,
) {
    let text = format!(
        "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}, spec: {{{spec}}}}}"
    );
    let passed = passed(&text);
    assert!(passed.note.contains(note), "{}", passed.note);
}

#[rstest]
#[case(
    "a: 1",
    "$.apiVersion: missing; a Kubernetes manifest has apiVersion and kind"
)]
#[case(
    "apiVersion: v1",
    "$.kind: missing; a Kubernetes manifest has apiVersion and kind"
)]
#[case("[1]", "$: must be an object, not a list")]
#[case(
    "{apiVersion: 1, kind: Pod}",
    "$.apiVersion: must be a string, not a number; quote it"
)]
#[case(
    "{apiVersion: v1, kind: Pod, metadata: []}",
    "$.metadata: must be an object, not a list"
)]
#[case("{apiVersion: v1, kind: List}", "$.items: missing; a List needs items")]
#[case(
    "{apiVersion: v1, kind: List, items: {}}",
    "$.items: must be a list, not an object"
)]
fn a_document_that_is_not_a_manifest_is_an_error(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(error(text), expected);
}

#[rstest]
#[case(
    "{}",
    "$.spec.template.spec: missing; a pod template needs the pod's spec"
)]
#[case("[]", "$.spec.template: must be an object, not a list")]
#[case("{spec: x}", "$.spec.template.spec: must be an object, not a string")]
#[case(
    "{spec: {}}",
    "$.spec.template.spec.containers: missing; a pod has at least one container"
)]
#[case(
    "{spec: {containers: {}}}",
    "$.spec.template.spec.containers: must be a list, not an object"
)]
#[case(
    "{spec: {containers: [x]}}",
    "$.spec.template.spec.containers[0]: must be an object, not a string"
)]
#[case(
    "{spec: {containers: [], volumes: 1}}",
    "$.spec.template.spec.volumes: must be a list, not a number"
)]
#[case(
    "{metadata: {labels: {alibabacloud.com/acs: true}}, spec: {}}",
    "$.spec.template.metadata.labels[\"alibabacloud.com/acs\"]: must be a string, not a boolean; quote it"
)]
#[case(
    "{metadata: {annotations: []}, spec: {}}",
    "$.spec.template.metadata.annotations: must be an object, not a list"
)]
#[case("null", "$.spec.template: missing; ")]
fn a_template_of_the_wrong_shape_is_an_error_with_its_path(
    #[case] template: &str,
    #[case] expected: &str,
) {
    for (api_version, kind) in [
        ("agents.kruise.io/v1alpha1", "SandboxSet"),
        ("agents.kruise.io/v1alpha1", "Sandbox"),
        ("agents.kruise.io/v1alpha1", "SandboxTemplate"),
        ("agents.x-k8s.io/v1beta1", "Sandbox"),
        ("extensions.agents.x-k8s.io/v1beta1", "SandboxTemplate"),
        ("sandbox.opensandbox.io/v1alpha1", "Pool"),
        ("sandbox.opensandbox.io/v1alpha1", "BatchSandbox"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
    ] {
        let (field, wrapped) = match (api_version, kind) {
            (group, _) if group.contains("x-k8s.io") => {
                ("podTemplate", format!("podTemplate: {template}"))
            }
            (_, "CronJob") => (
                "jobTemplate.spec.template",
                format!("jobTemplate: {{spec: {{template: {template}}}}}"),
            ),
            _ => ("template", format!("template: {template}")),
        };
        let text = format!(
            "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}, spec: {{{wrapped}}}}}"
        );
        let expected = expected.replace("spec.template", &format!("spec.{field}"));
        let error = error(&text);
        assert!(
            error.starts_with(&expected),
            "{api_version} {kind}: {error}"
        );
    }
}

#[rstest]
#[case(
    "metadata: {}, spec: {}",
    "$.metadata.name: missing; the pod's name is made of it"
)]
#[case("spec: {}", "$.metadata: missing; an object needs metadata.name")]
#[case(
    "metadata: {name: x}",
    "$.spec: missing; a SandboxSet needs spec.template"
)]
#[case(
    "metadata: {name: x}, spec: {runtimes: csi, template: @}",
    "$.spec.runtimes: must be a list, not a string"
)]
#[case(
    "metadata: {name: x}, spec: {runtimes: [csi], template: @}",
    "$.spec.runtimes[0]: must be an object, not a string"
)]
#[case(
    "metadata: {name: x}, spec: {runtimes: [{}], template: @}",
    "$.spec.runtimes[0].name: missing; set the name of a runtime"
)]
#[case(
    "metadata: {name: x}, spec: {volumeClaimTemplates: [{}], template: @}",
    "$.spec.volumeClaimTemplates[0].metadata: missing; a claim template needs metadata.name"
)]
#[case(
    "metadata: {name: x}, spec: {templateRef: {}}",
    "$.spec.templateRef.name: missing; set the name of a SandboxTemplate"
)]
#[case(
    "metadata: {name: x}, spec: {templateRef: {name: python}}",
    "$.spec.templateRef: SandboxTemplate default/python is not in the input; pass its manifest too"
)]
fn a_sandboxset_of_the_wrong_shape_is_an_error_with_its_path(
    #[case] fields: &str,
    #[case] expected: &str,
) {
    let fields = fields.replace('@', CONTAINERS);
    assert_eq!(
        error(&format!(
            "{{apiVersion: agents.kruise.io/v1alpha1, kind: SandboxSet, {fields}}}"
        )),
        expected
    );
}

#[test]
fn a_fault_in_a_template_that_is_referred_to_names_the_template() {
    let text = "
apiVersion: agents.kruise.io/v1alpha1
kind: Sandbox
metadata: {name: x}
spec: {templateRef: {name: python}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: agents.kruise.io/v1alpha1, kind: SandboxTemplate, metadata: {name: python}, spec: {template: {}}}
";
    assert_eq!(
        error(text),
        "SandboxTemplate python: $.spec.template.spec: missing; a pod template needs the pod's spec"
    );
}

#[test]
fn shard_patches_are_noted() {
    let text = format!(
        "{{apiVersion: sandbox.opensandbox.io/v1alpha1, kind: BatchSandbox, metadata: {{name: x}}, spec: {{shardPatches: [{{}}], template: {CONTAINERS}}}}}"
    );
    assert_eq!(
        subjects(&text)[0].notes,
        ["BatchSandbox x: spec.shardPatches is not applied here, so the real pods will differ"]
    );
}
