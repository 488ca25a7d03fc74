//! What documents quote of the program is what the program says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use support::apiserver::ApiServer;
use support::binary::{config_map, kubeconfig, run};
use support::process::Process;
use support::{client, eventually};

/// The files below a folder whose names the condition accepts.
fn files(folder: &Path, accepts: fn(&str) -> bool, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files(&path, accepts, out);
        } else if accepts(name) {
            out.push(path);
        }
    }
}

/// The texts between backticks.
fn quotes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The first column of README's table of symptoms, without the symptoms that Kubernetes reports.
fn symptoms() -> Vec<String> {
    let readme = fs::read_to_string("README.md").unwrap();
    let section = readme
        .split("\n## Troubleshooting\n")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let symptoms = rows.map(|row| row.split('|').nth(1).unwrap().trim().to_owned());
    symptoms
        .filter(|symptom| !symptom.starts_with("the pod "))
        .collect()
}

/// What `/readyz` says, once it contains the text.
async fn readyz(process: &Process, text: &str) -> String {
    eventually(text, async || {
        let answer = client::get(process.http, "/readyz").await.text().to_owned();
        answer.contains(text).then_some(answer)
    })
    .await
}

/// What `/readyz` says of a broken configuration, and of one that waits for a region that the node
/// does not name.
async fn reasons() -> String {
    let server = ApiServer::start().await;
    server.put(
        &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {}}}),
    );
    server.put(&config_map(&[(
        "csi",
        r#"{"csiSidecar": [{"name": "a", "image": "i:1", "ports": 1}]}"#,
    )]));
    let directory = kubeconfig(&server);
    let kubeconfig = directory.path().join("config").to_str().unwrap().to_owned();
    let process = Process::start(&[
        "--kubeconfig",
        &kubeconfig,
        "--config-map",
        "sandbox-system/sandbox-injection-config",
        "--node-name",
        "node-1",
    ])
    .await;
    let broken = readyz(&process, "csi: ").await;
    server.put(&config_map(&[(
        "csi",
        r#"{"labels": {"region": "<region-id>"}}"#,
    )]));
    broken + &readyz(&process, "region: ").await
}

#[tokio::test]
async fn the_messages_in_the_troubleshooting_table_are_the_programs() {
    let mut reports = Vec::new();
    files(
        Path::new("testdata/golden"),
        |name| name.starts_with("report."),
        &mut reports,
    );
    let mut said: Vec<String> = reports
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let denied = run(&[
        "dry-run",
        "-f",
        "testdata/reviews/01-kruise-sandboxset-pod.json",
        "--region-id",
        "cn-hangzhou",
        "--runtimes",
        "csi",
        "--privileged-creators",
        "nobody",
    ]);
    denied.assert_code(1);
    said.push(denied.stderr);
    said.push(reasons().await);

    let mut checked = 0;
    for symptom in symptoms() {
        for quote in quotes(&symptom)
            .into_iter()
            .filter(|quote| *quote != "/readyz")
        {
            assert!(
                said.iter().any(|text| text.contains(quote)),
                "nothing says {quote:?}: {:?}",
                said.last()
            );
            checked += 1;
        }
    }
    assert!(
        checked >= 6,
        "only {checked} messages were found in the table"
    );
}

/// The command lines of the program in a Markdown file: in backticks, or a line of a code block.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            let lines = part.replace("\\\n", " ");
            let lines = lines
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix("sandbox-injector "));
            commands.extend(lines.map(str::to_owned));
        } else {
            let quoted = quotes(part)
                .into_iter()
                .filter_map(|quote| quote.strip_prefix("sandbox-injector "));
            commands.extend(quoted.map(str::to_owned));
        }
    }
    commands
}

#[test]
fn documents_use_only_verbs_and_flags_that_exist() {
    let help = run(&["--help"]).stdout;
    let verbs = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let verbs = verbs
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let help: BTreeMap<&str, String> = verbs
        .map(|verb| (verb, run(&[verb, "--help"]).stdout))
        .collect();
    assert!(
        help.contains_key("serve") && help.contains_key("completion"),
        "{:?}",
        help.keys()
    );
    let mut documents = Vec::new();
    files(Path::new("."), |name| name.ends_with(".md"), &mut documents);
    let mut found = 0;
    for document in documents {
        for command in commands(&fs::read_to_string(&document).unwrap()) {
            let mut words = command.split_whitespace();
            let verb = words.next().unwrap();
            let flags = help
                .get(verb)
                .unwrap_or_else(|| panic!("{}: no verb {verb:?}", document.display()));
            for word in words.filter(|word| word.starts_with("--")) {
                let flag = word.split(['=', '`', '|', ';']).next().unwrap();
                let known = flags
                    .split([' ', '\n', ',', '=', '<', '['])
                    .any(|word| word == flag);
                assert!(known, "{}: {verb} has no flag {flag:?}", document.display());
            }
            found += 1;
        }
    }
    assert!(found > 10, "only {found} command lines");
}
