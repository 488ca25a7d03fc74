//! From the bytes of an AdmissionReview to a request.
//!
//! The usual review is decoded in one pass. Only when that fails is it read again, more slowly, to distinguish a body
//! that is not a review (a 400) from a review whose pod is malformed (a denial that names the field).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::pod::{Pod, ShapeError, Text, from_object, from_object_alone, from_object_or_null, reason};

/// Nesting beyond this is no Kubernetes object; serde_json's own limit for decoded values.
const MAX_DEPTH: usize = 128;

/// A body that is no AdmissionReview, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// `AdmissionReview.request`, as far as it is read
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a, T> {
    /// Echoed in the response.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// What is asked about.
    #[serde(borrow, default)]
    pub resource: Resource<'a>,
    /// Set for `pods/status` and the like.
    #[serde(borrow, default)]
    pub sub_resource: Option<Text<'a>>,
    /// The object's name; missing where it is to be generated.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// The object's namespace.
    #[serde(borrow, default)]
    pub namespace: Option<Text<'a>>,
    /// CREATE, UPDATE, DELETE or CONNECT.
    #[serde(borrow, default)]
    pub operation: Option<Text<'a>>,
    /// Who asks.
    #[serde(borrow, default)]
    pub user_info: UserInfo<'a>,
    /// The object itself.
    #[serde(default = "none")]
    pub object: Option<T>,
    /// What it was before.
    #[serde(default = "none")]
    pub old_object: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// A group, version and resource.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct Resource<'a> {
    /// Empty for the core group.
    #[serde(borrow, default)]
    pub group: Option<Text<'a>>,
    /// Such as `v1`.
    #[serde(borrow, default)]
    pub version: Option<Text<'a>>,
    /// The plural, such as `pods`.
    #[serde(borrow, default)]
    pub resource: Option<Text<'a>>,
}

/// The authenticated user.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub struct UserInfo<'a> {
    /// Such as `system:serviceaccount:sandbox-system:controller`.
    #[serde(borrow, default)]
    pub username: Option<Text<'a>>,
}

from_object_alone!(Resource, UserInfo);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a, T> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(
        borrow = "'a",
        default = "none",
        deserialize_with = "from_object_or_null",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    request: Option<Request<'a, T>>,
}

/// What a review asks about.
#[derive(Debug)]
pub enum Subject<'a> {
    /// The creation of a pod.
    Pod(Box<Request<'a, Pod<'a>>>),
    /// The creation of something that claims to be a pod and is not shaped like one.
    NoPod(Box<Request<'a, &'a RawValue>>, ShapeError),
    /// Anything else; out of scope.
    Other(Text<'a>),
}

impl<T> Request<'_, T> {
    /// Whether this is the creation of a core/v1 pod.
    pub fn creates_pod(&self) -> bool {
        fn is(text: Option<&Text<'_>>, expected: &str) -> bool {
            text.map_or("", |text| text) == expected
        }
        is(self.operation.as_ref(), "CREATE")
            && is(self.resource.resource.as_ref(), "pods")
            && is(self.resource.version.as_ref(), "v1")
            && is(self.resource.group.as_ref(), "")
            && is(self.sub_resource.as_ref(), "")
    }

    /// The namespace, or the empty string.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// Decodes a review of a pod.
pub fn decode(body: &[u8]) -> Result<Subject<'_>, Malformed> {
    let text = text(body)?;
    match review::<Pod<'_>>(text) {
        Ok(Review { api_version, kind, request: Some(request) }) => {
            check_envelope(api_version.as_ref(), kind.as_ref(), &request.uid)?;
            if !request.creates_pod() {
                return Ok(Subject::Other(request.uid));
            }
            if request.object.is_none() {
                return Err(Malformed(
                    "request.object: is missing; a CREATE review has the pod there".to_owned(),
                ));
            }
            Ok(Subject::Pod(Box::new(request)))
        }
        _ => decode_slowly(text),
    }
}

/// Decodes a review of any object, which stays raw.
pub fn decode_raw(body: &[u8]) -> Result<Request<'_, &RawValue>, Malformed> {
    raw_request(text(body)?)
}

fn text(body: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Malformed(format!("body: not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.trim_ascii().is_empty() {
        return Err(Malformed("body: is empty; POST an AdmissionReview".to_owned()));
    }
    if is_too_deep(body) {
        return Err(Malformed(format!("body: nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(text)
}

fn review<'a, T: Deserialize<'a>>(text: &'a str) -> Result<Review<'a, T>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let review = from_object(&mut reader)?;
    reader.end()?;
    Ok(review)
}

fn raw_request(text: &str) -> Result<Request<'_, &RawValue>, Malformed> {
    let review = review::<&RawValue>(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Malformed(format!("body: not an AdmissionReview: {} (line {line}, column {column})", reason(&error)))
    })?;
    let Some(request) = review.request else {
        check_kind(review.api_version.as_ref(), review.kind.as_ref())?;
        return Err(Malformed("request: is missing; POST an AdmissionReview request".to_owned()));
    };
    check_envelope(review.api_version.as_ref(), review.kind.as_ref(), &request.uid)?;
    Ok(request)
}

fn decode_slowly(text: &str) -> Result<Subject<'_>, Malformed> {
    let request = raw_request(text)?;
    if !request.creates_pod() {
        return Ok(Subject::Other(request.uid));
    }
    let Some(object) = request.object else {
        return Err(Malformed("request.object: is missing; a CREATE review has the pod there".to_owned()));
    };
    match Pod::read(object.get()) {
        Err(shape) => Ok(Subject::NoPod(Box::new(request), shape)),
        // The pod is fine: something beside it was not, such as an oldObject of another shape.
        Ok(pod) => Ok(Subject::Pod(Box::new(Request {
            uid: request.uid,
            resource: request.resource,
            sub_resource: request.sub_resource,
            name: request.name,
            namespace: request.namespace,
            operation: request.operation,
            user_info: request.user_info,
            object: Some(pod),
            old_object: None,
        }))),
    }
}

fn check_envelope(
    api_version: Option<&Text<'_>>,
    kind: Option<&Text<'_>>,
    uid: &str,
) -> Result<(), Malformed> {
    check_kind(api_version, kind)?;
    if uid.is_empty() {
        return Err(Malformed("request.uid: is empty; the response must echo it".to_owned()));
    }
    Ok(())
}

fn check_kind(api_version: Option<&Text<'_>>, kind: Option<&Text<'_>>) -> Result<(), Malformed> {
    let is = |text: Option<&Text<'_>>, expected: &str| text.is_some_and(|text| **text == *expected);
    if is(api_version, "admission.k8s.io/v1") && is(kind, "AdmissionReview") {
        return Ok(());
    }
    Err(Malformed(
        "body: not an admission.k8s.io/v1 AdmissionReview; set admissionReviewVersions: [v1]".to_owned(),
    ))
}

/// Whether brackets nest deeper than [`MAX_DEPTH`].
///
/// Blocks are summed up first, strings included, which is fast and can only overrate the depth; the exact walk
/// runs only where a block could exceed the limit.
fn is_too_deep(body: &[u8]) -> bool {
    const BLOCK: usize = 64;
    let mut depth: usize = 0;
    for block in body.chunks(BLOCK) {
        // `[` and `{`, like `]` and `}`, differ in one bit.
        let opened: u8 = block.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum();
        let closed: u8 = block.iter().map(|byte| u8::from(byte | 0x20 == b'}')).sum();
        if depth + usize::from(opened) > MAX_DEPTH {
            return is_exactly_too_deep(body);
        }
        depth = (depth + usize::from(opened)).saturating_sub(usize::from(closed));
    }
    false
}

fn is_exactly_too_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &str) -> String {
        format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{request}}}"#)
    }

    fn create(object: &str) -> String {
        review(&format!(
            r#"{{"uid":"u","operation":"CREATE","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{object}}}"#
        ))
    }

    #[test]
    fn a_pod_of_the_wrong_shape_is_named_by_its_field() {
        let body = create(r#"{"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"},{"name":5}]}}"#);
        let Ok(Subject::NoPod(_, error)) = decode(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(error.field, "spec.containers[1]");
        assert_eq!(error.reason, "name: must be a string, not integer");
        let body = create(r#"{"spec":{}}"#);
        let Ok(Subject::NoPod(_, error)) = decode(body.as_bytes()) else { panic!("{body}") };
        assert_eq!(error.to_string(), "metadata: is missing");
    }

    #[test]
    fn what_is_no_review_is_refused_in_one_line() {
        for (body, expected) in [
            ("", "body: is empty; POST an AdmissionReview"),
            (" \n", "body: is empty; POST an AdmissionReview"),
            ("[]", "body: not an AdmissionReview: must be an object, not sequence"),
            (
                r#"["admission.k8s.io/v1","AdmissionReview",{"uid":"u"}]"#,
                "body: not an AdmissionReview: must be an object, not sequence",
            ),
            (&review(r#"["u"]"#), "body: not an AdmissionReview: must be an object, not sequence"),
            (
                &review(r#"{"uid":"u","resource":["","v1","pods"]}"#),
                "body: not an AdmissionReview: must be an object, not sequence",
            ),
            ("{}", "body: not an admission.k8s.io/v1 AdmissionReview"),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "request: is missing"),
            (&review(r#"{"uid":""}"#), "request.uid: is empty"),
            (&review("{}"), "body: not an AdmissionReview: missing field uid (line"),
            (&create("null"), "request.object: is missing"),
        ] {
            let error = decode(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{body}: {error}");
            assert!(!error.contains('\n'));
        }
        assert_eq!(decode(b"{\"a\":\"\xff\"}").unwrap_err().to_string(), "body: not UTF-8 at byte 6");
    }

    #[test]
    fn other_requests_pass_whatever_their_objects_look_like() {
        let body = review(
            r#"{"uid":"u","operation":"CREATE","resource":{"group":"apps","version":"v1","resource":"deployments"},"object":{"spec":7}}"#,
        );
        assert!(matches!(decode(body.as_bytes()), Ok(Subject::Other(_))));
        let body = review(
            r#"{"uid":"u","operation":"DELETE","resource":{"version":"v1","resource":"pods"},"object":null}"#,
        );
        assert!(matches!(decode(body.as_bytes()), Ok(Subject::Other(_))));
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        let deep = create(&format!(r#"{{"metadata":{{}},"x":{}{}}}"#, "[".repeat(200), "]".repeat(200)));
        assert!(decode(deep.as_bytes()).unwrap_err().to_string().contains("nested deeper"));
        let text = create(&format!(r#"{{"metadata":{{"name":"{}\"["}},"spec":{{}}}}"#, "[".repeat(200)));
        assert!(matches!(decode(text.as_bytes()), Ok(Subject::Pod(_))));
    }
}
