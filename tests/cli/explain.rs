//! What `dry-run -o explain` and the log say agrees with what was injected, item by item.

use std::collections::BTreeMap;
use std::fs;

use rstest::rstest;
use serde_json::{Value, json};
use support::binary::run;
use support::eventually;
use support::process::Process;

/// A row of the table: field and action.
fn rows(table: &str) -> Vec<(String, String)> {
    let begun = table
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("RUNTIME "));
    let words = begun.skip(1).map(|line| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    words
        .map(|words| (words[1].clone(), words[2].clone()))
        .collect()
}

/// The value at `spec.containers[0].env[A]`; brackets hold a position or an identity.
fn at<'v>(pod: &'v Value, path: &str) -> &'v Value {
    let mut value = pod;
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap(),
            None => {
                let rest = rest.trim_start_matches('.');
                rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()))
            }
        };
        let item = |items: &'v Vec<Value>| match step.parse::<usize>() {
            Ok(index) => items.get(index),
            Err(_) => items
                .iter()
                .find(|item| item["name"] == step || item["mountPath"] == step),
        };
        value = match value {
            Value::Array(items) => item(items).unwrap_or(&Value::Null),
            value => &value[step],
        };
        rest = after;
    }
    value
}

/// A pod that makes each kind of decision: something to add, something equal, something else, a
/// hook to chain.
fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"agents.kruise.io/sandbox-pool": "p"}},
        "spec": {"volumes": [{"name": "envd-volume", "emptyDir": {}}],
            "containers": [{"name": "main", "image": "i:1",
                "env": [{"name": "ENVD_DIR", "value": "/elsewhere"}, {"name": "GODEBUG", "value": "multipathtcp=0"}],
                "lifecycle": {"postStart": {"exec": {"command": ["echo", "a b"]}}}}]}})
}

fn counts(rows: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, action) in rows {
        *counts.entry(action.clone()).or_default() += 1;
    }
    counts
}

#[rstest]
#[case(None)]
#[case(Some("01-kruise-sandboxset-pod"))]
#[case(Some("08-kruise-manual-runtime-pod"))]
fn every_row_agrees_with_the_injected_pod(#[case] review: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input.json");
    let (text, before) = match review {
        None => (pod().to_string(), pod()),
        Some(name) => {
            let text = fs::read_to_string(format!("testdata/reviews/{name}.json")).unwrap();
            let review: Value = serde_json::from_str(&text).unwrap();
            (text, review["request"]["object"].clone())
        }
    };
    fs::write(&file, text).unwrap();
    let arguments = [
        "dry-run",
        "--region-id",
        "cn-hangzhou",
        "-f",
        file.to_str().unwrap(),
        "--runtimes",
        "agent-runtime,csi",
        "-o",
    ];
    let table = run(&[&arguments[..], &["explain"]].concat()).stdout;
    let after = run(&[&arguments[..], &["json"]].concat()).json();
    let rows = rows(&table);
    for (field, action) in &rows {
        let (was, is) = (at(&before, field), at(&after, field));
        let expected = match action.as_str() {
            "added" => was.is_null() && !is.is_null(),
            "unchanged" | "kept" => !was.is_null() && was == is,
            "chained" => !was.is_null() && !is.is_null() && was != is,
            _ => false,
        };
        assert!(expected, "{field} {action}: {was} -> {is}\n{table}");
    }
    // Nothing was added that no row speaks of.
    let items = |pod: &Value| {
        let count = |value: &Value| value.as_array().map_or(0, Vec::len);
        let main = &pod["spec"]["containers"][0];
        count(&pod["spec"]["initContainers"])
            + count(&pod["spec"]["containers"])
            + count(&pod["spec"]["volumes"])
            + count(&main["env"])
            + count(&main["volumeMounts"])
            + main["lifecycle"]
                .as_object()
                .map_or(0, serde_json::Map::len)
    };
    assert_eq!(
        counts(&rows)["added"],
        items(&after) - items(&before),
        "{table}"
    );
    assert!(table.contains("(decided by: flag)"), "{table}");
    assert!(
        table.contains("Adds the annotation sandbox-injector.io/status."),
        "{table}"
    );
    if review.is_none() {
        let counts = counts(&rows);
        assert_eq!((counts["kept"], counts["chained"]), (1, 1), "{table}");
        assert!(counts["unchanged"] >= 2, "{table}");
    }
}

#[test]
fn the_mark_is_mentioned_only_where_the_patch_sets_it() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (
        directory.path().join("config"),
        directory.path().join("pod.json"),
    );
    fs::create_dir(&config).unwrap();
    let tools = json!({"mainContainer": {"env": [{"name": "DOCS", "value": "https://sandbox-injector.io/docs"}]}});
    fs::write(config.join("tools"), tools.to_string()).unwrap();
    let explained = |pod: &Value, mark: &str| {
        fs::write(&file, pod.to_string()).unwrap();
        let [config, file] = [&config, &file].map(|path| path.to_str().unwrap());
        let ran = run(&[
            "dry-run",
            "--config-dir",
            config,
            "-f",
            file,
            "--runtimes",
            "tools",
            "-o",
            "explain",
            mark,
        ]);
        ran.assert_code(0);
        ran.stdout
    };
    let annotation = "the annotation sandbox-injector.io/status.";
    let unmarked = explained(&pod(), "--status-annotation=false");
    assert!(
        unmarked.contains("env[DOCS]") && !unmarked.contains(annotation),
        "{unmarked}"
    );
    let added = explained(&pod(), "--status-annotation=true");
    assert!(added.contains(&format!("Adds {annotation}")), "{added}");
    let mut marked = pod();
    marked["metadata"]["annotations"] = json!({"sandbox-injector.io/status": "old"});
    let replaced = explained(&marked, "--status-annotation=true");
    assert!(
        replaced.contains(&format!("Updates {annotation}")),
        "{replaced}"
    );
}

#[rstest]
#[case::no_label(json!({}), json!({}), "ignored", "Expected one of: agents.kruise.io/sandbox-pool, ")]
#[case::opted_out(json!({"agents.kruise.io/sandbox-pool": "p"}), json!({"sandbox-injector.io/runtimes": "none"}),
    "ignored; runtimes: none (decided by: annotation)", "opted out by annotation")]
#[case::nothing_asked(json!({"agents.kruise.io/created-by": "sandbox"}), json!({}),
    "ignored; runtimes: none (decided by: default)", "the pod requests no runtimes (annotation sandbox-injector.io/runtimes, or a pool rule)")]
fn the_reason_why_nothing_is_injected_is_reported(
    #[case] labels: Value,
    #[case] annotations: Value,
    #[case] heading: &str,
    #[case] why: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pod.json");
    let mut pod = pod();
    pod["metadata"]["labels"] = labels;
    pod["metadata"]["annotations"] = annotations;
    fs::write(&file, pod.to_string()).unwrap();
    let ran = run(&[
        "dry-run",
        "--region-id",
        "r",
        "-f",
        file.to_str().unwrap(),
        "-o",
        "explain",
        "--pod-label",
        "team/sandbox=yes",
    ]);
    ran.assert_code(0);
    assert!(
        ran.stdout
            .starts_with(&format!("Pod default/p: {heading}\n")),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
    if heading == "ignored" {
        assert!(ran.stdout.contains("team/sandbox=yes"), "{}", ran.stdout);
    }
}

#[tokio::test]
async fn the_log_line_has_the_outcome_and_the_counts_of_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let mut clash = pod();
    clash["metadata"]["name"] = "clash".into();
    clash["spec"]["volumes"] = json!([{"name": "envd-volume", "hostPath": {"path": "/"}}]);
    let mut out = pod();
    out["metadata"]["name"] = "out".into();
    out["metadata"]["annotations"] = json!({"sandbox-injector.io/runtimes": "none"});
    let process = Process::start(&[
        "--region-id",
        "cn-hangzhou",
        "--lookups",
        "off",
        "--log-format",
        "json",
    ])
    .await;
    let client = process.client();
    for pod in [pod(), clash, out] {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let file = directory.path().join("pod.json");
        fs::write(&file, pod.to_string()).unwrap();
        let table = run(&[
            "dry-run",
            "--region-id",
            "cn-hangzhou",
            "-f",
            file.to_str().unwrap(),
            "-o",
            "explain",
        ])
        .stdout;
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default", "object": pod}});
        client.mutate(review.to_string()).await;
        let line = eventually("the log line", async || {
            let lines = process.log();
            let lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .into_iter()
                .find(|line| line["message"] == "review" && line["name"] == *name)
        })
        .await;
        let heading = table.lines().next().unwrap();
        let outcome = line["outcome"].as_str().unwrap();
        assert!(
            heading.starts_with(&format!("Pod default/{name}: {outcome}; runtimes: ")),
            "{heading}\n{line:#}"
        );
        assert!(
            heading.contains(&format!(
                "(decided by: {})",
                line["decided_by"].as_str().unwrap()
            )),
            "{heading}"
        );
        let counts = counts(&rows(&table));
        for action in ["added", "unchanged", "kept", "chained", "conflict"] {
            if let Some(count) = line[action].as_u64() {
                assert_eq!(
                    counts.get(action).copied().unwrap_or_default() as u64,
                    count,
                    "{action}\n{table}\n{line:#}"
                );
            }
        }
        match outcome {
            "injected" => assert!(line["added"].as_u64() > Some(0)),
            "denied" => assert!(line["conflict"].as_u64() > Some(0)),
            _ => assert_eq!(line["why"], "opted out by annotation"),
        }
    }
}
