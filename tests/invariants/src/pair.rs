//! Pods and configurations that were made for each other, or nearly.

use arbitrary::{Result, Unstructured};
use engine::config::config_map::Entries;
use engine::inject::OnConflict;
use engine::review::decide::Settings;
use engine::runtimes::DefaultRuntimes;
use serde_json::{Value, json};

use super::edge::Edge;
use super::generate;

/// A configuration, the operator's settings and a pod, built from `data`.
pub fn pod_and_configuration(data: &[u8]) {
    // What runs out of bytes is built of zeros, so this is not an error; there is one only where nothing is left to choose from.
    let Ok(Pair { entries, settings, pod }) = Pair::build(&mut Unstructured::new(data)) else { return };
    let Some(edge) = Edge::new(entries, settings) else { return };
    edge.check(review(&pod).to_string().as_bytes());
}

struct Pair {
    entries: Entries,
    settings: Settings,
    pod: Value,
}

impl Pair {
    fn build(source: &mut Unstructured<'_>) -> Result<Self> {
        let mut settings = Settings::default();
        let flags: u8 = source.arbitrary()?;
        if flags & 1 != 0 {
            settings.injection.on_conflict = OnConflict::Keep;
        }
        settings.injection.status_annotation = flags & 2 == 0;
        settings.report_only = flags & 0b1_1100 == 0b1_1100;
        let entries = generate::entries(source)?;
        if flags & 0b110_0000 != 0 {
            let names = entries.iter().map(|(key, _)| key.clone()).filter(|key| key != "pools");
            settings.selection.forced = Some(DefaultRuntimes(names.collect()));
        }
        let pod = generate::pod(source)?;
        Ok(Self { entries, settings, pod })
    }
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
