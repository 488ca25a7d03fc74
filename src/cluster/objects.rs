//! The OpenKruise kinds, as far as they are read: which object it is, and the names in its
//! `spec.runtimes`.
//!
//! Everything else in the object is skipped while parsing, so a new field or version changes
//! nothing here.

use engine::systems::kruise::{GROUP, KruiseKind};
use serde::Deserialize;

use super::api::MalformedAnswer;

/// Which object an answer contains.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    uid: String,
}

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    runtimes: Option<Vec<Runtime>>,
}

#[derive(Debug, Deserialize)]
struct Runtime {
    name: String,
}

/// The runtimes that the object in `json` declares; `None` when its uid is not the wanted one.
pub(super) fn declared(
    kind: KruiseKind,
    name: &str,
    uid: Option<&str>,
    json: &[u8],
) -> Result<Option<Vec<String>>, MalformedAnswer> {
    let head: Head = read(json)?;
    let group = head.api_version.split('/').next();
    if group != Some(GROUP) || head.kind != kind.as_str() || head.metadata.name != name {
        return Err(MalformedAnswer::OtherObject);
    }
    if uid.is_some_and(|uid| uid != head.metadata.uid) {
        return Ok(None);
    }
    let Body { spec } = read(json)?;
    let runtimes = spec.unwrap_or_default().runtimes.unwrap_or_default();
    Ok(Some(
        runtimes.into_iter().map(|runtime| runtime.name).collect(),
    ))
}

fn read<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, MalformedAnswer> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    Ok(serde_path_to_error::deserialize(&mut reader)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sandbox(spec: &Value) -> Vec<u8> {
        json!({"apiVersion": "agents.kruise.io/v1beta7", "kind": "Sandbox", "spec": spec,
            "metadata": {"name": "a", "uid": "1", "managedFields": []}})
        .to_string()
        .into_bytes()
    }

    #[rstest]
    #[case::none(json!({}), &[])]
    #[case::null(json!({"runtimes": null}), &[])]
    #[case::no_spec(json!(null), &[])]
    #[case::some(json!({"template": {}, "runtimes": [{"name": "csi", "config": {"x": [1]}}, {"name": "x"}]}), &["csi", "x"])]
    fn runtimes_are_read_by_name(#[case] spec: Value, #[case] expected: &[&str]) {
        let names = declared(KruiseKind::Sandbox, "a", Some("1"), &sandbox(&spec))
            .unwrap()
            .unwrap();
        assert_eq!(names, expected);
        assert_eq!(
            declared(KruiseKind::Sandbox, "a", Some("2"), &sandbox(&spec)).unwrap(),
            None
        );
    }

    #[rstest]
    #[case::no_list(json!({"runtimes": "csi"}), "$.spec.runtimes: must be a sequence, not string")]
    #[case::no_name(json!({"runtimes": [{"name": "a"}, {}]}), "$.spec.runtimes[1]: missing field")]
    #[case::no_object(json!({"runtimes": ["csi"]}), "$.spec.runtimes[0]: ")]
    #[case::no_text(json!({"runtimes": [{"name": 1}]}), "$.spec.runtimes[0]")]
    fn a_malformed_answer_is_reported_with_its_path(#[case] spec: Value, #[case] expected: &str) {
        let error = declared(KruiseKind::Sandbox, "a", None, &sandbox(&spec))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn another_object_is_not_an_answer() {
        assert!(declared(KruiseKind::SandboxSet, "a", None, &sandbox(&json!({}))).is_err());
        assert!(declared(KruiseKind::Sandbox, "b", None, &sandbox(&json!({}))).is_err());
        assert!(declared(KruiseKind::Sandbox, "a", None, b"<html>").is_err());
    }
}
