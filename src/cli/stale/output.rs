//! What `stale` prints.

use std::fmt::Write;

use engine::inject::diff::Change;
use engine::text::printable;
use serde_json::{Value, json};

use super::super::terminal::{self, Cell, RED, YELLOW, change};
use super::compare::{StalePod, StaleRuntime, Staleness};

const COLUMNS: [&str; 6] = ["NAMESPACE", "POD", "RUNTIME", "STATE", "THEN", "NOW"];

/// One line per pod and runtime.
pub(super) fn table(stale: &[StalePod], colours: bool) -> String {
    let mut rows = Vec::new();
    for StalePod {
        namespace,
        name,
        runtimes,
        ..
    } in stale
    {
        for StaleRuntime {
            runtime,
            state,
            then,
            now,
        } in runtimes
        {
            let colour = if *state == Staleness::Removed {
                RED
            } else {
                YELLOW
            };
            let revision = |revision: &Option<String>| {
                Cell::plain(
                    revision
                        .as_deref()
                        .map_or_else(|| "-".to_owned(), printable),
                )
            };
            rows.push(vec![
                Cell::plain(printable(namespace)),
                Cell::plain(printable(name)),
                Cell::plain(printable(runtime)),
                Cell::styled(state.as_str(), colour),
                revision(then),
                revision(now),
            ]);
        }
    }
    terminal::table(&COLUMNS, &rows, colours)
}

/// What a new pod would have instead.
pub(super) fn diff(stale: &[StalePod], colours: bool) -> String {
    let mut out = String::new();
    for (
        index,
        StalePod {
            place,
            runtimes,
            reasons,
            changes,
            ..
        },
    ) in stale.iter().enumerate()
    {
        if index > 0 {
            out.push('\n');
        }
        let runtimes: Vec<String> = runtimes.iter().map(described).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}: {}",
            printable(place),
            printable(&runtimes.join(", "))
        );
        for reason in reasons {
            let _ = writeln!(out, "  a new pod would be denied: {reason}");
        }
        for field in changes {
            out.push_str(&change(&field.to_string(), colours));
        }
    }
    out
}

fn described(difference: &StaleRuntime) -> String {
    let StaleRuntime {
        runtime,
        state,
        then,
        now,
    } = difference;
    match (then, now) {
        (Some(then), Some(now)) => format!("{runtime} {} ({then} -> {now})", state.as_str()),
        _ => format!("{runtime} {}", state.as_str()),
    }
}

/// One object for machines.
pub(super) fn json(stale: &[StalePod], pods: usize) -> String {
    let stale: Vec<Value> = stale
        .iter()
        .map(|found| {
            let StalePod {
                place,
                namespace,
                name,
                runtimes,
                reasons,
                changes,
            } = found;
            let runtimes: Vec<Value> = runtimes
                .iter()
                .map(|StaleRuntime { runtime, state, then, now }| {
                    json!({"runtime": runtime, "state": state.as_str(), "then": then, "now": now})
                })
                .collect();
            let fields: Vec<Value> = changes.iter().map(Change::json).collect();
            json!({"place": place, "namespace": namespace, "name": name, "runtimes": runtimes,
                "reasons": reasons, "fields": fields})
        })
        .collect();
    format!("{:#}\n", json!({"pods": pods, "stale": stale}))
}
