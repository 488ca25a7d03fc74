//! What `check` prints.

use std::fmt::Write;

use engine::config::finding::{Finding, Severity};
use engine::text::printable;
use serde_json::{Value, json};

use super::super::terminal::{Cell, RED, YELLOW, change, styled, table};
use super::replay::{Replay, ReplayedPod};
use super::{CheckReport, RuntimeReport};

/// Tables for people.
pub(super) fn text(report: &CheckReport, colours: bool) -> String {
    let CheckReport {
        source,
        findings,
        runtimes,
        replay,
    } = report;
    let mut out = String::new();
    if !findings.is_empty() {
        let rows: Vec<Vec<Cell>> = findings.iter().map(row).collect();
        out.push_str(&table(
            &["SEVERITY", "CODE", "RUNTIME", "PATH", "MESSAGE"],
            &rows,
            colours,
        ));
        out.push('\n');
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{source}: {}", counted(findings));
    if !runtimes.is_empty() {
        let rows: Vec<Vec<Cell>> = runtimes.iter().map(runtime).collect();
        out.push('\n');
        out.push_str(&table(
            &["RUNTIME", "REVISION", "PRIVILEGED"],
            &rows,
            colours,
        ));
    }
    if let Some(replay) = replay {
        out.push('\n');
        out.push_str(&replayed(replay, colours));
    }
    out
}

/// One object for machines.
pub(super) fn json(report: &CheckReport) -> String {
    let CheckReport {
        source,
        findings,
        runtimes,
        replay,
    } = report;
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let mut value = json!({
        "source": source,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        "runtimes": runtimes.iter().map(runtime_json).collect::<Vec<_>>(),
    });
    if let Some(replay) = replay {
        value["replay"] = json!({
            "against": replay.against,
            "pods": replay.pods,
            "different": replay.different.len(),
            "nowDenied": replay.now_denied(),
            "results": replay.different.iter().map(ReplayedPod::json).collect::<Vec<_>>(),
        });
    }
    format!("{value:#}\n")
}

fn row(finding: &Finding) -> Vec<Cell> {
    let Finding {
        code,
        severity,
        runtime,
        path: _,
        message,
    } = finding;
    let style = match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
    };
    vec![
        Cell::styled(severity.to_string(), style),
        Cell::plain(code.as_str()),
        Cell::plain(if runtime.is_empty() { "-" } else { runtime }),
        Cell::plain(if finding.path.is_none() {
            "-".to_owned()
        } else {
            finding.place()
        }),
        Cell::plain(message),
    ]
}

fn finding(finding: &Finding) -> Value {
    let Finding {
        code,
        severity,
        runtime,
        path: _,
        message,
    } = finding;
    json!({"severity": severity, "code": code.as_str(), "runtime": runtime, "path": finding.place(),
        "message": message, "page": code.page()})
}

fn counted(findings: &[Finding]) -> String {
    let count = |severity, word: &str| {
        let count = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        match count {
            0 => format!("no {word}s"),
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        }
    };
    format!(
        "{}, {}",
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning")
    )
}

fn runtime(runtime: &RuntimeReport) -> Vec<Cell> {
    let RuntimeReport {
        name,
        revision,
        privileged,
        allowed,
        restricted_by,
    } = runtime;
    let privileged = match allowed {
        None => Cell::plain("no"),
        Some(allowed) => {
            let text = format!("yes, {allowed}: {}", privileged.join(", "));
            if restricted_by.is_empty() {
                Cell::styled(text, YELLOW)
            } else {
                Cell::plain(text)
            }
        }
    };
    vec![
        Cell::plain(name),
        Cell::plain(
            revision
                .as_deref()
                .unwrap_or("(unknown until --region-id is set)"),
        ),
        privileged,
    ]
}

fn runtime_json(runtime: &RuntimeReport) -> Value {
    let RuntimeReport {
        name,
        revision,
        privileged,
        allowed: _,
        restricted_by,
    } = runtime;
    json!({"name": name, "revision": revision, "privileged": privileged, "restrictedBy": restricted_by})
}

fn replayed(replay: &Replay, colours: bool) -> String {
    let Replay {
        against,
        pods,
        different,
        ..
    } = replay;
    let now_denied = replay.now_denied();
    let mut out = format!(
        "Replayed {pods} sandbox {} against {against}: {} would change, {} newly denied.\n",
        if *pods == 1 { "pod" } else { "pods" },
        different.len(),
        now_denied,
    );
    for pod in different {
        let ReplayedPod {
            place,
            outcomes: [before, after],
            reasons,
            changes,
            ..
        } = pod;
        let outcome = if before == after {
            (*before).to_owned()
        } else {
            format!("{before} -> {after}")
        };
        let _ = writeln!(out, "\n{}: {outcome}", printable(place));
        for reason in reasons {
            let _ = writeln!(out, "  {}", styled(reason, RED, colours));
        }
        for field in changes {
            out.push_str(&change(&field.to_string(), colours));
        }
    }
    out
}
