//! From a verdict to the bytes of an AdmissionReview response, written once into one buffer.

use std::io::Write as _;

use serde_json::json;

use super::decide::{Decided, Verdict};
use super::refusal::Denial;
use super::validate::Validation;
use crate::config::Runtime;
use crate::json_text::{write_escaped, write_text};
use crate::patch::{self, Operation};
use crate::text::{LINE, NAME, printable, shown};

/// The API server drops a warning with a control character and cuts long ones; this many characters
/// are kept.
const WARNING_CHARS: usize = 120;
/// As many warnings as stay below the API server's total of 4096 characters.
const WARNINGS: usize = 30;
/// Bytes around a patch: the uid, and audit annotations for some runtimes.
const ENVELOPE: usize = 512;

/// Writes the response to the review `uid`. With `report_only` nothing is patched or denied, only
/// said.
pub fn write(uid: &str, decided: &Decided<'_>, report_only: bool) -> Vec<u8> {
    let (denial, plan) = match &decided.verdict {
        Verdict::Ignored(_) => (None, None),
        Verdict::Injected(plan) => (None, Some(plan)),
        Verdict::Denied(denial) => (Some(denial), None),
    };
    let patch: &[Operation<'_>] = match plan {
        Some(plan) if !report_only => &plan.operations,
        _ => &[],
    };
    let warnings = plan.map_or(&[][..], |plan| &plan.warnings);
    let mut out = Vec::with_capacity(ENVELOPE + patch::encoded_size_hint(patch));
    write_head(uid, denial.filter(|_| !report_only), &mut out);
    if !patch.is_empty() {
        out.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
        patch::write_encoded(patch, &mut out);
        out.push(b'"');
    }
    write_warnings(warnings, denial.filter(|_| report_only), &mut out);
    write_audit_annotations(decided, &mut out);
    out.extend_from_slice(b"}}");
    out
}

/// Writes the response to a review of an object that is allowed or denied and never patched.
pub fn write_validation(validation: &Validation<'_>, report_only: bool) -> Vec<u8> {
    let Validation {
        envelope,
        denial,
        warnings,
        kind: _,
    } = validation;
    let denial = denial.as_ref();
    let mut out = Vec::with_capacity(ENVELOPE);
    write_head(envelope.uid, denial.filter(|_| !report_only), &mut out);
    write_warnings(warnings, denial.filter(|_| report_only), &mut out);
    out.extend_from_slice(b"}}");
    out
}

fn write_head(uid: &str, denial: Option<&Denial<'_>>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#,
    );
    write_text(uid, out);
    match denial {
        Some(denial) => {
            out.extend_from_slice(br#","allowed":false,"status":"#);
            out.extend_from_slice(status(denial).to_string().as_bytes());
        }
        None => out.extend_from_slice(br#","allowed":true"#),
    }
}

/// The status of a denial: reason, code and causes as the API server's own validation writes them.
fn status(denial: &Denial<'_>) -> serde_json::Value {
    let Denial {
        kind,
        name,
        refusal,
        decisions: _,
    } = denial;
    let causes: Vec<_> = refusal
        .causes()
        .iter()
        .map(|cause| {
            let runtime = cause
                .runtime
                .as_ref()
                .map(|runtime| format!("runtime {runtime}: "))
                .unwrap_or_default();
            json!({
                "reason": "FieldValueInvalid",
                "field": shown(&cause.field, LINE),
                "message": shown(&format!("sandbox-injector: {runtime}{}", cause.message), LINE),
            })
        })
        .collect();
    let mut details = json!({"name": shown(name, NAME), "kind": kind});
    if !causes.is_empty() {
        details["causes"] = causes.into();
    }
    if let Some(seconds) = refusal.retry_after_seconds() {
        details["retryAfterSeconds"] = seconds.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": refusal.code(),
        "reason": refusal.reason(),
        "message": refusal.message(),
        "details": details,
    })
}

/// Writes `warnings`, and what would have been denied if anything were.
fn write_warnings(warnings: &[String], unenforced: Option<&Denial<'_>>, out: &mut Vec<u8>) {
    let reasons: Vec<String> = unenforced
        .iter()
        .flat_map(|denial| denial.refusal.lines())
        .map(|line| format!("would be denied: {line}"))
        .collect();
    let warnings: Vec<&String> = warnings.iter().chain(&reasons).collect();
    if warnings.is_empty() {
        return;
    }
    out.extend_from_slice(br#","warnings":["#);
    let left_out = warnings.len().saturating_sub(WARNINGS);
    for (index, warning) in warnings.iter().take(WARNINGS).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(
            &cut(&format!("sandbox-injector: {}", printable(warning))),
            out,
        );
    }
    if left_out > 0 {
        out.push(b',');
        write_text(
            &format!("sandbox-injector: and {left_out} more warnings"),
            out,
        );
    }
    out.push(b']');
}

/// What goes into the audit log; the API server puts the webhook's name before each key.
fn write_audit_annotations(decided: &Decided<'_>, out: &mut Vec<u8>) {
    let Some(by) = decided.by else { return };
    out.extend_from_slice(br#","auditAnnotations":{"decided-by":"#);
    write_text(by.as_str(), out);
    out.extend_from_slice(br#","runtimes":"#);
    write_names(&decided.runtimes, out, |runtime, out| {
        write_escaped(&runtime.name, out);
    });
    if let Verdict::Injected(plan) = &decided.verdict {
        out.extend_from_slice(br#","revisions":"#);
        write_names(&decided.runtimes, out, |runtime, out| {
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
    format!(
        "{}...",
        warning.get(..WARNING_CHARS - 3).unwrap_or_default()
    )
}
