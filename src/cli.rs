//! The command line: one thin file per verb.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 a negative verdict, 2
//! a failure.

mod certs;
mod check;
mod dry_run;
mod flags;
mod input;
mod offline;
mod serve;
mod stale;
mod terminal;

use std::error::Error;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Injects storage and runtime sidecars into agent-sandbox pods: as a mutating admission webhook
/// for Kubernetes, or offline.
#[derive(Debug, Parser)]
#[command(
    name = "sandbox-injector",
    version,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the webhook
    Serve(Box<serve::Serve>),
    /// Show offline what the webhook would do to pods, reviews and templates
    #[command(alias = "inject")]
    DryRun(Box<dry_run::DryRun>),
    /// Show what is wrong or risky in a configuration, and what changing it would do
    Check(Box<check::Check>),
    /// Find pods injected with a configuration other than the current one
    Stale(Box<stale::Stale>),
    /// Create a CA and a serving certificate, for clusters without cert-manager
    Certs(Box<certs::Certs>),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// An error that ends the run; printed in one line, exit code 2.
#[derive(Debug)]
struct Failure(String);

/// The errors of this program and of the engine say all that a person needs in their own line, and
/// keep what they stand on for code; so that line is enough.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Runs a verb that calls a cluster, or might.
fn block_on(verb: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(verb)
}

/// Exit code 1: the run succeeded, and its verdict is negative.
const NEGATIVE: u8 = 1;
/// Exit code 2: the run failed.
const FAILED: u8 = 2;

/// Runs the verb that the process was started with.
pub fn run() -> ExitCode {
    let Cli { verb } = Cli::parse();
    let result = match verb {
        Verb::Serve(serve) => serve.run(),
        Verb::DryRun(dry_run) => dry_run.run(),
        Verb::Check(check) => check.run(),
        Verb::Stale(stale) => stale.run(),
        Verb::Certs(certs) => certs.run(),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sandbox-injector", &mut script);
            terminal::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
        Verb::Version => terminal::print(concat!(
            "sandbox-injector ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ))
        .map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|Failure(message)| {
        terminal::eprint_line(&format!("error: {message}"));
        ExitCode::from(FAILED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
