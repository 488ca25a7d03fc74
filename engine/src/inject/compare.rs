//! The one comparison of items: does the pod's item say everything that the configuration's says?
//!
//! Both sides come as normal forms, so notation does not count as a difference here. Answers are
//! field names, never values.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::budget::{Budget, Exhausted};
use crate::kube::normalize::Kind;

/// How much more than the configuration's item the pod's item may say.
///
/// What others may add to a container of ours although it is privileged, by exact shape, is a
/// variant here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extras {
    /// Other fields and list items do not count as differences.
    Allowed,
    /// The pod's item holds nothing beyond the configuration's: what a privileged container
    /// demands.
    Refused,
}

/// The fields in which `found` differs from `wanted`; empty when they are equal. Charges a step for
/// each pair of values that is looked at and for each item of a list.
///
/// A path reads `env[NAME].value` or `volumeMounts[/mnt/envd]`.
pub(super) fn differences(
    kind: Kind,
    wanted: Option<&Value>,
    found: Option<&Value>,
    extras: Extras,
    budget: &mut Budget,
) -> Result<Vec<String>, Exhausted> {
    let mut comparison = Comparison {
        path: String::new(),
        fields: Vec::new(),
        budget,
    };
    comparison.compare(kind, wanted, found, extras)?;
    Ok(comparison.fields)
}

/// The fields in which two items of the configuration differ: more in either of them counts.
pub(super) fn disagreement(
    kind: Kind,
    one: Option<&Value>,
    other: Option<&Value>,
    budget: &mut Budget,
) -> Result<Vec<String>, Exhausted> {
    let found = differences(kind, one, other, Extras::Refused, budget)?;
    if found.is_empty() {
        differences(kind, other, one, Extras::Refused, budget)
    } else {
        Ok(found)
    }
}

/// A comparison under way.
struct Comparison<'b> {
    /// The field that is compared.
    path: String,
    /// The fields that differ.
    fields: Vec<String>,
    budget: &'b mut Budget,
}

impl Comparison<'_> {
    fn compare(
        &mut self,
        kind: Kind,
        wanted: Option<&Value>,
        found: Option<&Value>,
        extras: Extras,
    ) -> Result<(), Exhausted> {
        self.budget.steps(1)?;
        match (wanted, found) {
            (wanted, found) if wanted == found => {}
            (Some(Value::Object(wanted)), Some(Value::Object(found))) => {
                self.compare_objects(kind, wanted, found, extras)?;
            }
            (Some(Value::Array(wanted)), Some(Value::Array(found))) => match kind.identity() {
                Some(identity) => self.compare_items(kind, identity, wanted, found, extras)?,
                None => self.differs(),
            },
            _ => self.differs(),
        }
        Ok(())
    }

    fn compare_objects(
        &mut self,
        kind: Kind,
        wanted: &Map<String, Value>,
        found: &Map<String, Value>,
        extras: Extras,
    ) -> Result<(), Exhausted> {
        let extras = extras_inside(kind, extras);
        self.budget.steps(found.len())?;
        for (field, wanted) in wanted {
            let found = found.get(field);
            if kind == Kind::Container && field == "image" && same_image(wanted, found) {
                continue;
            }
            self.with_field(kind, field, |comparison| {
                let extras = extras_under(kind, field, extras);
                comparison.compare(kind.child(field), Some(wanted), found, extras)
            })?;
        }
        for (field, found) in found
            .iter()
            .filter(|(field, _)| !wanted.contains_key(*field))
        {
            let child = kind.child(field);
            self.with_field(kind, field, |comparison| match child {
                // Of amounts it depends on which; the object around them says nothing by itself.
                Kind::Resources | Kind::Amounts => {
                    let nothing = Value::Object(Map::new());
                    let extras = extras_under(kind, field, extras);
                    comparison.compare(child, Some(&nothing), Some(found), extras)
                }
                _ => {
                    if counts_as_difference(kind, field, extras) {
                        comparison.differs();
                    }
                    Ok(())
                }
            })?;
        }
        Ok(())
    }

    fn compare_items(
        &mut self,
        kind: Kind,
        identity: &str,
        wanted: &[Value],
        found: &[Value],
        extras: Extras,
    ) -> Result<(), Exhausted> {
        // A port number may be there once for each protocol.
        let key = |item: &'_ Value| {
            (
                item.get(identity).cloned(),
                item.get("protocol").filter(|_| kind == Kind::Port).cloned(),
            )
        };
        self.budget.steps(wanted.len() + found.len())?;
        // Of several items under one identity the last one is in force, as the kubelet reads env. A
        // map, because a tenant may write a list of any length.
        let in_force: HashMap<_, &Value> = found.iter().map(|item| (key(item), item)).collect();
        for item in wanted {
            let found = in_force.get(&key(item)).copied();
            self.with_item(item.get(identity), |comparison| {
                comparison.compare(kind, Some(item), found, extras)
            })?;
        }
        if extras == Extras::Refused {
            let mut left: HashSet<_> = wanted.iter().map(key).collect();
            for item in found {
                // Each that is wanted may be there once.
                if !left.remove(&key(item)) {
                    self.with_item(item.get(identity), |comparison| {
                        comparison.differs();
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn differs(&mut self) {
        self.fields.push(self.path.clone());
    }

    /// Goes on in a field of an object of `kind`.
    fn with_field(
        &mut self,
        kind: Kind,
        field: &str,
        visit: impl FnOnce(&mut Self) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let length = self.path.len();
        match kind {
            Kind::Amounts => self.path.extend(["[", field, "]"]),
            _ if self.path.is_empty() => self.path.push_str(field),
            _ => self.path.extend([".", field]),
        }
        let visited = visit(self);
        self.path.truncate(length);
        visited
    }

    /// Goes on in the item of a list that has this identity.
    fn with_item(
        &mut self,
        identity: Option<&Value>,
        visit: impl FnOnce(&mut Self) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let length = self.path.len();
        match identity {
            Some(Value::String(identity)) => self.path.extend(["[", identity, "]"]),
            Some(Value::Number(identity)) => self.path.push_str(&format!("[{identity}]")),
            _ => self.path.push_str("[]"),
        }
        let visited = visit(self);
        self.path.truncate(length);
        visited
    }
}

/// Whether extras count inside an object of this kind: a mount or a variable is one statement, not
/// a bag of fields, and so is a security context.
fn extras_inside(kind: Kind, extras: Extras) -> Extras {
    match kind {
        Kind::Env | Kind::Mount | Kind::Device | Kind::SecurityContext | Kind::Hook => {
            Extras::Refused
        }
        _ => extras,
    }
}

/// Whether extras count under a field of an object: the API server copies limits to requests.
fn extras_under(kind: Kind, field: &str, extras: Extras) -> Extras {
    if kind == Kind::Resources && field == "requests" {
        Extras::Allowed
    } else {
        extras
    }
}

fn counts_as_difference(kind: Kind, field: &str, extras: Extras) -> bool {
    match kind {
        // What runs and as whom must be ours alone, in any container.
        Kind::Container if matches!(field, "command" | "args" | "securityContext") => true,
        // A second source makes it another volume.
        Kind::Volume => true,
        // LimitRanger and the API server fill in amounts; a resource with a domain is a device.
        Kind::Amounts => extras == Extras::Refused && field.contains('/'),
        _ => extras == Extras::Refused,
    }
}

/// Image policies pin a tag by putting its digest behind it.
fn same_image(wanted: &Value, found: Option<&Value>) -> bool {
    let (Some(wanted), Some(found)) = (wanted.as_str(), found.and_then(Value::as_str)) else {
        return false;
    };
    let digest = found
        .strip_prefix(wanted)
        .and_then(|rest| rest.strip_prefix("@sha256:"));
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::normalize::normal;

    fn diff(kind: Kind, wanted: Value, found: Value, extras: Extras) -> Vec<String> {
        let (wanted, found) = (normal(kind, &wanted), normal(kind, &found));
        differences(
            kind,
            wanted.as_ref(),
            found.as_ref(),
            extras,
            &mut Budget::unlimited(),
        )
        .unwrap()
    }

    #[test]
    fn a_container_may_say_more_unless_it_is_privileged() {
        let wanted = json!({"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}]});
        let found = json!({"name": "c", "image": "i:1", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
            "livenessProbe": {"exec": {"command": ["true"]}}, "resources": {"limits": {"cpu": "1"}}});
        assert!(
            diff(
                Kind::Container,
                wanted.clone(),
                found.clone(),
                Extras::Allowed
            )
            .is_empty()
        );
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused),
            ["env[B]", "livenessProbe"]
        );
    }

    #[test]
    fn what_runs_and_as_whom_is_exact() {
        let wanted = json!({"name": "c", "args": ["-v"]});
        let found = json!({"name": "c", "args": ["-v", "-x"], "command": ["sh"], "securityContext": {"runAsUser": 0}});
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Allowed),
            ["args", "command", "securityContext"]
        );
    }

    #[test]
    fn a_digest_behind_the_same_image_is_the_same_image() {
        let wanted = json!({"name": "c", "image": "r/i:1"});
        let pinned = format!("r/i:1@sha256:{}", "0".repeat(64));
        assert!(
            diff(
                Kind::Container,
                wanted.clone(),
                json!({"name": "c", "image": pinned}),
                Extras::Refused
            )
            .is_empty()
        );
        for other in ["r/i:2", "r/i:1@sha256:00", "r/i:1-x", "r/i:1@sha512:00"] {
            let found = json!({"name": "c", "image": other});
            assert_eq!(
                diff(Kind::Container, wanted.clone(), found, Extras::Allowed),
                ["image"]
            );
        }
    }

    #[test]
    fn a_mount_is_one_statement() {
        let wanted = json!({"name": "v", "mountPath": "/m/"});
        assert!(
            diff(
                Kind::Mount,
                wanted.clone(),
                json!({"name": "v", "mountPath": "/m", "readOnly": false}),
                Extras::Allowed
            )
            .is_empty()
        );
        let found = json!({"name": "v", "mountPath": "/m", "subPath": "x"});
        assert_eq!(
            diff(Kind::Mount, wanted, found, Extras::Allowed),
            ["subPath"]
        );
    }

    #[test]
    fn the_source_says_what_a_volume_is() {
        let wanted = json!({"name": "v", "emptyDir": {}});
        let sized = json!({"name": "v", "emptyDir": {"sizeLimit": "1Gi"}});
        assert!(diff(Kind::Volume, wanted.clone(), sized.clone(), Extras::Allowed).is_empty());
        assert_eq!(
            diff(Kind::Volume, wanted.clone(), sized, Extras::Refused),
            ["emptyDir.sizeLimit"]
        );
        assert_eq!(
            diff(
                Kind::Volume,
                wanted,
                json!({"name": "v", "hostPath": {"path": "/"}}),
                Extras::Allowed
            ),
            ["emptyDir", "hostPath"]
        );
    }

    #[test]
    fn a_repeated_variable_counts_by_its_last_value() {
        let wanted = json!({"name": "c", "env": [{"name": "A", "value": "1"}]});
        let found =
            json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]});
        assert_eq!(
            diff(Kind::Container, wanted.clone(), found, Extras::Allowed),
            ["env[A].value"]
        );
        let found =
            json!({"name": "c", "env": [{"name": "A", "value": "2"}, {"name": "A", "value": "1"}]});
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused),
            ["env[A]"]
        );
    }

    #[test]
    fn amounts_may_be_filled_in_and_devices_may_not() {
        let wanted = json!({"name": "c"});
        let found = json!({"name": "c", "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}}});
        assert!(diff(Kind::Container, wanted.clone(), found, Extras::Refused).is_empty());
        let device = json!({"name": "c", "resources": {"limits": {"a.b/gpu": 1}}});
        let found = json!({"name": "c", "resources": {"limits": {"a.b/gpu": 1}, "requests": {"a.b/gpu": 1}}});
        assert!(diff(Kind::Container, device, found, Extras::Refused).is_empty());
        let found = json!({"name": "c", "resources": {"limits": {"a.b/gpu": 1}, "claims": [{"name": "x"}]}});
        assert!(
            diff(
                Kind::Container,
                wanted.clone(),
                found.clone(),
                Extras::Allowed
            )
            .is_empty()
        );
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused),
            ["resources.limits[a.b/gpu]", "resources.claims"]
        );
    }

    #[test]
    fn of_two_runtimes_more_in_either_is_a_disagreement() {
        let one = json!({"name": "c", "image": "i:1"});
        let other = json!({"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "1"}}});
        for (one, other) in [(&one, &other), (&other, &one)] {
            let normals = (normal(Kind::Container, one), normal(Kind::Container, other));
            let budget = &mut Budget::unlimited();
            let found = disagreement(
                Kind::Container,
                normals.0.as_ref(),
                normals.1.as_ref(),
                budget,
            )
            .unwrap();
            assert_eq!(found, ["resources"]);
        }
    }

    #[test]
    fn a_port_is_known_by_number_and_protocol() {
        let ports = json!({"name": "c", "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]});
        let turned = json!({"name": "c", "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]});
        assert!(diff(Kind::Container, ports.clone(), turned, Extras::Refused).is_empty());
        let one = json!({"name": "c", "ports": [{"containerPort": 53}]});
        assert_eq!(
            diff(Kind::Container, ports, one, Extras::Refused),
            ["ports[53]"]
        );
    }

    #[test]
    fn an_identity_that_is_not_a_string_is_not_repeated() {
        let wanted = json!({"name": "c", "env": [{"name": "A", "value": "1"}]});
        let found =
            json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": {"s3cr3t": 1}}]});
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused),
            ["env[]"]
        );
    }

    #[test]
    fn quantities_differ_by_amount_and_are_named_by_key() {
        let wanted = json!({"name": "c", "resources": {"limits": {"cpu": "1"}}});
        let found = json!({"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}});
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused),
            ["resources.limits[cpu]"]
        );
    }

    #[test]
    fn a_list_of_any_length_is_compared_in_one_go() {
        let variables = |count: usize| -> Vec<Value> {
            (0..count)
                .map(|number| json!({"name": format!("V{number}"), "value": "x"}))
                .collect()
        };
        let wanted = json!({"name": "c", "env": variables(10)});
        let found = json!({"name": "c", "env": variables(50_000)});
        assert_eq!(
            diff(Kind::Container, wanted, found, Extras::Refused).len(),
            49_990
        );
    }
}
