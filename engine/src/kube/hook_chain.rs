//! Two commands in one: how an injected exec hook and the pod's own both run.
//!
//! A container has one handler for each lifecycle event, so two commands become one argument vector
//! for a shell. The pod's arguments stay positional parameters and the injected ones are quoted
//! into the script; both reach their programs exactly as they were given, and each runs in a
//! process of its own, so that neither an `exit` nor a `set -e` of one can skip the other.

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
    /// The script runs in the shell that the injected command names, as that one is known to be
    /// there, or in `sh`. It fails when either command fails, with the status of the one that
    /// did (the later one if both).
    pub fn new(injected: &[String], order: Order) -> Self {
        let shell = match injected {
            [shell, flag, _script] if is_shell(shell) && flag == "-c" => shell.clone(),
            _ => "sh".to_owned(),
        };
        let command = injected
            .iter()
            .map(|word| quote(word))
            .collect::<Vec<_>>()
            .join(" ");
        let (before, after) = order.script();
        Self {
            shell,
            script: [before, &command, after].concat(),
        }
    }

    /// The argument vector that runs both commands.
    pub fn argv(&self, pod: &[String]) -> Vec<String> {
        let head = [self.shell.as_str(), "-c", &self.script, "--"]
            .into_iter()
            .map(str::to_owned);
        head.chain(pod.iter().cloned()).collect()
    }

    /// Reads what [`Chain::argv`] wrote: the chain, of whatever command, and the pod's own command
    /// in it. `None` when `argv` is not a chain.
    pub fn parse(argv: &[String]) -> Option<Chained<'_>> {
        let [shell, flag, script, zero, own @ ..] = argv else {
            return None;
        };
        let is_script = |order: Order| {
            let (before, after) = order.script();
            script
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|command| !command.is_empty())
        };
        let is_chain = is_shell(shell)
            && flag == "-c"
            && zero == "--"
            && !own.is_empty()
            && (is_script(Order::InjectedFirst) || is_script(Order::PodFirst));
        is_chain.then_some(Chained { shell, script, own })
    }
}

/// A chain that was found in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chained<'v> {
    shell: &'v str,
    script: &'v str,
    /// The pod's own command.
    pub own: &'v [String],
}

impl Chained<'_> {
    /// Whether this is `chain` of some command of the pod. A shell is the same in every standard
    /// place.
    pub fn is_of(&self, chain: &Chain) -> bool {
        program(self.shell) == program(&chain.shell) && self.script == chain.script
    }
}

impl Order {
    /// What the script has before the injected command and after it: the one place that knows the
    /// form.
    fn script(self) -> (&'static str, &'static str) {
        match self {
            Order::InjectedFirst => ("(exec ", ") && exec \"$@\""),
            // A parameter and no variable holds the status: the container may have one of that
            // name.
            Order::PodFirst => ("(exec \"$@\"); set -- $?; (exec ", ") && exit \"$1\""),
        }
    }
}

/// The command of a hook, given in normal form, that has an exec handler and no other.
pub fn exec_command(hook: &Value) -> Option<Vec<String>> {
    let fields = hook.as_object().filter(|fields| fields.len() == 1)?;
    let words = fields.get("exec")?.get("command")?.as_array()?;
    words
        .iter()
        .map(|word| word.as_str().map(str::to_owned))
        .collect()
}

/// Whether two argument vectors are the same command: `/bin/bash -c X` and `bash -c X` are.
pub fn same_command(one: &[String], other: &[String]) -> bool {
    match (one, other) {
        ([first, rest @ ..], [second, others @ ..]) => {
            program(first) == program(second) && rest == others
        }
        (one, other) => one.is_empty() && other.is_empty(),
    }
}

/// A shell in a standard place, by its name alone; anything else as it is.
fn program(path: &str) -> &str {
    let name = path
        .strip_prefix("/usr")
        .unwrap_or(path)
        .strip_prefix("/bin/")
        .unwrap_or(path);
    if is_shell(name) { name } else { path }
}

fn is_shell(path: &str) -> bool {
    let name = path
        .strip_prefix("/usr")
        .unwrap_or(path)
        .strip_prefix("/bin/")
        .unwrap_or(path);
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
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_injected_command_is_quoted_and_the_pods_stays_as_it_is() {
        let chain = Chain::new(
            &argv(&["bash", "-c", "/mnt/envd/envd-run.sh"]),
            Order::InjectedFirst,
        );
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

    proptest! {
        #[test]
        fn a_chain_is_read_back_whatever_the_commands(
            injected in vec(any::<String>(), 1..5),
            own in vec(any::<String>(), 1..5),
        ) {
            for order in [Order::InjectedFirst, Order::PodFirst] {
                let chain = Chain::new(&injected, order);
                let argv = chain.argv(&own);
                let chained = Chain::parse(&argv).unwrap();
                prop_assert_eq!(chained.own, &own);
                prop_assert!(chained.is_of(&chain));
            }
        }
    }

    #[test]
    fn a_chain_is_recognised_whatever_the_pods_command() {
        let chain = Chain::new(&argv(&["bash", "-c", "x"]), Order::InjectedFirst);
        let is_in = |chain: &Chain, argv: &[String]| {
            Chain::parse(argv).is_some_and(|chained| chained.is_of(chain))
        };
        let mut made = chain.argv(&argv(&["echo"]));
        assert!(is_in(&chain, &made));
        made[0] = "/bin/bash".to_owned();
        assert!(is_in(&chain, &made));
        assert!(!is_in(
            &Chain::new(&argv(&["bash", "-c", "y"]), Order::InjectedFirst),
            &made
        ));
        assert!(!is_in(
            &Chain::new(&argv(&["bash", "-c", "x"]), Order::PodFirst),
            &made
        ));
        assert!(!is_in(&chain, &made[..4]));
    }

    #[test]
    fn a_command_of_the_pod_is_not_a_chain() {
        for command in [
            &["echo", "-c", "(exec a) && exec \"$@\"", "--", "b"][..],
            &["sh", "-c", "(exec a)", "--", "b"],
            &["sh", "-c", "(exec ) && exec \"$@\"", "--", "b"],
            &["sh", "-e", "(exec a) && exec \"$@\"", "--", "b"],
            &["sh", "-c", "(exec a) && exec \"$@\"", "b", "c"],
            &[],
        ] {
            assert_eq!(Chain::parse(&argv(command)), None, "{command:?}");
        }
    }

    #[test]
    fn a_shell_is_the_same_in_every_standard_place() {
        assert!(same_command(
            &argv(&["/bin/bash", "-c", "x"]),
            &argv(&["bash", "-c", "x"])
        ));
        assert!(same_command(
            &argv(&["/usr/bin/sh", "x"]),
            &argv(&["sh", "x"])
        ));
        assert!(!same_command(
            &argv(&["/opt/bin/bash", "x"]),
            &argv(&["bash", "x"])
        ));
        assert!(!same_command(
            &argv(&["/bin/echo", "x"]),
            &argv(&["echo", "x"])
        ));
        assert!(!same_command(&argv(&["bash", "x"]), &argv(&["sh", "x"])));
    }
}
