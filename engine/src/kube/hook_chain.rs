//! Two commands in one: how an injected exec hook and the pod's own both run.
//!
//! A container has one handler for each lifecycle event, so two commands become one argument vector for a
//! shell. The pod's arguments stay positional parameters and the injected ones are quoted into the script; both
//! reach their programs exactly as they were given, and each runs in a process of its own, so that neither an
//! `exit` nor a `set -e` of one can skip the other.

use serde_json::Value;

/// Which of the two commands runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// postStart: the injected command, then the pod's if it succeeded.
    InjectedFirst,
    /// preStop: the pod's command, then in any case the injected one, which has clean-up to do.
    PodFirst,
}

/// An injected command, ready to be chained with any pod's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    shell: String,
    script: String,
}

impl Chain {
    /// Prepares `injected` for chaining in `order`.
    ///
    /// The script runs in the shell that the injected command names, as that one is known to be there, or in
    /// `sh`. It fails when either command fails, with the status of the one that did (the later one if both).
    pub fn new(injected: &[String], order: Order) -> Self {
        let shell = match injected {
            [shell, flag, _script] if is_shell(shell) && flag == "-c" => shell.clone(),
            _ => "sh".to_owned(),
        };
        let command = injected.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let script = match order {
            Order::InjectedFirst => format!("(exec {command}) && exec \"$@\""),
            // A parameter and no variable holds the status: the container may have one of that name.
            Order::PodFirst => format!("(exec \"$@\"); set -- $?; (exec {command}) && exit \"$1\""),
        };
        Self { shell, script }
    }

    /// The argument vector that runs both commands.
    pub fn argv(&self, pod: &[String]) -> Vec<String> {
        let head = [self.shell.as_str(), "-c", &self.script, "--"].into_iter().map(str::to_owned);
        head.chain(pod.iter().cloned()).collect()
    }

    /// Whether `argv` is what [`Chain::argv`] makes of some command.
    pub fn is_in(&self, argv: &[String]) -> bool {
        matches!(argv, [shell, flag, script, zero, _, ..]
            if program(shell) == program(&self.shell) && flag == "-c" && *script == self.script && zero == "--")
    }
}

/// The command of a hook, given in normal form, that has an exec handler and no other.
pub fn exec_command(hook: &Value) -> Option<Vec<String>> {
    let fields = hook.as_object().filter(|fields| fields.len() == 1)?;
    let words = fields.get("exec")?.get("command")?.as_array()?;
    words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Whether two argument vectors are the same command: `/bin/bash -c X` and `bash -c X` are.
pub fn same_command(one: &[String], other: &[String]) -> bool {
    match (one, other) {
        ([first, rest @ ..], [second, others @ ..]) => program(first) == program(second) && rest == others,
        (one, other) => one.is_empty() && other.is_empty(),
    }
}

/// A shell in a standard place, by its name alone; anything else as it is.
fn program(path: &str) -> &str {
    let name = path.strip_prefix("/usr").unwrap_or(path).strip_prefix("/bin/").unwrap_or(path);
    if is_shell(name) { name } else { path }
}

fn is_shell(path: &str) -> bool {
    let name = path.strip_prefix("/usr").unwrap_or(path).strip_prefix("/bin/").unwrap_or(path);
    matches!(name, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh")
}

/// A word for a POSIX shell. Plain words stay readable.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_injected_command_is_quoted_and_the_pods_stays_as_it_is() {
        let chain = Chain::new(&argv(&["bash", "-c", "/mnt/envd/envd-run.sh"]), Order::InjectedFirst);
        assert_eq!(
            chain.argv(&argv(&["echo", "a b"])),
            argv(&[
                "bash",
                "-c",
                r#"(exec bash -c /mnt/envd/envd-run.sh) && exec "$@""#,
                "--",
                "echo",
                "a b"
            ])
        );
        let plain = Chain::new(&argv(&["/opt/stop it.sh", "don't", ""]), Order::PodFirst);
        assert_eq!(
            plain.argv(&argv(&["true"])),
            argv(&[
                "sh",
                "-c",
                r#"(exec "$@"); set -- $?; (exec '/opt/stop it.sh' 'don'\''t' '') && exit "$1""#,
                "--",
                "true"
            ])
        );
    }

    #[test]
    fn a_chain_is_recognised_whatever_the_pods_command() {
        let chain = Chain::new(&argv(&["bash", "-c", "x"]), Order::InjectedFirst);
        let mut made = chain.argv(&argv(&["echo"]));
        assert!(chain.is_in(&made));
        made[0] = "/bin/bash".to_owned();
        assert!(chain.is_in(&made));
        assert!(!Chain::new(&argv(&["bash", "-c", "y"]), Order::InjectedFirst).is_in(&made));
        assert!(!chain.is_in(&made[..4]));
    }

    #[test]
    fn a_shell_is_the_same_in_every_standard_place() {
        assert!(same_command(&argv(&["/bin/bash", "-c", "x"]), &argv(&["bash", "-c", "x"])));
        assert!(same_command(&argv(&["/usr/bin/sh", "x"]), &argv(&["sh", "x"])));
        assert!(!same_command(&argv(&["/opt/bin/bash", "x"]), &argv(&["bash", "x"])));
        assert!(!same_command(&argv(&["/bin/echo", "x"]), &argv(&["echo", "x"])));
        assert!(!same_command(&argv(&["bash", "x"]), &argv(&["sh", "x"])));
    }
}
