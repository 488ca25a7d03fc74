//! `-o explain`: what decided for each pod, and what happened to each item and why.

use std::fmt::Write;

use anstyle::Style;
use engine::annotations::STATUS_ANNOTATION;
use engine::inject::Mark;
use engine::inject::decision::Action;
use engine::review::decide::{Decided, Ignored, Settings, Verdict};
use engine::systems::{SANDBOX_LABELS, SandboxLabel};
use engine::text::printable;
use engine::workload::InputPod;

use super::super::terminal::{Cell, GREEN, PLAIN, RED, YELLOW, table};

/// One pod, explained.
pub(super) struct Explained {
    /// The pod, its outcome, and what decided.
    heading: String,
    /// Sentences below the heading.
    notes: Vec<String>,
    /// Runtime, field, action and reason of every item.
    rows: Vec<Vec<Cell>>,
}

/// Explains one verdict.
pub(super) fn explain(
    subject: &InputPod,
    creator: Option<&str>,
    decided: &Decided<'_>,
    settings: &Settings,
) -> Explained {
    let name = if subject.origin.name.is_empty() {
        "(no name)"
    } else {
        &subject.origin.name
    };
    let outcome = decided.verdict.as_str();
    let runtimes: Vec<&str> = decided
        .runtimes
        .iter()
        .map(|runtime| runtime.name.as_str())
        .collect();
    let by = decided.by.map_or(String::new(), |by| {
        let runtimes = if runtimes.is_empty() {
            "none".to_owned()
        } else {
            runtimes.join(", ")
        };
        format!("; runtimes: {runtimes} (decided by: {by})")
    });
    let heading = printable(&format!(
        "{} {}/{name}: {outcome}{by}",
        subject.origin.kind, subject.namespace
    ));
    let mut notes = Vec::new();
    match &decided.verdict {
        Verdict::Ignored(Ignored::NotASandbox) => {
            let known = SANDBOX_LABELS
                .iter()
                .map(|SandboxLabel { key, value, .. }| {
                    value.map_or_else(|| (*key).to_owned(), |value| format!("{key}={value}"))
                });
            let labels: Vec<String> = known
                .chain(
                    settings
                        .selection
                        .pod_labels
                        .iter()
                        .map(ToString::to_string),
                )
                .collect();
            notes.push(format!(
                "No sandbox label found. Expected one of: {}.",
                labels.join(", ")
            ));
        }
        Verdict::Ignored(why) => notes.push(format!("Nothing injected: {}.", why.as_str())),
        Verdict::Denied(denial) => notes.extend(denial.refusal.lines()),
        // No runtime requests the mark, so no row has it.
        Verdict::Injected(plan) => match plan.mark {
            Some(Mark::Added) => notes.push(format!("Adds the annotation {STATUS_ANNOTATION}.")),
            Some(Mark::Replaced) => {
                notes.push(format!("Updates the annotation {STATUS_ANNOTATION}."));
            }
            None => {}
        },
    }
    let privileged = decided
        .runtimes
        .iter()
        .any(|runtime| !runtime.privileged.is_empty());
    let known_creator = creator.is_some() || subject.review.is_some();
    if privileged && !settings.privileged.creators.is_empty() && !known_creator {
        notes.push(
            "--privileged-creators was not checked; pass --as USER to simulate the creator."
                .to_owned(),
        );
    }
    // The engine decides list by list; people read runtime by runtime.
    let mut decisions: Vec<_> = decided.decisions().iter().collect();
    decisions.sort_by_key(|decision| {
        decided
            .runtimes
            .iter()
            .position(|runtime| runtime.name == decision.runtime)
    });
    let rows = decisions.iter().map(|decision| {
        vec![
            Cell::plain(decision.runtime),
            Cell::plain(printable(&decision.place.to_string())),
            Cell::styled(decision.action.to_string(), style(decision.action)),
            Cell::plain(decision.why.as_deref().map(printable).unwrap_or_default()),
        ]
    });
    Explained {
        heading,
        notes,
        rows: rows.collect(),
    }
}

/// The text for all pods, with the columns aligned per pod.
pub(super) fn text(explained: &[Explained], colours: bool) -> String {
    let mut text = String::new();
    for (
        index,
        Explained {
            heading,
            notes,
            rows,
        },
    ) in explained.iter().enumerate()
    {
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
        for line in table(&["RUNTIME", "FIELD", "ACTION", "WHY"], rows, colours).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn style(action: Action) -> Style {
    match action {
        Action::Added => GREEN,
        Action::Chained | Action::Kept => YELLOW,
        Action::Conflict => RED,
        Action::Unchanged => PLAIN,
    }
}
