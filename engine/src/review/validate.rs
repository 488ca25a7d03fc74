//! What `POST /validate` checks before the API server stores it: the configuration's ConfigMap, and
//! the storage annotations of OpenKruise Sandboxes and SandboxClaims.
//!
//! It must never stand in the way of what it has no business with: another object, an update that
//! leaves the checked part as it was, an object that is being deleted.

mod config_map;
mod storage;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Envelope;
use super::decode::{MalformedReview, RawReview, Request};
use super::refusal::{Denial, Refusal};
use crate::config::config_map::ConfigMapName;
use crate::config::region::Region;
use crate::inject::decision::Cause;
use crate::pod::JsonFault;
use crate::systems::kruise::{self, KruiseKind};

/// So many reasons are listed; nobody reads more at once.
const MAX_REASONS: usize = 50;

/// What is validated, and how.
#[derive(Debug, Clone, Default)]
pub struct ValidationRules {
    /// The one ConfigMap that is looked at.
    pub config_map: ConfigMapName,
    /// Say, but never deny.
    pub report_only: bool,
}

/// What a validation found.
#[derive(Debug)]
pub struct Validation<'r> {
    /// What a response and a log line repeat of the review.
    pub envelope: Envelope<'r>,
    /// What the review is about, if it is something that is validated.
    pub kind: Option<ValidatedKind>,
    /// Why the object is refused, if it is.
    pub denial: Option<Denial<'static>>,
    /// What its author should know; holds field names and values of the configuration, never of a
    /// pod.
    pub warnings: Vec<String>,
}

/// A kind of object that is validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidatedKind {
    /// The configuration's ConfigMap.
    ConfigMap,
    /// An OpenKruise Sandbox.
    Sandbox,
    /// An OpenKruise SandboxClaim.
    SandboxClaim,
}

/// What there is to say about an object.
#[derive(Debug, Default)]
struct Remarks {
    causes: Vec<Cause>,
    warnings: Vec<String>,
}

impl Remarks {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.causes.push(Cause {
            field: field.into(),
            runtime: None,
            message: message.into(),
        });
    }

    fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }
}

/// An operation that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    Delete,
}

impl ValidatedKind {
    /// The kind as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ValidatedKind::ConfigMap => "ConfigMap",
            ValidatedKind::Sandbox => KruiseKind::Sandbox.as_str(),
            ValidatedKind::SandboxClaim => KruiseKind::SandboxClaim.as_str(),
        }
    }

    /// What the request is about, if it is any of them. Subresources, such as the status, are not
    /// validated.
    fn of(request: &Request<'_>, rules: &ValidationRules) -> Option<Self> {
        if request
            .sub_resource
            .as_deref()
            .is_some_and(|sub_resource| !sub_resource.is_empty())
        {
            return None;
        }
        let group = request.resource.group.as_deref().unwrap_or_default();
        match (group, request.resource.resource.as_deref()?) {
            ("", "configmaps") => {
                let ConfigMapName { namespace, name } = &rules.config_map;
                let same =
                    request.namespace() == namespace && request.name.as_deref() == Some(name);
                same.then_some(ValidatedKind::ConfigMap)
            }
            (kruise::GROUP, plural) => match KruiseKind::of_plural(plural)? {
                KruiseKind::Sandbox => Some(ValidatedKind::Sandbox),
                KruiseKind::SandboxClaim => Some(ValidatedKind::SandboxClaim),
                KruiseKind::SandboxSet | KruiseKind::SandboxTemplate => None,
            },
            _ => None,
        }
    }
}

impl RawReview<'_> {
    /// Checks the object of the review. A ConfigMap is checked as it would be loaded with `region`.
    ///
    /// # Errors
    ///
    /// The review does not hold the objects that it must.
    pub fn validate(
        &self,
        rules: &ValidationRules,
        region: Option<&Region>,
    ) -> Result<Validation<'_>, MalformedReview> {
        let envelope = self.request.envelope();
        let Some(kind) = ValidatedKind::of(&self.request, rules) else {
            return Ok(Validation {
                envelope,
                kind: None,
                denial: None,
                warnings: Vec::new(),
            });
        };
        let Remarks {
            mut causes,
            warnings,
        } = remarks(kind, self, rules, region)?;
        let left_out = causes.len().saturating_sub(MAX_REASONS);
        if left_out > 0 {
            causes.truncate(MAX_REASONS);
            let message = format!("and {left_out} more; fix these first");
            causes.push(Cause {
                field: "data".to_owned(),
                runtime: None,
                message,
            });
        }
        let denial = (!causes.is_empty()).then(|| Denial {
            kind: kind.as_str(),
            name: envelope.name.to_owned(),
            refusal: Refusal::Invalid(causes),
            decisions: Vec::new(),
        });
        Ok(Validation {
            envelope,
            kind: Some(kind),
            denial,
            warnings,
        })
    }
}

fn remarks(
    kind: ValidatedKind,
    review: &RawReview<'_>,
    rules: &ValidationRules,
    region: Option<&Region>,
) -> Result<Remarks, MalformedReview> {
    let change = match review.request.operation.as_deref() {
        Some("CREATE") => Change::Create,
        Some("UPDATE") => Change::Update,
        Some("DELETE") => Change::Delete,
        _ => return Ok(Remarks::default()),
    };
    let mut remarks = Remarks::default();
    if change == Change::Delete {
        if kind == ValidatedKind::ConfigMap {
            config_map::deleted(&rules.config_map, &mut remarks);
        }
        return Ok(remarks);
    }
    let old = object(review.old_object, "request.oldObject");
    let object = object(review.object, "request.object")?.ok_or(MalformedReview::NoObject)?;
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Ok(remarks);
    }
    let old = match change {
        Change::Update => old?.unwrap_or(Value::Null),
        Change::Create | Change::Delete => Value::Null,
    };
    match kind {
        ValidatedKind::ConfigMap => config_map::check(&object, &old, region, &mut remarks),
        ValidatedKind::Sandbox => storage::check(&["metadata"], &object, &old, &mut remarks),
        ValidatedKind::SandboxClaim => {
            storage::check(&["metadata", "spec"], &object, &old, &mut remarks);
        }
    }
    Ok(remarks)
}

fn object(raw: Option<&RawValue>, field: &'static str) -> Result<Option<Value>, MalformedReview> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    match serde_json::from_str(raw.get()) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        Ok(_) => Err(MalformedReview::NotAnObject { field }),
        Err(error) => Err(MalformedReview::Object {
            field,
            fault: JsonFault::of(&error),
        }),
    }
}
