//! The mount of a service account's token, which admission adds to every container, injected ones
//! included.
//!
//! It is known by what its volume really projects: the path or the name alone could be a tenant's.

use serde_json::{Value, json};

use super::normalize::{Kind, clean_path, normal};

/// Where ServiceAccount admission mounts its token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The volume of a mount that has the form of the token's; whether it is the token's depends on
/// [`is_token_volume`].
pub(crate) fn token_volume_name(mount: &Value) -> Option<&str> {
    let path = mount["mountPath"].as_str()?;
    if clean_path(path) != TOKEN_PATH {
        return None;
    }
    let name = mount["name"].as_str()?;
    (normal(Kind::Mount, mount)?
        == json!({"name": name, "mountPath": TOKEN_PATH, "readOnly": true}))
    .then_some(name)
}

/// Whether a volume is the projected one of
/// <https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken> exactly as ServiceAccount
/// admission writes it; only how long the token lives is the cluster's choice.
pub(crate) fn is_token_volume(volume: &Value) -> bool {
    let Some(mut found) = normal(Kind::Volume, volume) else {
        return false;
    };
    if let Some(token) = found.pointer_mut("/projected/sources/0/serviceAccountToken") {
        token
            .as_object_mut()
            .map(|token| token.shift_remove("expirationSeconds"));
    }
    let namespace = json!({"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}});
    let certificate = json!({"key": "ca.crt", "path": "ca.crt"});
    found.get("projected")
        == Some(&json!({"sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [certificate]}},
            {"downwardAPI": {"items": [namespace]}},
        ]}))
        && found.as_object().is_some_and(|fields| fields.len() == 2)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The mount as ServiceAccount admission adds it.
    pub(crate) fn token_mount(volume: &str) -> Value {
        json!({"name": volume, "mountPath": TOKEN_PATH, "readOnly": true})
    }

    /// The volume as ServiceAccount admission adds it.
    pub(crate) fn token_volume(name: &str) -> Value {
        json!({"name": name, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}})
    }

    #[test]
    fn the_token_is_known_by_what_its_volume_projects() {
        assert_eq!(token_volume_name(&token_mount("token")), Some("token"));
        assert!(is_token_volume(&token_volume("token")));
        assert!(!is_token_volume(&json!({"name": "token", "emptyDir": {}})));
        let mut other = token_volume("token");
        other["projected"]["sources"][1]["configMap"]["name"] = "other".into();
        assert!(!is_token_volume(&other));
        let mut elsewhere = token_mount("token");
        elsewhere["mountPath"] = "/var/run/secrets".into();
        assert_eq!(token_volume_name(&elsewhere), None);
    }
}
