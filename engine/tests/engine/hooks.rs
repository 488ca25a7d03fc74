//! Chained lifecycle hooks, run for real: what two commands do together, against what each does
//! alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use engine::config::Config;
use engine::review::decide::Settings;
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::oracles::webhook::{apply, post, review};
use super::repository;

/// Arguments that a careless shell would change.
const ARGUMENTS: [&str; 31] = [
    "a b",
    " ",
    "",
    "it's",
    "''",
    "\"quoted\"",
    "$HOME",
    "${x}",
    "$(id)",
    "`id`",
    "two\nlines",
    "last line\n",
    "\t",
    "*",
    "?",
    "[a-z]",
    "~",
    "-n",
    "--",
    "-",
    "--flag=a b",
    "\\",
    "end\\",
    "!",
    "#x",
    ";",
    "&&",
    "> x",
    "{a,b}",
    "a=b",
    "é",
];

/// A directory with programs that write down how they were called.
struct Stubs {
    directory: TempDir,
}

/// What a run left behind: the calls in order, each a program with its arguments, and the exit
/// status.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ran {
    calls: Vec<Vec<String>>,
    status: i32,
}

impl Stubs {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Links, because a program that was only just written cannot always be run: another test's
        // process may have it open still.
        for name in ["injected", "pods"] {
            symlink(
                repository::path("testdata/hooks/recorder"),
                directory.path().join(name),
            )
            .unwrap();
        }
        fs::write(directory.path().join("unreadable"), "no program").unwrap();
        Self { directory }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Runs a command as the kubelet would: without a shell around it.
    fn run(&self, argv: &[String], statuses: [i32; 2]) -> Ran {
        fs::write(self.log(), "").unwrap();
        let path = std::env::join_paths(
            std::iter::once(self.directory.path().to_owned())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let status = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(self.directory.path())
            .env("PATH", path.unwrap())
            .env("LOG", self.log())
            .env("STATUS_injected", statuses[0].to_string())
            .env("STATUS_pods", statuses[1].to_string())
            .env("status", "of the container")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let status = match status {
            Ok(status) => status.code().expect("it ended by itself"),
            // As a shell says it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 127,
            Err(_) => 126,
        };
        let log = fs::read_to_string(self.log()).unwrap();
        let calls = log.split_terminator('\u{1e}');
        Ran {
            calls: calls
                .map(|call| call.split('\u{1f}').map(str::to_owned).collect())
                .collect(),
            status,
        }
    }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

fn with_arguments(program: &str) -> Vec<String> {
    std::iter::once(program)
        .chain(ARGUMENTS)
        .map(str::to_owned)
        .collect()
}

/// The command that the webhook makes of an injected one and the pod's.
fn chained(hook: &str, injected: &[String], pods: &[String]) -> Vec<String> {
    let runtime = json!({"mainContainer": {"lifecycle": {hook: {"exec": {"command": injected}}}}});
    let config =
        Config::load(&[("tools", runtime.to_string())].into(), None).expect("a good configuration");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "demo", "labels": {"agents.kruise.io/sandbox-pool": "demo"},
            "annotations": {"sandbox-injector.io/runtimes": "tools"}},
        "spec": {"containers": [{"name": "main", "lifecycle": {hook: {"exec": {"command": pods}}}}]}
    });
    let answered = post(
        review(&pod).to_string().as_bytes(),
        &config,
        &Settings::default(),
    );
    let after = apply(&pod, &answered.patch.expect("a patch"));
    let command = after
        .pointer(&format!("/spec/containers/0/lifecycle/{hook}/exec/command"))
        .expect("a command");
    command
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_str)
        .map(|word| word.unwrap().to_owned())
        .collect()
}

/// The same command in every shell that its name may stand for here.
fn in_shells(argv: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![argv.to_vec()];
    if argv[0] == "sh" {
        for shell in ["bash", "dash"] {
            if Command::new(shell).args(["-c", ":"]).status().is_ok() {
                let mut other = argv.to_vec();
                shell.clone_into(&mut other[0]);
                all.push(other);
            }
        }
    }
    all
}

/// What both should do together, from what each does alone.
fn expected(hook: &str, injected: &Ran, pods: &Ran) -> Ran {
    let (first, second) = if hook == "postStart" {
        (injected, pods)
    } else {
        (pods, injected)
    };
    let goes_on = hook == "preStop" || first.status == 0;
    let mut calls = first.calls.clone();
    if goes_on {
        calls.extend(second.calls.clone());
    }
    let status = if goes_on && second.status != 0 {
        second.status
    } else {
        first.status
    };
    Ran { calls, status }
}

fn check(hook: &str, injected: &[String], pods: &[String], statuses: [i32; 2]) {
    let stubs = Stubs::new();
    let (one, other) = (stubs.run(injected, statuses), stubs.run(pods, statuses));
    for argv in in_shells(&chained(hook, injected, pods)) {
        let ran = stubs.run(&argv, statuses);
        assert_eq!(
            ran,
            expected(hook, &one, &other),
            "{hook} of {statuses:?}: {argv:?}"
        );
    }
}

/// The injected command in every form, with the arguments that a careless shell would change.
fn forms() -> Vec<Vec<String>> {
    let script = format!(
        "injected {}",
        ARGUMENTS
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .join(" ")
    );
    let mut forms: Vec<Vec<String>> = ["bash", "sh", "/bin/bash", "/usr/bin/env"]
        .iter()
        .map(|shell| match *shell {
            "/usr/bin/env" => words(&["/usr/bin/env", "bash", "-c", &script]),
            shell => words(&[shell, "-c", &script]),
        })
        .collect();
    forms.push(words(&["bash", "-e", "-c", &script]));
    forms.push(words(&[
        "bash",
        "-c",
        "injected \"$0\" \"$@\"",
        "zero",
        "a b",
        "",
    ]));
    forms.push(with_arguments("injected"));
    forms
}

#[rstest]
fn both_commands_run_in_order_with_their_arguments_unchanged(
    #[values("postStart", "preStop")] hook: &str,
) {
    for injected in forms() {
        let stubs = Stubs::new();
        let ran = stubs.run(&injected, [0, 0]);
        assert_eq!((ran.calls.len(), ran.status), (1, 0), "{injected:?}");
        check(hook, &injected, &with_arguments("pods"), [0, 0]);
        check(
            hook,
            &injected,
            &words(&["sh", "-c", "pods \"$@\"", "zero", "a  b", "*"]),
            [0, 0],
        );
    }
    let ran = Stubs::new().run(&chained(hook, &forms()[0], &with_arguments("pods")), [0, 0]);
    let mut calls = vec![with_arguments("injected"), with_arguments("pods")];
    if hook == "preStop" {
        calls.reverse();
    }
    assert_eq!(ran, Ran { calls, status: 0 });
}

#[rstest]
fn the_hook_fails_if_either_command_fails(#[values("postStart", "preStop")] hook: &str) {
    for statuses in [[0, 0], [3, 0], [0, 4], [3, 4], [255, 1]] {
        for injected in [
            words(&["bash", "-c", "injected now"]),
            words(&["injected", "now"]),
        ] {
            check(hook, &injected, &words(&["pods", "now"]), statuses);
        }
    }
    let injected = words(&["bash", "-c", "injected"]);
    let run = |statuses| Stubs::new().run(&chained(hook, &injected, &words(&["pods"])), statuses);
    let calls = |names: &[&str]| names.iter().map(|name| words(&[name])).collect::<Vec<_>>();
    if hook == "postStart" {
        assert_eq!(
            run([3, 4]),
            Ran {
                calls: calls(&["injected"]),
                status: 3
            }
        );
        assert_eq!(
            run([0, 4]),
            Ran {
                calls: calls(&["injected", "pods"]),
                status: 4
            }
        );
    } else {
        assert_eq!(
            run([3, 4]),
            Ran {
                calls: calls(&["pods", "injected"]),
                status: 3
            }
        );
        assert_eq!(
            run([0, 4]),
            Ran {
                calls: calls(&["pods", "injected"]),
                status: 4
            }
        );
    }
}

#[rstest]
fn no_script_can_skip_or_break_the_other_command(
    #[values("postStart", "preStop")] hook: &str,
    #[values(
        "exit 0",
        "injected; exit 0; injected",
        "exit 7",
        "set -e; injected; false; true",
        "set -eu; injected \"$#\"",
        "injected # a comment",
        "injected # it's ( \"unbalanced } `",
        "injected \\",
        "injected \"a\\\nb\"",
        "cat > here <<END\n$HOME ' \" ( }\nEND\ninjected \"$(wc -l < here)\"",
        "cat <<'END'\nthe end is missing",
        "injected $0 \"$@\" $status",
        "exec injected",
        "injected & wait",
        "cd / && injected",
        "trap 'injected trap' EXIT; injected",
        "f() { return 5; }; f",
        "status=9; export status; injected",
        "set -- x y; shift; injected \"$@\"",
        "injected 'unterminated",
        ")",
        "&& injected",
        "",
        "\n\n",
        ":",
        "missing-program",
        "injected '\u{7f}\u{1}'"
    )]
    script: &str,
) {
    for shell in ["bash", "sh"] {
        let injected = words(&[shell, "-c", script]);
        check(hook, &injected, &words(&["pods", "after all", ""]), [0, 0]);
        check(
            hook,
            &injected,
            &words(&[shell, "-c", "pods $status; exit 6"]),
            [0, 0],
        );
    }
    check(
        hook,
        &words(&["injected", script]),
        &words(&["sh", "-c", script]),
        [0, 0],
    );
}

#[rstest]
#[case::missing(&["/nowhere/at-all", "x"])]
#[case::not_executable(&["./unreadable"])]
#[case::builtin(&["exit", "0"])]
fn a_command_that_cannot_start_fails_as_it_would_alone(
    #[values("postStart", "preStop")] hook: &str,
    #[case] command: &[&str],
) {
    check(hook, &words(command), &words(&["pods"]), [0, 0]);
    check(
        hook,
        &words(&["bash", "-c", "injected"]),
        &words(command),
        [0, 0],
    );
}

#[rstest]
fn chaining_again_changes_nothing(#[values("postStart", "preStop")] hook: &str) {
    for injected in forms() {
        let runtime =
            json!({"mainContainer": {"lifecycle": {hook: {"exec": {"command": injected}}}}});
        let config = Config::load(&[("tools", runtime.to_string())].into(), None).unwrap();
        let command = chained(hook, &injected, &with_arguments("pods"));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "demo", "labels": {"agents.kruise.io/sandbox-pool": "demo"},
                "annotations": {"sandbox-injector.io/runtimes": "tools"}},
            "spec": {"containers": [{"name": "main", "lifecycle": {hook: {"exec": {"command": command}}}}]}
        });
        let mut settings = Settings::default();
        settings.injection.status_annotation = false;
        let answered = post(review(&pod).to_string().as_bytes(), &config, &settings);
        assert_eq!(answered.patch, None, "{injected:?}");
    }
}
