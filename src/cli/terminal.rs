//! Writing results to stdout and complaints to stderr.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use super::Failure;

/// Writes a result to stdout. Whoever closed the pipe has seen enough: that is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left of the output has no reader either.
            std::process::exit(0)
        }
        Err(error) => Err(Failure(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to stderr; there is nowhere left to complain that it failed.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Whether stdout may be coloured (<https://no-color.org>).
pub(super) fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && std::io::stdout().is_terminal()
}

/// The exit code of a run in which `failed` things could not be done and `negative` ones got a no.
pub(super) fn exit_code(failed: bool, negative: bool) -> ExitCode {
    match (failed, negative) {
        (true, _) => ExitCode::from(super::FAILED),
        (false, true) => ExitCode::from(super::NEGATIVE),
        (false, false) => ExitCode::SUCCESS,
    }
}
