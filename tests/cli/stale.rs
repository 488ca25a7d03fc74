//! `stale` through the binary: marks compared with the current configuration.

use std::fs;

use serde_json::{Value, json};
use support::apiserver::ApiServer;
use support::binary::{Ran, kubeconfig, run, runtime};
use tempfile::TempDir;

/// Configurations and pods, in files.
struct Case {
    directory: TempDir,
}

impl Case {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A configuration.
    fn config(&self, name: &str, entries: &[(&str, &str)]) -> String {
        let directory = self.directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        for (key, text) in entries {
            fs::write(directory.join(key), text).unwrap();
        }
        directory.to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, value: &Value) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A pod of a warm pool as this configuration makes it, with what an API server adds.
    fn injected(&self, config: &str, name: &str, runtimes: &str, more: &[&str]) -> Value {
        self.dry_run(&pod(name), config, runtimes, more)
    }

    /// This pod as this configuration makes it, with what an API server adds.
    fn injected_into(&self, pod: &Value, config: &str, runtimes: &str) -> Value {
        self.dry_run(pod, config, runtimes, &[])
    }

    fn dry_run(&self, pod: &Value, config: &str, runtimes: &str, more: &[&str]) -> Value {
        let file = self.file("before.json", pod);
        let arguments = [
            "dry-run",
            "--config-dir",
            config,
            "-f",
            &file,
            "-o",
            "json",
            "--runtimes",
            runtimes,
        ];
        self.admitted(run(&[&arguments[..], more].concat()).json())
    }

    /// A pod with what an API server adds.
    fn admitted(&self, mut pod: Value) -> Value {
        let token = json!({"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}});
        match pod["spec"]["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(token),
            None => pod["spec"]["volumes"] = json!([token]),
        }
        for list in ["initContainers", "containers"] {
            for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
                container["terminationMessagePath"] = "/dev/termination-log".into();
                container["imagePullPolicy"] = "IfNotPresent".into();
                let token = json!({"name": "kube-api-access-x", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
                match container["volumeMounts"].as_array_mut() {
                    Some(mounts) => mounts.push(token),
                    None => container["volumeMounts"] = json!([token]),
                }
            }
        }
        pod
    }
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default",
            "labels": {"agents.kruise.io/sandbox-pool": "p", "agents.kruise.io/created-by": "sandbox"}},
        "spec": {"containers": [{"name": "main", "image": "i:1", "env": [{"name": "OWN", "value": "1"}],
            "lifecycle": {"postStart": {"exec": {"command": ["echo", "hello"]}}}}]}})
}

fn stale(arguments: &[&str]) -> Ran {
    run(&[&["stale"], arguments].concat())
}

/// The rows of the table, as words.
fn rows(ran: &Ran) -> Vec<Vec<String>> {
    let mut lines = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect());
    let header: Vec<String> = lines.next().unwrap_or_default();
    assert_eq!(
        header,
        ["NAMESPACE", "POD", "RUNTIME", "STATE", "THEN", "NOW"]
    );
    lines.collect()
}

fn revision(config: &str, runtime: &str) -> String {
    let json = run(&["check", "--config-dir", config, "-o", "json"]).json();
    let runtimes = json["runtimes"].as_array().unwrap().clone();
    let found = runtimes
        .iter()
        .find(|found| found["name"] == runtime)
        .unwrap();
    found["revision"].as_str().unwrap().to_owned()
}

#[test]
fn a_pod_of_the_current_configuration_is_not_stale() {
    let case = Case::new();
    let config = case.config("now", &[("tools", &runtime("i:1"))]);
    let file = case.file("pod.json", &case.injected(&config, "a", "tools", &[]));
    for output in ["table", "diff"] {
        let ran = stale(&["--config-dir", &config, "-f", &file, "-o", output]);
        ran.assert_code(0);
        assert_eq!(ran.stdout, "");
        assert_eq!(ran.stderr, "0 of 1 sandbox pod is stale\n");
    }
    let json = stale(&["--config-dir", &config, "-f", &file, "-o", "json"]).json();
    assert_eq!(json, json!({"pods": 1, "stale": []}));
}

#[test]
fn changed_removed_and_unmarked_are_distinguished() {
    let case = Case::new();
    let old = case.config(
        "old",
        &[
            ("tools", &runtime("i:1")),
            ("extra", r#"{"labels": {"extra": "1"}}"#),
        ],
    );
    let new = case.config("new", &[("tools", &runtime("i:2"))]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        case.injected(&old, "changed", "tools", &[]),
        case.injected(&old, "removed", "tools,extra", &[]),
        case.injected(&new, "current", "tools", &[]),
        case.injected(&old, "unmarked", "tools", &["--status-annotation=false"]),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "default"},
         "spec": {"containers": [{"name": "main"}]}},
    ]});
    let file = case.file("pods.json", &list);
    let ran = stale(&["--config-dir", &new, "-f", &file]);
    ran.assert_code(1);
    assert_eq!(ran.stderr, "3 of 4 sandbox pods are stale\n");
    let (then, now, extra) = (
        revision(&old, "tools"),
        revision(&new, "tools"),
        revision(&old, "extra"),
    );
    let expected = [
        ["default", "changed", "tools", "changed", &then, &now],
        ["default", "removed", "tools", "changed", &then, &now],
        ["default", "removed", "extra", "removed", &extra, "-"],
        ["default", "unmarked", "tools", "unmarked", "-", &now],
    ];
    assert_eq!(rows(&ran), expected);
    let json = stale(&["--config-dir", &new, "-f", &file, "-o", "json"]).json();
    assert_eq!(json["pods"], 4);
    assert_eq!(
        json["stale"][1]["runtimes"][1],
        json!({"runtime": "extra", "state": "removed", "then": extra, "now": null})
    );
}

#[test]
fn the_diff_is_what_a_new_pod_would_have_instead() {
    let case = Case::new();
    let old = case.config("old", &[("tools", &runtime("i:1"))]);
    let newer = runtime("i:2")
        .replace("/work/start", "/work/go")
        .replace("\"on\"", "\"off\"");
    let new = case.config("new", &[("tools", &newer)]);
    let file = case.file("pod.json", &case.injected(&old, "a", "tools", &[]));
    let ran = stale(&["--config-dir", &new, "-f", &file, "-o", "diff"]);
    ran.assert_code(1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert!(lines[0].contains("Pod a: tools changed ("), "{}", lines[0]);
    assert_eq!(
        lines[1],
        "  ~ spec.initContainers[helper].image: \"i:1\" -> \"i:2\""
    );
    assert!(
        lines[2..].contains(&"  ~ spec.containers[main].env[TOOLS].value: \"on\" -> \"off\""),
        "{}",
        ran.stdout
    );
    let hook = lines[2..]
        .iter()
        .find(|line| line.contains("lifecycle.postStart.exec.command"))
        .unwrap();
    assert!(
        hook.contains("/work/start") && hook.contains("/work/go"),
        "{hook}"
    );
}

#[test]
fn the_diff_keeps_the_pods_own_hooks_in_their_chains() {
    let case = Case::new();
    let hooks = |stop: &str| {
        json!({"mainContainer": {"lifecycle": {"postStart": {"exec": {"command": ["/start"]}},
            "preStop": {"exec": {"command": [stop]}}}}})
        .to_string()
    };
    let old = case.config("old", &[("tools", &hooks("/old-stop"))]);
    let new = case.config("new", &[("tools", &hooks("/new-stop"))]);
    let mut before = pod("a");
    before["spec"]["containers"][0]["lifecycle"]["preStop"] =
        json!({"exec": {"command": ["own-stop", "arg"]}});
    let file = case.file("pod.json", &case.injected_into(&before, &old, "tools"));
    let ran = stale(&["--config-dir", &new, "-f", &file, "-o", "diff"]);
    ran.assert_code(1);
    let lines: Vec<&str> = ran.stdout.lines().skip(1).collect();
    assert_eq!(lines.len(), 1, "{}", ran.stdout);
    assert!(
        lines[0].contains("lifecycle.preStop.exec.command"),
        "{}",
        lines[0]
    );
    let (was, is) = lines[0].split_once(" -> ").unwrap();
    for (side, command) in [(was, "/old-stop"), (is, "/new-stop")] {
        assert!(
            side.contains(&format!("(exec {command})")) && side.contains("own-stop"),
            "{side}"
        );
    }
}

#[test]
fn the_diff_shows_a_main_container_that_comes_after_an_injected_one() {
    let case = Case::new();
    let tools = |value: &str| {
        json!({"mainContainer": {"env": [{"name": "TOOLS", "value": value}]},
            "containers": [{"name": "helper", "image": "i:1"}]})
        .to_string()
    };
    let (old, new) = (
        case.config("old", &[("tools", &tools("1"))]),
        case.config("new", &[("tools", &tools("2"))]),
    );
    let mut before = pod("a");
    before["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "helper", "image": "i:1"}));
    let file = case.file("pod.json", &case.injected_into(&before, &old, "tools"));
    let ran = stale(&["--config-dir", &new, "-f", &file, "-o", "diff"]);
    ran.assert_code(1);
    let lines: Vec<&str> = ran.stdout.lines().skip(1).collect();
    assert_eq!(
        lines,
        ["  ~ spec.containers[main].env[TOOLS].value: \"1\" -> \"2\""]
    );
}

#[test]
fn a_pod_that_would_get_more_or_less_is_stale() {
    let case = Case::new();
    let config = case.config("now", &[("tools", &runtime("i:1")), ("extra", "{}")]);
    let mut more = case.injected(&config, "more", "tools", &[]);
    more["metadata"]["annotations"]["sandbox-injector.io/runtimes"] = "extra,tools".into();
    let mut less = case.injected(&config, "less", "tools,extra", &[]);
    less["metadata"]["annotations"]["sandbox-injector.io/runtimes"] = "tools".into();
    let mut bare = pod("bare");
    bare["metadata"]["annotations"] = json!({"sandbox-injector.io/runtimes": "tools"});
    let file = case.file(
        "pods.json",
        &json!({"apiVersion": "v1", "kind": "List", "items": [more, less, bare]}),
    );
    let ran = stale(&["--config-dir", &config, "-f", &file]);
    ran.assert_code(1);
    let (tools, extra) = (revision(&config, "tools"), revision(&config, "extra"));
    assert_eq!(
        rows(&ran),
        [
            ["default", "more", "extra", "added", "-", &extra],
            ["default", "less", "extra", "withdrawn", &extra, "-"],
            ["default", "bare", "tools", "added", "-", &tools],
        ]
    );
}

#[test]
fn without_a_mark_only_differences_count() {
    let case = Case::new();
    let old = case.config("old", &[("tools", &runtime("i:1"))]);
    let new = case.config("new", &[("tools", &runtime("i:2"))]);
    let mut same = case.injected(&new, "same", "tools", &["--status-annotation=false"]);
    let mut other = case.injected(&old, "other", "tools", &["--status-annotation=false"]);
    for pod in [&mut same, &mut other] {
        pod["metadata"]["annotations"] = json!({"sandbox-injector.io/runtimes": "tools"});
    }
    let file = case.file(
        "pods.json",
        &json!({"apiVersion": "v1", "kind": "List", "items": [same, other]}),
    );
    let ran = stale(&[
        "--config-dir",
        &new,
        "-f",
        &file,
        "--status-annotation=false",
    ]);
    ran.assert_code(1);
    assert_eq!(
        rows(&ran),
        [[
            "default",
            "other",
            "tools",
            "unmarked",
            "-",
            &revision(&new, "tools")
        ]]
    );
    assert_eq!(rows(&stale(&["--config-dir", &new, "-f", &file])).len(), 2);
}

/// A manifest that pods are made from.
fn sandbox_set(case: &Case) -> String {
    let set = json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet", "metadata": {"name": "s"},
        "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}});
    case.file("set.json", &set)
}

#[test]
fn a_pod_that_does_not_run_is_skipped() {
    let case = Case::new();
    let config = case.config("now", &[("tools", &runtime("i:1"))]);
    let ran = stale(&["--config-dir", &config, "-f", &sandbox_set(&case)]);
    ran.assert_code(0);
    assert!(ran.stderr.contains("not a running pod"), "{}", ran.stderr);
}

#[test]
fn unreadable_input_exits_with_2() {
    let case = Case::new();
    let config = case.config("now", &[("tools", &runtime("i:1"))]);
    let broken = case.file("broken.json", &json!("text"));
    stale(&["--config-dir", &config, "-f", &broken]).assert_code(2);
    stale(&["--config-dir", "/none", "-f", &sandbox_set(&case)]).assert_code(2);
    let nowhere = stale(&["--config-dir", &config]);
    nowhere.assert_code(2);
    assert!(
        nowhere.stderr.contains("no cluster available"),
        "{}",
        nowhere.stderr
    );
    for nonsense in [
        &["-A", "-f", "x"][..],
        &["-l", "a=b", "-f", "x"],
        &["-A", "-n", "x"],
    ] {
        stale(nonsense).assert_code(2);
    }
}

#[tokio::test]
async fn pods_of_a_cluster_have_their_owners_looked_up() {
    let case = Case::new();
    let config = case.config("now", &[("tools", &runtime("i:1")), ("extra", "{}")]);
    let server = ApiServer::with_kruise().await;
    let mut owned = case.injected(&config, "owned", "tools", &[]);
    let sandbox = server.put(
        &json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": "owned", "namespace": "default"},
        "spec": {"runtimes": [{"name": "tools"}, {"name": "extra"}]}}),
    );
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "name": "owned", "uid": sandbox["metadata"]["uid"], "controller": true}]);
    server.put(&owned);
    let mut elsewhere = owned.clone();
    elsewhere["metadata"]["namespace"] = "elsewhere".into();
    server.put(&elsewhere);
    let kubeconfig = kubeconfig(&server);
    let kubeconfig = kubeconfig
        .path()
        .join("config")
        .to_str()
        .unwrap()
        .to_owned();
    let ran = |more: &[&str]| {
        let arguments = [
            &["--kubeconfig", &kubeconfig, "--config-dir", &config],
            more,
        ]
        .concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        tokio::task::spawn_blocking(move || {
            stale(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let one = ran(&["-n", "default"]).await.unwrap();
    one.assert_code(1);
    assert_eq!(
        rows(&one),
        [[
            "default",
            "owned",
            "extra",
            "added",
            "-",
            &revision(&config, "extra")
        ]]
    );
    let all = ran(&["-A", "-l", "a in (b, c)"]).await.unwrap();
    assert!(
        all.stderr.ends_with("of 2 sandbox pods are stale\n"),
        "{}",
        all.stderr
    );
    let asked = server.asked("/api/v1/pods");
    assert_eq!(
        asked[0].query,
        "limit=100&labelSelector=a%20in%20%28b%2C%20c%29"
    );
    server.fault(support::apiserver::Fault::status("/pods", 403));
    let denied = ran(&["-A"]).await.unwrap();
    denied.assert_code(2);
    assert!(
        denied.stderr.contains("grant list on pods in the cluster"),
        "{}",
        denied.stderr
    );
}
