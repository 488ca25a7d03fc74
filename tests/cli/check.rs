//! `check` through the binary: findings, who may use privileged runtimes, and replays of saved and
//! running pods.

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};
use support::apiserver::ApiServer;
use support::binary::{Ran, config_map, kubeconfig, run, runtime};
use tempfile::TempDir;

const REGION: [&str; 2] = ["--region-id", "cn-hangzhou"];

fn check(arguments: &[&str]) -> Ran {
    run(&[&["check"], arguments].concat())
}

/// A directory with a configuration.
fn config(entries: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (key, text) in entries {
        fs::write(directory.path().join(key), text).unwrap();
    }
    directory
}

fn path(directory: &TempDir) -> &str {
    directory.path().to_str().unwrap()
}

#[test]
fn the_default_configuration_has_warnings_and_lists_privileged_runtimes() {
    let ran = check(&REGION);
    ran.assert_code(0);
    let text = &ran.stdout;
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(
        text.contains("the built-in configuration: no errors, 4 warnings"),
        "{text}"
    );
    let lines: Vec<&str> = text.lines().collect();
    let column = lines[0].find("CODE").unwrap();
    assert!(lines[1][column..].starts_with("privileged "), "{text}");
    assert!(
        lines[2][column..].starts_with("host-path-in-main "),
        "{text}"
    );
    let csi = lines.iter().find(|line| line.starts_with("csi ")).unwrap();
    assert!(
        csi.contains("yes, unrestricted: container csi-sidecar is privileged"),
        "{csi}"
    );
    let agent = lines
        .iter()
        .find(|line| line.starts_with("agent-runtime "))
        .unwrap();
    assert!(agent.ends_with("  no"), "{agent}");
    check(&[&REGION[..], &["--strict"]].concat()).assert_code(1);
}

#[rstest]
#[case(&["--privileged-namespaces", "sandboxes", "--privileged-namespaces", "team-*"],
    "only in namespaces sandboxes or team-*", &["--privileged-namespaces"])]
#[case(&["--privileged-creators", "system:*"], "only for pods created by system:*", &["--privileged-creators"])]
#[case(&["--privileged-creators", "c", "--privileged-namespaces", "n"],
    "only in namespaces n for pods created by c", &["--privileged-namespaces", "--privileged-creators"])]
fn the_check_says_whom_the_policy_restricts(
    #[case] flags: &[&str],
    #[case] words: &str,
    #[case] expected: &[&str],
) {
    let text = check(&[&REGION[..], flags].concat()).stdout;
    assert!(text.contains(&format!("yes, {words}: container")), "{text}");
    let json = check(&[&REGION[..], flags, &["-o", "json"]].concat()).json();
    assert_eq!(json["runtimes"][1]["restrictedBy"], json!(expected));
    assert_eq!(json["runtimes"][0]["restrictedBy"], json!([]));
}

#[test]
fn json_is_one_object_with_everything() {
    let directory = config(&[
        ("a.json", "{"),
        ("b.yaml", "labels: {a: '<region-id>'}\nvolumes: []"),
    ]);
    let ran = check(&["--config-dir", path(&directory), "-o", "json"]);
    ran.assert_code(1);
    let json = ran.json();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["source", "errors", "warnings", "findings", "runtimes"]
    );
    assert_eq!((&json["errors"], &json["warnings"]), (&json!(2), &json!(1)));
    let first = &json["findings"][0];
    let page = first["page"].as_str().unwrap();
    assert!(
        page.ends_with(&format!(
            "/findings.html#{}",
            first["code"].as_str().unwrap()
        )),
        "{page}"
    );
    let findings: Vec<String> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            assert_eq!(finding.as_object().unwrap().len(), 6);
            let text = |field: &str| finding[field].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {}",
                text("severity"),
                text("code"),
                text("runtime"),
                text("path")
            )
        })
        .collect();
    assert_eq!(
        findings,
        [
            "error syntax a $",
            "warning no-region b $.labels.a",
            "error unknown-field b $.volumes"
        ]
    );
    assert_eq!(
        json["runtimes"],
        json!([{"name": "b", "revision": null, "privileged": [], "restrictedBy": []}])
    );
    // With the region it is known which revision that is.
    let json = check(
        &[
            &REGION[..],
            &["--config-dir", path(&directory), "-o", "json"],
        ]
        .concat(),
    )
    .json();
    assert_eq!(json["runtimes"][0]["revision"].as_str().unwrap().len(), 12);
}

#[test]
fn a_missing_region_is_only_a_warning() {
    let ran = check(&[]);
    ran.assert_code(0);
    assert!(ran.stdout.contains("warning   no-region"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("(unknown until --region-id is set)"),
        "{}",
        ran.stdout
    );
}

#[rstest]
#[case::no_directory(&["--config-dir", "testdata/none"], "cannot read testdata/none")]
#[case::no_manifest(&["--config-file", "testdata/cli/pod.yaml"], "not a ConfigMap (kind is \"Pod\")")]
#[case::no_pods(&["--against", "config"], "--against needs pods")]
#[case::nothing_to_compare_with(&["-f", "testdata/cli"], "-f replays pods and needs --against")]
#[case::all_of_nothing(&["-A"], "require --live")]
#[case::no_such_baseline(&["--against", "testdata/none.yaml", "-f", "testdata/cli"], "cannot read testdata/none.yaml")]
fn invalid_arguments_exit_with_2(#[case] arguments: &[&str], #[case] expected: &str) {
    let ran = check(&[&REGION[..], arguments].concat());
    ran.assert_code(2);
    assert!(
        ran.stderr.starts_with("error: ") && ran.stderr.contains(expected),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
}

// Replays

/// A pod of a warm pool that requests `tools`.
fn pod(name: &str, extra: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"agents.kruise.io/sandbox-pool": "p"},
            "annotations": {"sandbox-injector.io/runtimes": "tools"}},
        "spec": {"containers": [{"name": "main", "image": "i:1"}]}});
    for (field, value) in extra.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn write(directory: &Path, name: &str, value: &Value) -> String {
    let path = directory.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_change_is_shown_pod_by_pod() {
    let (old, new) = (
        config(&[("tools", &runtime("i:1"))]),
        config(&[("tools", &runtime("i:2"))]),
    );
    let pods = tempfile::tempdir().unwrap();
    let taken = json!({"initContainers": [{"name": "helper", "image": "i:1", "restartPolicy": "Always",
        "resources": {"limits": {"cpu": 1}}}]});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        pod("plain", &json!({})), pod("has-the-old-one", &taken),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": {"containers": []}}]});
    let file = write(pods.path(), "pods.json", &list);
    let arguments = [
        "--config-dir",
        path(&new),
        "--against",
        path(&old),
        "-f",
        &file,
    ];
    let ran = check(&arguments);
    ran.assert_code(1);
    let text = &ran.stdout;
    assert!(
        text.contains("Replayed 2 sandbox pods against ")
            && text.contains(": 2 would change, 1 newly denied.\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "Pod plain (items[0]): injected\n  ~ spec.initContainers[helper].image: \"i:1\" -> \"i:2\"\n"
        ),
        "{text}"
    );
    assert!(text.contains("Pod has-the-old-one (items[1]): injected -> denied\n  spec.initContainers[0]: runtime tools: differs in image"), "{text}");
    let replay = check(&[&arguments[..], &["-o", "json"]].concat()).json()["replay"].clone();
    assert_eq!(
        (&replay["pods"], &replay["different"], &replay["nowDenied"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!(
        replay["results"][0]["fields"],
        json!([{"path": "spec.initContainers[helper].image", "before": "i:1", "after": "i:2"}])
    );
    // The other way round: what was denied is not any more, which nobody minds.
    check(&[
        "--config-dir",
        path(&old),
        "--against",
        path(&new),
        "-f",
        &file,
    ])
    .assert_code(0);
    let same = check(&[
        "--config-dir",
        path(&old),
        "--against",
        path(&old),
        "-f",
        &file,
    ]);
    same.assert_code(0);
    assert!(
        same.stdout.contains("Replayed 2 sandbox pods against ")
            && same.stdout.contains(": 0 would change, 0 newly denied.\n"),
        "{}",
        same.stdout
    );
}

#[test]
fn injected_pods_are_replayed_as_they_were_before() {
    let (old, new) = (
        config(&[("tools", &runtime("i:1"))]),
        config(&[("tools", &runtime("i:2"))]),
    );
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "pod.json", &pod("plain", &json!({})));
    let injected = run(&[
        "dry-run",
        "--config-dir",
        path(&old),
        "-f",
        &file,
        "-o",
        "json",
    ])
    .json();
    assert_eq!(injected["spec"]["initContainers"][0]["image"], "i:1");
    let file = write(directory.path(), "injected.json", &injected);
    let ran = check(&[
        "--config-dir",
        path(&new),
        "--against",
        path(&old),
        "-f",
        &file,
    ]);
    ran.assert_code(0);
    assert!(
        ran.stdout.contains(": 1 would change, 0 newly denied.\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("helper].image: \"i:1\" -> \"i:2\""),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_removed_runtime_denies_pods_that_request_it() {
    let (old, new) = (
        config(&[("tools", &runtime("i:1"))]),
        config(&[("other", "{}")]),
    );
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "pod.json", &pod("plain", &json!({})));
    let ran = check(&[
        "--config-dir",
        path(&new),
        "--against",
        path(&old),
        "-f",
        &file,
    ]);
    ran.assert_code(1);
    assert!(ran.stdout.contains("injected -> denied"), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("runtime \"tools\" (requested by annotation) is not configured"),
        "{}",
        ran.stdout
    );
}

#[test]
fn recorded_reviews_are_replayed_and_errors_reported_first() {
    let new = config(&[("agent-runtime", "{}"), ("csi", "{}")]);
    let default = "manifests/components/default-config/runtimes";
    let arguments = [
        &REGION[..],
        &["--against", default, "-f", "testdata/reviews"],
    ]
    .concat();
    let ran = check(&[&["--config-dir", path(&new)], &arguments[..]].concat());
    ran.assert_code(0);
    assert!(
        ran.stdout.contains("Replayed 8 sandbox pods against "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("- spec.initContainers[csi-sidecar]"),
        "{}",
        ran.stdout
    );
    let broken = config(&[("csi", "{")]);
    let ran = check(&[&["--config-dir", path(&broken)], &arguments[..]].concat());
    ran.assert_code(1);
    assert!(
        ran.stderr
            .contains("pods were not replayed because the configuration has errors"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn the_pods_of_a_cluster_are_replayed_against_its_configuration() {
    let server = ApiServer::with_kruise().await;
    server.put(&config_map(&[("tools", &runtime("i:1"))]));
    for number in 0..130 {
        let mut pod = pod(&format!("p{number}"), &json!({}));
        pod["metadata"]["namespace"] = format!("team-{}", number % 2).into();
        server.put(&pod);
    }
    let mut owned = pod("owned", &json!({}));
    owned["metadata"]["annotations"] = json!({});
    owned["metadata"]["namespace"] = "team-0".into();
    let sandbox = server.put(&json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": "owned", "namespace": "team-0"}, "spec": {"runtimes": [{"name": "tools"}]}}));
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "name": "owned", "uid": sandbox["metadata"]["uid"], "controller": true}]);
    server.put(&owned);
    let (kubeconfig, new) = (kubeconfig(&server), config(&[("tools", &runtime("i:2"))]));
    let live = |more: &[&str]| {
        let kubeconfig = kubeconfig
            .path()
            .join("config")
            .to_str()
            .unwrap()
            .to_owned();
        let arguments = [
            &[
                "--live",
                "--kubeconfig",
                &kubeconfig,
                "--config-dir",
                path(&new),
            ],
            more,
        ]
        .concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        tokio::task::spawn_blocking(move || {
            check(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let all = live(&["-A"]).await.unwrap();
    all.assert_code(0);
    assert!(
        all.stdout.contains(
            "Replayed 131 sandbox pods against ConfigMap sandbox-system/sandbox-injection-config: 131 would change"
        ),
        "{}",
        all.stdout
    );
    assert!(
        all.stdout.contains("\nteam-0/owned: injected\n"),
        "{}",
        all.stdout
    );
    let one = live(&[
        "-n",
        "team-1",
        "-o",
        "json",
        "--against",
        "sandbox-system/sandbox-injection-config",
    ])
    .await
    .unwrap();
    assert_eq!(one.json()["replay"]["pods"], 65);
    let none = live(&["-n", "team-0", "--against", "sandbox-system/none"])
        .await
        .unwrap();
    none.assert_code(2);
    assert!(
        none.stderr
            .contains("ConfigMap sandbox-system/none does not exist"),
        "{}",
        none.stderr
    );
}
