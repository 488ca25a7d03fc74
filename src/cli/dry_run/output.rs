//! What a dry run prints, in each format.

use engine::review::decide::{Decided, Ignored, Settings, Verdict};
use engine::review::respond;
use engine::text::printable;
use engine::workload::{InputPod, SkippedObject};
use engine::yaml;
use serde_json::{Value, json};
use similar::TextDiff;

use super::super::offline::{after, operations};
use super::super::terminal::{colours, eprint_line, print, style_of_change, styled};
use super::explain::{self, Explained};
use super::{DryRunFormat, Failure};

/// The output so far.
pub(super) struct DryRunReport<'s> {
    format: DryRunFormat,
    settings: &'s Settings,
    pods: Vec<Value>,
    explained: Vec<Explained>,
    printed: bool,
    failed: bool,
    denied: bool,
}

impl<'s> DryRunReport<'s> {
    pub(super) fn new(format: DryRunFormat, settings: &'s Settings) -> Self {
        Self {
            format,
            settings,
            pods: Vec::new(),
            explained: Vec::new(),
            printed: false,
            failed: false,
            denied: false,
        }
    }

    /// Something could not be read.
    pub(super) fn failed(&mut self, message: &str) {
        self.failed = true;
        eprint_line(&format!("error: {message}"));
    }

    /// A document does not stand for a pod.
    pub(super) fn passed(&mut self, place: &str, passed: &SkippedObject) {
        match &passed.review {
            Some(review) if self.format == DryRunFormat::Review => {
                self.response(&review.uid, &Decided::ignored(Ignored::NotAPod));
            }
            _ => eprint_line(&format!("note: {place}: {}", passed.note)),
        }
    }

    /// A pod was decided on.
    pub(super) fn decided(
        &mut self,
        place: &str,
        subject: &InputPod,
        creator: Option<&str>,
        decided: &Decided<'_>,
    ) -> Result<(), Failure> {
        for note in &subject.notes {
            eprint_line(&format!("note: {place}: {note}"));
        }
        if self.format == DryRunFormat::Explain {
            self.explained
                .push(explain::explain(subject, creator, decided, self.settings));
        }
        if self.format == DryRunFormat::Review {
            let uid = subject
                .review
                .as_ref()
                .map_or("", |review| review.uid.as_str());
            self.response(uid, decided);
        }
        if let Verdict::Denied(denial) = &decided.verdict {
            self.denied = true;
            for line in denial.refusal.lines() {
                eprint_line(&format!("denied: {place}: {line}"));
            }
            return Ok(());
        }
        if let Verdict::Injected(plan) = &decided.verdict {
            for warning in &plan.warnings {
                eprint_line(&format!("warning: {place}: {}", printable(warning)));
            }
        }
        let operations = operations(decided);
        match self.format {
            DryRunFormat::Patch => print(&format!("{operations}\n"))?,
            DryRunFormat::Yaml => {
                let separator = if self.printed { "---\n" } else { "" };
                print(&format!(
                    "{separator}{}",
                    yaml::to_string(&after(&subject.pod, &operations)?)
                ))?;
                self.printed = true;
            }
            DryRunFormat::Json => self.pods.push(after(&subject.pod, &operations)?),
            DryRunFormat::Diff => {
                let changed = after(&subject.pod, &operations)?;
                print(&diff(
                    place,
                    &yaml::to_string(&subject.pod),
                    &yaml::to_string(&changed),
                ))?;
            }
            DryRunFormat::Review | DryRunFormat::Explain => {}
        }
        Ok(())
    }

    /// Prints what needs the whole input; returns whether anything failed and whether a pod was
    /// denied.
    pub(super) fn finish(mut self) -> Result<(bool, bool), Failure> {
        match self.format {
            DryRunFormat::Json => {
                let value = match self.pods.len() {
                    0 => None,
                    1 => self.pods.pop(),
                    _ => Some(json!({"apiVersion": "v1", "kind": "List", "items": self.pods})),
                };
                if let Some(value) = value {
                    print(&format!("{value:#}\n"))?;
                }
            }
            DryRunFormat::Explain => print(&explain::text(&self.explained, colours()))?,
            _ => {}
        }
        Ok((self.failed, self.denied))
    }

    fn response(&mut self, uid: &str, decided: &Decided<'_>) {
        let response = respond::write(uid, decided, self.settings.report_only);
        if let Err(Failure(message)) = print(&format!("{}\n", String::from_utf8_lossy(&response))) {
            self.failed(&message);
        }
    }
}

fn diff(place: &str, before: &str, after: &str) -> String {
    if before == after {
        return format!("{place}: unchanged\n");
    }
    let diff = TextDiff::from_lines(before, after);
    let plain = diff
        .unified_diff()
        .context_radius(3)
        .header(place, "injected")
        .to_string();
    if !colours() {
        return plain;
    }
    plain
        .lines()
        .map(|line| format!("{}\n", styled(line, style_of_change(line), true)))
        .collect()
}
