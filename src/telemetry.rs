//! Logging: one line per event on stderr, as text or JSON.
//!
//! Stdout belongs to results. What is logged elsewhere must never contain a pod's body, a patch or
//! an environment value; here that is why a panic is logged by its place and never by its message,
//! which may quote what was parsed.

mod fields;
mod last_warning;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};

pub(crate) use last_warning::LastWarning;
pub use queue::LogWriter;
use thiserror::Error;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

/// What is logged when neither the flag nor `RUST_LOG` says so.
const DEFAULT_FILTER: &str = "info";

/// The client of the API server logs every failed request as an error of its own. The caller of the
/// request logs what became of it, and says it once, so this is left out unless a filter names the
/// client.
const SILENCED: (&str, &str) = ("kube_client", "kube_client::client=off");

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people: time, level, message, fields.
    #[default]
    Text,
    /// For collectors: one JSON object per line
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter cannot be parsed.
    #[error(
        "{origin}: {text:?} is not a valid log filter: {source}; use a level such as info, or sandbox_injector=debug"
    )]
    Filter {
        /// Where the filter came from: the flag or the variable.
        origin: &'static str,
        /// The filter as given.
        text: String,
        /// What the parser says.
        source: ParseError,
    },
    /// Logging was set up before.
    #[error("logging is already set up: {0}")]
    Installed(#[from] TryInitError),
    /// The thread that writes the log could not be started.
    #[error("cannot start the log thread: {0}")]
    Thread(#[from] io::Error),
}

/// Sends events to stderr for as long as the writer lives. `level` (`--log-level`) goes before the
/// variable `RUST_LOG`, both before `info`. Colours are used on a terminal only, and not when
/// `NO_COLOR` is set to anything.
///
/// # Errors
/// When the filter does not parse, when no thread can be started, or when called twice.
pub fn init(format: LogFormat, level: Option<&str>) -> Result<LogWriter, TelemetryError> {
    let (origin, text) = match level {
        Some(level) => ("--log-level", level.to_owned()),
        None => match std::env::var("RUST_LOG") {
            Ok(filter) if !filter.trim().is_empty() => ("RUST_LOG", filter),
            _ => ("the default", DEFAULT_FILTER.to_owned()),
        },
    };
    let (client, off) = SILENCED;
    let whole = if text.contains(client) {
        text.clone()
    } else {
        format!("{text},{off}")
    };
    let filter = EnvFilter::try_new(whole).map_err(|source| TelemetryError::Filter {
        origin,
        text,
        source,
    })?;
    let (writer, queue) = LogWriter::start(io::stderr())?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(queue).with_target(false);
            match colours() {
                true => registry.with(layer).try_init()?,
                false => registry
                    .with(layer.with_ansi(false).fmt_fields(fields::Plain))
                    .try_init()?,
            }
        }
        LogFormat::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(queue);
            registry.with(layer).try_init()?;
        }
    }
    Ok(writer)
}

/// Whether stderr may be coloured (<https://no-color.org>: any non-empty value forbids it).
fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && io::stderr().is_terminal()
}

/// Makes a panic one log line that says where, instead of the default text that quotes the message:
/// in a server that message may contain what a tenant sent. With `RUST_BACKTRACE` set, the line
/// carries the stack.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(%place, %backtrace, "panic; its message is withheld");
        } else {
            tracing::error!(%place, "panic; its message is withheld");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_names_the_flag() {
        let error = init(LogFormat::Text, Some("a=b=c"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("--log-level: \"a=b=c\" is not a valid log filter"),
            "{error}"
        );
    }
}
