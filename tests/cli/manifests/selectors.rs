//! What selectors match, by the API server's rules.

use serde_json::{Map, Value};

/// Whether a label selector matches.
pub(super) fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    equal
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| {
            let label = labels.get(expression["key"].as_str().unwrap());
            let listed = || {
                expression["values"]
                    .as_array()
                    .unwrap()
                    .contains(label.unwrap_or(&Value::Null))
            };
            match expression["operator"].as_str().unwrap() {
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                "In" => listed(),
                // An absent label is not in any list.
                "NotIn" => !listed(),
                other => panic!("no operator: {other}"),
            }
        })
}

/// The labels that every namespace has.
pub(super) fn namespace(name: &str) -> Map<String, Value> {
    Map::from_iter([("kubernetes.io/metadata.name".to_owned(), name.into())])
}

/// The names of the webhooks that a pod is sent to.
pub(super) fn called<'w>(
    configuration: &'w Value,
    pod: &Map<String, Value>,
    namespace: &Map<String, Value>,
) -> Vec<&'w str> {
    let webhooks = configuration["webhooks"].as_array().unwrap().iter();
    webhooks
        .filter(|webhook| {
            matches(&webhook["objectSelector"], pod)
                && matches(&webhook["namespaceSelector"], namespace)
        })
        .map(|webhook| webhook["name"].as_str().unwrap())
        .collect()
}
