//! What `POST /validate` checks before the API server stores it: the configuration's ConfigMap, and the storage
//! annotations of OpenKruise Sandboxes and SandboxClaims.
//!
//! Pure: a review in, a response out. It must never stand in the way of what it has no business with: another
//! object, an update that leaves the checked part as it was, an object that is being deleted.

mod config_map;
mod storage;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::config_map::ConfigMapName;
use crate::config::region::Region;
use crate::inject::decision::Cause;
use crate::review::decide::Denied;
use crate::review::decode::{self, Malformed, RawReview, Request};
use crate::review::respond;
use crate::systems::kruise::{self, KruiseKind};

/// So many reasons are listed; nobody reads more at once.
const REASONS: usize = 50;

/// What is validated, and how.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The one ConfigMap that is looked at.
    pub config_map: ConfigMapName,
    /// Say, but never deny.
    pub report_only: bool,
}

/// A decided review.
#[derive(Debug)]
pub struct Answer {
    /// The response's bytes.
    pub body: Vec<u8>,
    /// The review's uid.
    pub uid: String,
    /// What the review is about, if it is something that is validated.
    pub subject: Option<&'static str>,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Why it is refused.
    pub denied: Option<Denied<'static>>,
    /// What its author should know; holds field names and values of the configuration, never of a pod.
    pub warnings: Vec<String>,
}

/// What there is to say about an object.
#[derive(Debug, Default)]
struct Remarks {
    causes: Vec<Cause>,
    warnings: Vec<String>,
}

impl Remarks {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.causes.push(Cause { field: field.into(), runtime: None, message: message.into() });
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

/// A kind of object that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    ConfigMap,
    Sandbox,
    SandboxClaim,
}

impl Subject {
    fn kind(self) -> &'static str {
        match self {
            Subject::ConfigMap => "ConfigMap",
            Subject::Sandbox => "Sandbox",
            Subject::SandboxClaim => "SandboxClaim",
        }
    }

    /// What the review is about, if it is any of them. Subresources, such as the status, are none.
    fn of(request: &Request<'_>, rules: &Rules) -> Option<Self> {
        let text = |text: &Option<crate::pod::Text<'_>>| text.as_deref().unwrap_or_default().to_owned();
        if !text(&request.sub_resource).is_empty() {
            return None;
        }
        let resource = &request.resource;
        match (text(&resource.group).as_str(), text(&resource.resource).as_str()) {
            ("", "configmaps") => {
                let ConfigMapName { namespace, name } = &rules.config_map;
                let same = request.namespace() == namespace && text(&request.name) == *name;
                same.then_some(Subject::ConfigMap)
            }
            (kruise::GROUP, plural) => match KruiseKind::of_plural(plural)? {
                KruiseKind::Sandbox => Some(Subject::Sandbox),
                KruiseKind::SandboxClaim => Some(Subject::SandboxClaim),
                KruiseKind::SandboxSet | KruiseKind::SandboxTemplate => None,
            },
            _ => None,
        }
    }
}

/// Answers the review in `body`; an error is a body that is no review, and is answered with a 400.
///
/// The ConfigMap is checked as it would be loaded with `region`.
pub fn validate(body: &[u8], rules: &Rules, region: Option<&Region>) -> Result<Answer, Malformed> {
    let review = decode::decode_raw(body)?;
    let request = &review.request;
    let subject = Subject::of(request, rules);
    let remarks = match subject {
        Some(subject) => remarks(subject, &review, rules, region)?,
        None => Remarks::default(),
    };
    let name = request.name.as_deref().unwrap_or_default().to_owned();
    let Remarks { mut causes, warnings } = remarks;
    let left_out = causes.len().saturating_sub(REASONS);
    if left_out > 0 {
        causes.truncate(REASONS);
        let message = format!("and {left_out} more; fix these first");
        causes.push(Cause { field: "data".to_owned(), runtime: None, message });
    }
    let kind = subject.map_or("", Subject::kind);
    let denied = (!causes.is_empty()).then(|| Denied::invalid(kind, name.clone(), causes));
    let body = respond::write_validation(&request.uid, denied.as_ref(), &warnings, rules.report_only);
    Ok(Answer {
        body,
        uid: request.uid.0.clone().into_owned(),
        subject: subject.map(Subject::kind),
        namespace: request.namespace().to_owned(),
        name,
        denied,
        warnings,
    })
}

fn remarks(
    subject: Subject,
    review: &RawReview<'_>,
    rules: &Rules,
    region: Option<&Region>,
) -> Result<Remarks, Malformed> {
    let change = match review.request.operation.as_deref() {
        Some("CREATE") => Change::Create,
        Some("UPDATE") => Change::Update,
        Some("DELETE") => Change::Delete,
        _ => return Ok(Remarks::default()),
    };
    let mut remarks = Remarks::default();
    if change == Change::Delete {
        if subject == Subject::ConfigMap {
            config_map::deleted(&rules.config_map, &mut remarks);
        }
        return Ok(remarks);
    }
    let old = object(review.old_object, "request.oldObject");
    let object = object(review.object, "request.object")?.ok_or_else(|| {
        Malformed("request.object: is missing; a CREATE or UPDATE review has the object there".to_owned())
    })?;
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Ok(remarks);
    }
    let old = match change {
        Change::Update => old?.unwrap_or(Value::Null),
        Change::Create | Change::Delete => Value::Null,
    };
    match subject {
        Subject::ConfigMap => config_map::check(&object, &old, region, &mut remarks),
        Subject::Sandbox => storage::check(&["metadata"], &object, &old, &mut remarks),
        Subject::SandboxClaim => storage::check(&["metadata", "spec"], &object, &old, &mut remarks),
    }
    Ok(remarks)
}

fn object(raw: Option<&RawValue>, field: &str) -> Result<Option<Value>, Malformed> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(None) };
    match serde_json::from_str(raw.get()) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        Ok(_) => Err(Malformed(format!("{field}: must be an object"))),
        Err(error) => Err(Malformed(format!("{field}: {}", crate::pod::reason(&error)))),
    }
}
