//! Pods and configurations that were made for each other, or nearly.

use arbitrary::Unstructured;
use engine::config::config_map::Entries;
use engine::inject::OnConflict;
use engine::review::decide::Settings;
use engine::runtimes::DefaultRuntimes;
use serde_json::{Value, json};

use super::edge::Edge;
use super::generate::Generator;

/// A configuration, the operator's settings and a pod, built from `data`.
pub fn pod_and_configuration(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let flags: u8 = bytes.arbitrary().unwrap_or_default();
    let mut generator = Generator::wild(&mut bytes);
    let (entries, pod) = (generator.entries(), generator.pod());
    let Some(edge) = Edge::new(entries.clone(), settings(flags, &entries)) else {
        return;
    };
    edge.check(review(&pod).to_string().as_bytes());
}

fn settings(flags: u8, entries: &Entries) -> Settings {
    let mut settings = Settings::default();
    if flags & 1 != 0 {
        settings.injection.on_conflict = OnConflict::Keep;
    }
    settings.injection.status_annotation = flags & 2 == 0;
    settings.report_only = flags & 0b1_1100 == 0b1_1100;
    if flags & 0b110_0000 != 0 {
        let names = entries
            .iter()
            .map(|(key, _)| key.clone())
            .filter(|key| key != "pools");
        settings.selection.forced = Some(DefaultRuntimes(names.collect()));
    }
    settings
}

/// The review of a pod's creation.
pub fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "3f0d4a52-7f57-4a3e-9c11-6a0b5c1d2e3f",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:sandbox-system:controller"},
            "object": pod,
        }
    })
}
