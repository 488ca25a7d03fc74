//! The command line, through the binary: outputs, exit codes, and what wrong input gets.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use rstest::rstest;
use serde_json::Value;

const POD: &str = "testdata/cli/pod.yaml";
const SEVERAL: &str = "testdata/cli/several.yaml";
const REVIEW: &str = "testdata/reviews/01-kruise-sandboxset-pod.json";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-injector"));
    command
        .args(arguments)
        .env_remove("REGION_ID")
        .env_remove("KUBECONFIG")
        .env("NO_COLOR", "1");
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn dry_run(arguments: &[&str]) -> Output {
    run(&[&["dry-run", "--region-id", "cn-hangzhou"], arguments].concat())
}

fn stdin(arguments: &[&str], input: &str) -> Output {
    let mut command = command(
        &[
            &["dry-run", "--region-id", "cn-hangzhou", "-f", "-"],
            arguments,
        ]
        .concat(),
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        stdout(output),
        stderr(output)
    );
}

#[test]
fn a_patch_is_one_line_per_pod() {
    let output = dry_run(&["-f", POD, "-f", REVIEW]);
    assert_code(&output, 0);
    let patches: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(patches.len(), 2);
    assert!(patches.iter().all(|patch| {
        patch
            .as_array()
            .is_some_and(|operations| !operations.is_empty())
    }));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_denied_pod_exits_with_1_after_the_others_are_processed() {
    let output = dry_run(&["-f", SEVERAL]);
    assert_code(&output, 1);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(text.lines().nth(1), Some("[]"));
    let complaints = stderr(&output);
    let denied: Vec<&str> = complaints
        .lines()
        .filter(|line| line.starts_with("denied: "))
        .collect();
    assert_eq!(denied.len(), 2, "every reason at once: {complaints}");
    assert!(
        denied[0].contains(
            "several.yaml: document 4: Pod clash: spec.volumes[0]: runtime agent-runtime"
        ),
        "{complaints}"
    );
    assert!(
        denied[1].contains("spec.containers[0].volumeMounts[0]"),
        "{complaints}"
    );
    assert!(
        complaints
            .contains("note: testdata/cli/several.yaml: document 3: skipped: ConfigMap settings"),
        "{complaints}"
    );
}

#[test]
fn a_review_is_answered_as_the_webhook_answers_it() {
    let output = dry_run(&["-f", REVIEW, "-f", SEVERAL, "-o", "review"]);
    assert_code(&output, 1);
    let answers: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 4, "one for each pod");
    assert_eq!(
        answers[0]["response"]["uid"],
        "6b1f90a9-8009-4022-b288-bb5e6eb88058"
    );
    assert_eq!(answers[0]["response"]["patchType"], "JSONPatch");
    assert_eq!(answers[1]["response"]["allowed"], true);
    assert_eq!(answers[2]["response"].get("patch"), None);
    let status = &answers[3]["response"]["status"];
    assert_eq!(
        (status["code"].as_u64(), status["reason"].as_str()),
        (Some(422), Some("Invalid"))
    );
    assert_eq!(status["details"]["causes"].as_array().unwrap().len(), 2);
}

#[test]
fn yaml_and_json_show_the_pods_after() {
    let one = dry_run(&["-f", POD, "-o", "json"]);
    assert_code(&one, 0);
    let pod: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(pod["spec"]["initContainers"].as_array().unwrap().len(), 3);
    let many = dry_run(&["-f", SEVERAL, "-o", "json"]);
    let list: Value = serde_json::from_slice(&many.stdout).unwrap();
    assert_eq!(
        (
            list["kind"].as_str(),
            list["items"].as_array().unwrap().len()
        ),
        (Some("List"), 2)
    );
    let yaml = stdout(&dry_run(&["-f", SEVERAL, "-o", "yaml"]));
    let documents = engine::yaml::documents(&yaml);
    let pods: Vec<&Value> = documents
        .iter()
        .map(|document| &document.as_ref().unwrap().value)
        .collect();
    assert_eq!(pods.len(), 2);
    assert_eq!(*pods[0], list["items"][0]);
    // What was injected is taken as it is.
    let again = stdin(&["-o", "patch"], &yaml);
    assert_eq!(stdout(&again), "[]\n[]\n", "{}", stderr(&again));
}

#[test]
fn a_diff_and_an_explanation_are_plain_in_a_pipe() {
    let diff = stdout(&dry_run(&["-f", SEVERAL, "-o", "diff"]));
    assert!(diff.contains("+  initContainers:\n"), "{diff}");
    assert!(diff.contains("document 2: Pod other: unchanged"), "{diff}");
    let table = stdout(&dry_run(&["-f", SEVERAL, "-o", "explain"]));
    assert!(!table.contains('\u{1b}') && !diff.contains('\u{1b}'));
    assert!(
        table.contains(
            "Pod default/warm: injected; runtimes: agent-runtime, csi (decided by: default)"
        ),
        "{table}"
    );
    assert!(table.contains("Pod default/other: ignored"), "{table}");
    assert!(
        table.contains("agents.kruise.io/created-by=sandbox"),
        "the labels that count: {table}"
    );
    assert!(
        table
            .lines()
            .any(|line| line.contains("spec.volumes[envd-volume]") && line.contains("conflict")),
        "{table}"
    );
}

#[test]
fn templates_and_lists_are_read() {
    let set = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet", "metadata": {"name": "set"},
         "spec": {"runtimes": [{"name": "agent-runtime"}], "template": {"metadata": {"labels": {"a": "b"}},
                  "spec": {"containers": [{"name": "sandbox", "image": "i:1"}]}}}},
        {"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox", "metadata": {"name": "box"},
         "spec": {"template": {"spec": {"containers": [{"name": "sandbox", "image": "i:1"}]}}}}]}"#;
    let output = stdin(&["-o", "explain"], set);
    assert_code(&output, 0);
    let table = stdout(&output);
    assert!(
        table.contains("injected; runtimes: agent-runtime (decided by: sandboxset)"),
        "{table}"
    );
    assert!(
        table.contains("ignored; runtimes: none (decided by: sandbox)"),
        "{table}"
    );
}

#[test]
fn the_users_choice_of_runtimes_and_policy_is_followed() {
    let output = dry_run(&[
        "-f",
        POD,
        "--runtimes",
        "csi",
        "--privileged-creators",
        "system:*",
        "-o",
        "explain",
    ]);
    assert_code(&output, 0);
    assert!(
        stdout(&output).contains("runtimes: csi (decided by: flag)"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("--privileged-creators was not checked"),
        "{}",
        stdout(&output)
    );
    let denied = dry_run(&[
        "-f",
        POD,
        "--privileged-creators",
        "system:*",
        "--as",
        "eve",
    ]);
    assert_code(&denied, 1);
    assert!(
        stderr(&denied).contains("is not in --privileged-creators"),
        "{}",
        stderr(&denied)
    );
    let unprivileged = dry_run(&[
        "-f",
        POD,
        "--runtimes",
        "agent-runtime",
        "--privileged-namespaces",
        "x",
    ]);
    assert_code(&unprivileged, 0);
    let none = dry_run(&["-f", POD, "--runtimes", "none"]);
    assert_eq!(stdout(&none), "[]\n");
}

#[rstest]
#[case::no_such_file(&["-f", "testdata/none.yaml"], "cannot read testdata/none.yaml: No such file")]
#[case::unknown_runtime(&["-f", POD, "--config-file", "testdata/none.yaml"], "cannot read testdata/none.yaml")]
#[case::not_a_config_map(&["-f", POD, "--config-file", POD], "not a ConfigMap (kind is \"Pod\")")]
fn unreadable_input_is_named(#[case] arguments: &[&str], #[case] expected: &str) {
    let output = dry_run(arguments);
    assert_code(&output, 2);
    assert!(
        stderr(&output).starts_with("error: ") && stderr(&output).contains(expected),
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[rstest]
#[case::broken_yaml("kind: [", "stdin: document 1, line 1")]
#[case::broken_second(
    "kind: ConfigMap\napiVersion: v1\n---\na: {",
    "stdin: document 2, line 4"
)]
#[case::no_kind("{}", "stdin: document 1: $.apiVersion: missing")]
#[case::no_template(
    "{apiVersion: agents.kruise.io/v1alpha1, kind: Sandbox, metadata: {name: a}, spec: {}}",
    "document 1: $.spec.template: missing"
)]
#[case::empty("# nothing\n", "stdin: contains no document")]
fn invalid_input_is_reported_by_file_document_and_path(
    #[case] input: &str,
    #[case] expected: &str,
) {
    for format in ["patch", "review", "yaml", "json", "diff", "explain"] {
        let output = stdin(&["-o", format], input);
        assert_code(&output, 2);
        assert!(
            stderr(&output).contains(expected),
            "{format}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_pod_of_the_wrong_shape_is_denied_with_its_field() {
    let output = stdin(
        &[],
        "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {agents.kruise.io/sandbox-pool: p}}, spec: {containers: 5}}",
    );
    assert_code(&output, 1);
    assert!(
        stderr(&output).contains("spec.containers: must be a list, not integer"),
        "{}",
        stderr(&output)
    );
    let empty = stdin(
        &[],
        "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {agents.kruise.io/sandbox-pool: p}}, spec: {}}",
    );
    assert_code(&empty, 1);
    assert!(
        stderr(&empty).contains("spec.containers: is empty"),
        "{}",
        stderr(&empty)
    );
}

#[test]
fn an_invalid_configuration_is_reported_by_key_path_and_fix() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("csi.json"),
        r#"{"csiSidecar": [{"name": "a", "image": "i:1", "volumeMount": []}]}"#,
    )
    .unwrap();
    let path = directory.path().to_str().unwrap();
    let output = dry_run(&["-f", POD, "--config-dir", path]);
    assert_code(&output, 2);
    let expected = "csi: $.csiSidecar[0].volumeMount: unknown field \"volumeMount\"; did you mean \"volumeMounts\"?";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let region = run(&["dry-run", "-f", POD]);
    assert_code(&region, 2);
    assert!(
        stderr(&region).contains("set --region-id or REGION_ID"),
        "{}",
        stderr(&region)
    );
}

#[rstest]
#[case::region(&["--self-signed", "--region-id", "CN_Hangzhou"], "is not a valid region")]
#[case::no_identity(&["--region-id", "r"], "required arguments were not provided")]
#[case::no_certificate(&["--tls-cert-dir", "/none", "--region-id", "r"], "no certificate: /none/tls.crt")]
#[case::no_region(&["--self-signed"], "set --region-id or REGION_ID")]
#[case::bad_file(&["--self-signed", "--config-file", POD], "not a ConfigMap (kind is \"Pod\")")]
#[case::ca_out(&["--self-signed", "--region-id", "r", "--ca-out", "/none/ca.crt"], "cannot write --ca-out")]
fn serve_reports_why_it_cannot_start(#[case] arguments: &[&str], #[case] expected: &str) {
    let output = run(&[
        &[
            "serve",
            "--bind",
            "127.0.0.1:0",
            "--metrics-bind",
            "127.0.0.1:0",
        ],
        arguments,
    ]
    .concat());
    assert_code(&output, 2);
    let errors = stderr(&output);
    let error = errors
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_else(|| panic!("{errors}"));
    assert!(error.contains(expected), "{errors}");
}

#[test]
fn a_port_in_use_is_reported_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&[
        "serve",
        "--self-signed",
        "--region-id",
        "r",
        "--bind",
        &address,
        "--metrics-bind",
        "127.0.0.1:0",
    ]);
    assert_code(&output, 2);
    let errors = stderr(&output);
    assert!(
        errors.contains(&format!("error: cannot listen on {address} (--bind)")),
        "{errors}"
    );
}

#[test]
fn help_has_examples_and_unknown_flags_exit_with_2() {
    for verb in ["serve", "dry-run", "check", "stale"] {
        let help = run(&[verb, "--help"]);
        assert_code(&help, 0);
        assert!(stdout(&help).contains("Examples:"), "{verb}");
    }
    assert_code(&run(&["dry-run", "--frobnicate"]), 2);
    assert_code(&run(&[]), 2);
    let version = run(&["version"]);
    assert_eq!(
        stdout(&version),
        format!("sandbox-injector {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(stdout(&run(&["completion", "bash"])).contains("complete -F"));
    assert_eq!(
        dry_run(&["-f", POD]).stdout,
        run(&["inject", "--region-id", "cn-hangzhou", "-f", POD]).stdout
    );
}
