//! `-o explain`: for every pod who decided, and for every item what became of it and why.

use std::fmt::Write;

use super::super::decide::operations;
use engine::inject::STATUS_ANNOTATION;
use engine::inject::decision::Action;
use engine::review::decide::{Outcome, Passed, Settings, Verdict};
use engine::runtimes::SYSTEM_LABELS;
use engine::text::printable;
use engine::workload::Subject;

/// One pod, explained.
pub(super) struct Explained {
    /// Which pod, what became of it, and who decided.
    heading: String,
    /// Sentences below the heading.
    notes: Vec<String>,
    rows: Vec<[String; 4]>,
    actions: Vec<Action>,
}

/// Explains one verdict.
pub(super) fn explain(
    subject: &Subject,
    creator: Option<&str>,
    verdict: &Verdict<'_>,
    settings: &Settings,
) -> Explained {
    let name = if subject.origin.name.is_empty() { "(no name)" } else { &subject.origin.name };
    let outcome = verdict.outcome.as_str();
    let runtimes: Vec<&str> = verdict.runtimes.iter().map(|runtime| runtime.name.as_str()).collect();
    let by = verdict.decided_by.map_or(String::new(), |by| {
        let runtimes = if runtimes.is_empty() { "none".to_owned() } else { runtimes.join(", ") };
        format!("; runtimes: {runtimes} (decided by: {by})")
    });
    let heading = printable(&format!("{} {}/{name}: {outcome}{by}", subject.origin.kind, subject.namespace));
    let mut notes = Vec::new();
    match &verdict.outcome {
        Outcome::Passed(Passed::NotSandbox) => {
            let known = SYSTEM_LABELS.iter().map(|(_, key, value)| {
                value.map_or_else(|| (*key).to_owned(), |value| format!("{key}={value}"))
            });
            let labels: Vec<String> =
                known.chain(settings.rules.pod_labels.iter().map(ToString::to_string)).collect();
            notes.push(format!("No sandbox label found. Expected one of: {}.", labels.join(", ")));
        }
        Outcome::Passed(why) => notes.push(format!("Nothing injected: {}.", why.as_str())),
        Outcome::Denied(denied) => notes.extend(denied.lines()),
        // The mark is no item that a runtime asks for.
        Outcome::Injected(_) if operations(verdict).contains("sandbox-injector.io") => {
            notes.push(format!("Adds the annotation {STATUS_ANNOTATION}."));
        }
        Outcome::Injected(_) => {}
    }
    let privileged = verdict.runtimes.iter().any(|runtime| !runtime.privileged.is_empty());
    let known_creator = creator.is_some() || subject.review.is_some();
    if privileged && !settings.policy.creators.is_empty() && !known_creator {
        notes.push(
            "--privileged-creators was not checked; pass --as USER to simulate the creator.".to_owned(),
        );
    }
    // The engine decides list by list; a reader asks runtime by runtime.
    let mut decisions: Vec<_> = verdict.decisions().iter().collect();
    decisions
        .sort_by_key(|decision| verdict.runtimes.iter().position(|runtime| runtime.name == decision.runtime));
    let rows = decisions.iter().map(|decision| {
        let why = decision.why.as_deref().map(printable).unwrap_or_default();
        [
            decision.runtime.to_owned(),
            printable(&decision.field.to_string()),
            decision.action.to_string(),
            why,
        ]
    });
    let actions = decisions.iter().map(|decision| decision.action).collect();
    Explained { heading, notes, rows: rows.collect(), actions }
}

/// The text for all pods, columns aligned for each.
pub(super) fn table(explained: &[Explained], colours: bool) -> String {
    let mut text = String::new();
    for (index, Explained { heading, notes, rows, actions }) in explained.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{heading}");
        for note in notes {
            let _ = writeln!(text, "  {note}");
        }
        if rows.is_empty() {
            continue;
        }
        let header = ["RUNTIME", "FIELD", "ACTION", "WHY"].map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&header]).map(|row| row[column].len());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2)];
        let mut line = |row: &[String; 4], action: Option<Action>| {
            let [runtime, field, what, why] = row;
            let (on, off) = if colours { colour(action) } else { ("", "") };
            let cells = format!(
                "  {runtime:0$}  {field:1$}  {on}{what:2$}{off}  {why}",
                widths[0], widths[1], widths[2]
            );
            let _ = writeln!(text, "{}", cells.trim_end());
        };
        line(&header, None);
        for (row, action) in rows.iter().zip(actions) {
            line(row, Some(*action));
        }
    }
    text
}

fn colour(action: Option<Action>) -> (&'static str, &'static str) {
    match action {
        Some(Action::Added) => ("\x1b[32m", "\x1b[0m"),
        Some(Action::Chained | Action::Kept) => ("\x1b[33m", "\x1b[0m"),
        Some(Action::Conflict) => ("\x1b[31m", "\x1b[0m"),
        Some(Action::Unchanged) | None => ("", ""),
    }
}
