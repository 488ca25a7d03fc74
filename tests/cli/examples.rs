//! Every example's pod, as `dry-run` shows it. `UPDATE_GOLDEN=1 cargo test --test cli examples`
//! rewrites what is expected.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What the pool's example needs beside the default runtimes.
const POOL: &str = "opensandbox-pool.yaml";

fn names(directory: &str, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

fn after_injection(name: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-injector"));
    command.args([
        "dry-run",
        "-o",
        "yaml",
        "--region-id",
        "cn-zhangjiakou",
        "-f",
    ]);
    command
        .arg(format!("manifests/examples/{name}"))
        .env_remove("KUBECONFIG");
    if name == POOL {
        command.args([
            "--config-dir",
            "manifests/components/shared-workspace/runtimes",
        ]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_pods_of_every_example_are_unchanged() {
    let examples = names("manifests/examples", ".yaml");
    assert!(examples.len() >= 6);
    for name in &examples {
        let pods = after_injection(name);
        let golden = Path::new("testdata/examples").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &pods).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(
            pods,
            expected,
            "{name}: UPDATE_GOLDEN=1 rewrites {}",
            golden.display()
        );
        assert!(
            pods.contains("sandbox-injector.io/status"),
            "{name}: nothing is injected"
        );
    }
    assert_eq!(
        names("testdata/examples", ".yaml"),
        examples,
        "left-overs in testdata/examples"
    );
}

#[test]
fn the_examples_readme_names_every_example() {
    let readme = fs::read_to_string("manifests/examples/README.md").unwrap();
    for name in names("manifests/examples", ".yaml") {
        assert!(readme.contains(&format!("[{name}]({name})")), "{name}");
    }
}
