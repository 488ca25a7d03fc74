//! Pods from the templates of sandboxes and workloads, beside the pods that their controllers
//! created.

use std::{env, fs};

use engine::workload::{InputObject, Templates, read};
use engine::yaml;
use rstest::rstest;
use serde_json::{Value, json};

use crate::repository;

fn documents(text: &str) -> Vec<Value> {
    yaml::documents(text)
        .into_iter()
        .map(|document| document.unwrap().value)
        .collect()
}

/// The pods of a manifest.
fn pods(manifest: &str) -> Vec<Value> {
    let documents = documents(manifest);
    let templates = Templates::collect(&documents, "default");
    let found = documents
        .iter()
        .flat_map(|document| read(document, "default", &templates));
    found
        .map(|found| match found {
            Ok(InputObject::Pod(subject)) => {
                assert_eq!(subject.pod["metadata"]["namespace"], subject.namespace);
                subject.pod
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

// `UPDATE_GOLDEN=1` writes the pods anew; read the diff before you keep it.
#[rstest]
#[case("kruise-sandboxset")]
#[case("kruise-sandboxset-without-labels")]
#[case("kruise-sandbox-in-cluster")]
#[case("kruise-manual-runtime")]
#[case("kruise-template-ref")]
#[case("agent-sandbox-standalone")]
#[case("agent-sandbox-warm-pool")]
#[case("agent-sandbox-volume-claims")]
#[case("agent-sandbox-template-own-network")]
#[case("opensandbox-batchsandbox")]
#[case("opensandbox-pool")]
#[case("opensandbox-resumed")]
#[case("builtin")]
fn a_template_gives_the_pod_that_its_controller_creates(#[case] case: &str) {
    let folder = repository::path("testdata/workload").join(case);
    let pods = pods(&fs::read_to_string(folder.join("manifest.yaml")).unwrap());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        let text = pods
            .iter()
            .map(yaml::to_string)
            .collect::<Vec<_>>()
            .join("---\n");
        fs::write(folder.join("pods.yaml"), text).unwrap();
    }
    assert_eq!(
        pods,
        documents(&fs::read_to_string(folder.join("pods.yaml")).unwrap())
    );
}

/// The JSON pointers of a value and everything in it.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| paths(item, &format!("{path}/{index}"), found));
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = key.replace('~', "~0").replace('/', "~1");
                paths(value, &format!("{path}/{key}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_shape_causes_a_panic() {
    let folders = repository::path("testdata/workload");
    for folder in fs::read_dir(folders).unwrap() {
        let text = fs::read_to_string(folder.unwrap().path().join("manifest.yaml")).unwrap();
        for document in documents(&text) {
            let mut found = Vec::new();
            paths(&document, "", &mut found);
            for path in found {
                for junk in [
                    json!(null),
                    json!(true),
                    json!(-1),
                    json!(""),
                    json!([]),
                    json!([null]),
                    json!({}),
                    json!({"": []}),
                ] {
                    let mut document = document.clone();
                    *document.pointer_mut(&path).unwrap() = junk;
                    let templates = Templates::collect([&document], "default");
                    let _ = read(&document, "default", &templates);
                }
            }
        }
    }
}
