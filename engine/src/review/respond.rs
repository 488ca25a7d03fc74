//! From a verdict to the bytes of an AdmissionReview response, written once into one buffer.

use std::io::Write as _;

use serde_json::json;

use super::decide::{Denied, Outcome, Verdict};
use crate::config::Runtime;
use crate::patch::{self, Operation, write_escaped, write_text};
use crate::text::{LINE, NAME, printable, shown};

/// The API server drops a warning with a control character and cuts long ones; this many characters are kept.
const WARNING_CHARS: usize = 120;
/// As many warnings as stay below the API server's total of 4096 characters.
const WARNINGS: usize = 30;
/// Bytes around a patch: the uid, and audit annotations for some runtimes.
const ENVELOPE: usize = 512;

/// Writes the response to the review `uid`. With `report_only` nothing is patched or denied, only said.
pub fn write(uid: &str, verdict: &Verdict<'_>, report_only: bool) -> Vec<u8> {
    let patch: &[Operation<'_>] = match &verdict.outcome {
        Outcome::Injected(plan) if !report_only => &plan.operations,
        _ => &[],
    };
    let denied = match &verdict.outcome {
        Outcome::Denied(denied) => Some(denied),
        _ => None,
    };
    let warnings = match &verdict.outcome {
        Outcome::Injected(plan) => plan.warnings.as_slice(),
        _ => &[],
    };
    let mut out = Vec::with_capacity(ENVELOPE + patch::encoded_size_hint(patch));
    write_head(uid, denied.filter(|_| !report_only), &mut out);
    if !patch.is_empty() {
        out.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
        patch::write_encoded(patch, &mut out);
        out.push(b'"');
    }
    write_warnings(warnings, denied.filter(|_| report_only), &mut out);
    write_audit_annotations(verdict, &mut out);
    out.extend_from_slice(b"}}");
    out
}

/// Writes the response to a review that is allowed or denied and never patched.
pub fn write_validation(
    uid: &str,
    denied: Option<&Denied<'_>>,
    warnings: &[String],
    report_only: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE);
    write_head(uid, denied.filter(|_| !report_only), &mut out);
    write_warnings(warnings, denied.filter(|_| report_only), &mut out);
    out.extend_from_slice(b"}}");
    out
}

fn write_head(uid: &str, denied: Option<&Denied<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#,
    );
    write_text(uid, out);
    match denied {
        Some(denied) => {
            out.extend_from_slice(br#","allowed":false,"status":"#);
            out.extend_from_slice(status(denied).to_string().as_bytes());
        }
        None => out.extend_from_slice(br#","allowed":true"#),
    }
}

/// The status of a denial: reason, code and causes as the API server's own validation writes them.
fn status(denied: &Denied) -> serde_json::Value {
    let causes: Vec<_> = denied
        .causes
        .iter()
        .map(|cause| {
            let runtime =
                cause.runtime.as_ref().map(|runtime| format!("runtime {runtime}: ")).unwrap_or_default();
            json!({
                "reason": "FieldValueInvalid",
                "field": shown(&cause.field, LINE),
                "message": shown(&format!("sandbox-injector: {runtime}{}", cause.message), LINE),
            })
        })
        .collect();
    let mut details = json!({"name": shown(&denied.name, NAME), "kind": denied.kind});
    if !causes.is_empty() {
        details["causes"] = causes.into();
    }
    if let Some(seconds) = denied.retry_after_seconds {
        details["retryAfterSeconds"] = seconds.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": denied.code,
        "reason": denied.reason,
        "message": denied.message(),
        "details": details,
    })
}

/// Writes `warnings`, and what would have been denied if anything were.
fn write_warnings(warnings: &[String], unenforced: Option<&Denied<'_>>, out: &mut Vec<u8>) {
    let denial: Vec<String> = unenforced
        .iter()
        .flat_map(|denied| denied.lines())
        .map(|line| format!("would be denied: {line}"))
        .collect();
    let warnings: Vec<&String> = warnings.iter().chain(&denial).collect();
    if warnings.is_empty() {
        return;
    }
    out.extend_from_slice(br#","warnings":["#);
    let left_out = warnings.len().saturating_sub(WARNINGS);
    for (index, warning) in warnings.iter().take(WARNINGS).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(&cut(&format!("sandbox-injector: {}", printable(warning))), out);
    }
    if left_out > 0 {
        out.push(b',');
        write_text(&format!("sandbox-injector: and {left_out} more warnings"), out);
    }
    out.push(b']');
}

/// What goes into the audit log; the API server puts the webhook's name before each key.
fn write_audit_annotations(verdict: &Verdict<'_>, out: &mut Vec<u8>) {
    let Some(by) = verdict.decided_by else { return };
    out.extend_from_slice(br#","auditAnnotations":{"decided-by":"#);
    write_text(by.as_str(), out);
    out.extend_from_slice(br#","runtimes":"#);
    write_names(&verdict.runtimes, out, |runtime, out| write_escaped(&runtime.name, out));
    if let Outcome::Injected(plan) = &verdict.outcome {
        out.extend_from_slice(br#","revisions":"#);
        write_names(&verdict.runtimes, out, |runtime, out| {
            write_escaped(&runtime.name, out);
            out.push(b'=');
            out.extend_from_slice(runtime.revision().as_bytes());
        });
        // Writing into memory has no way to fail.
        let _ = write!(out, r#","kept":"{}""#, plan.kept());
    }
    out.push(b'}');
}

/// Writes what `write` says of each runtime, with commas between them, as one JSON string.
fn write_names(runtimes: &[&Runtime], out: &mut Vec<u8>, write: impl Fn(&Runtime, &mut Vec<u8>)) {
    out.push(b'"');
    for (index, runtime) in runtimes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(runtime, out);
    }
    if runtimes.is_empty() {
        out.extend_from_slice(b"none");
    }
    out.push(b'"');
}

fn cut(warning: &str) -> String {
    if warning.len() <= WARNING_CHARS {
        return warning.to_owned();
    }
    // Only ASCII gets here, so bytes are characters.
    format!("{}...", warning.get(..WARNING_CHARS - 3).unwrap_or_default())
}
