//! The ConfigMaps with runtimes.

use std::fs;

use engine::config::Config;
use engine::config::config_map::{self, Entries};
use sandbox_injector::source::Source;
use serde_json::Value;

use super::objects::Objects;

/// The findings of a configuration, which has to be without an error.
fn warnings(entries: &Entries) -> Vec<String> {
    let region = "cn-hangzhou".parse().unwrap();
    let config = Config::load(entries, Some(&region)).unwrap();
    config.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_config_map_equals_the_built_in_configuration() {
    let built_in = Source::Embedded.read().unwrap();
    let files = Source::Directory("manifests/components/default-config/runtimes".into())
        .read()
        .unwrap();
    assert_eq!(files, built_in);
    let Some(objects) = Objects::only_rendered("base", &["default-config"]) else {
        return;
    };
    let config_map = objects.get("ConfigMap", "sandbox-injection-config");
    assert_eq!(config_map["metadata"]["namespace"], "sandbox-system");
    assert_eq!(config_map::entries(config_map).unwrap(), built_in);
}

#[test]
fn the_variant_for_cgroup_v2_only_lacks_the_cgroup_v1_volume() {
    let read = |component: &str| -> Value {
        let path = format!("manifests/components/{component}/runtimes/csi.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut default = read("default-config");
    for list in ["/volume", "/csiSidecar/1/volumeMounts"] {
        let list = default.pointer_mut(list).unwrap().as_array_mut().unwrap();
        let before = list.len();
        list.retain(|item| item["name"] != "cgroup-net-cls");
        assert_eq!(list.len(), before - 1);
    }
    let image = "registry-<region-id>-vpc.ack.aliyuncs.com/acs/csi-agent:v1.35.4-3c34d4a-aliyun";
    default["csiSidecar"][1]["image"] = image.into();
    assert_eq!(read("csi-cgroup-v2"), default);
}

#[test]
fn components_change_the_one_config_map() {
    let components = ["default-config", "csi-cgroup-v2", "shared-workspace"];
    let Some(objects) = Objects::only_rendered("cert-manager", &components) else {
        return;
    };
    let entries =
        config_map::entries(objects.get("ConfigMap", "sandbox-injection-config")).unwrap();
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["agent-runtime", "csi", "shared-workspace"]);
    let found = warnings(&entries);
    assert!(
        !found
            .iter()
            .any(|warning| warning.contains("cgroup") || warning.contains("csi-agent:")),
        "{found:?}"
    );
    let default = warnings(&Source::Embedded.read().unwrap());
    assert!(
        default.len() >= found.len(),
        "{found:?} is more than {default:?}"
    );
}
