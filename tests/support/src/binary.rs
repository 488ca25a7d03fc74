//! The binary as a command that ends.

use std::process::Command;

use serde_json::{Value, json};

use super::apiserver::ApiServer;

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary to its end, with nothing of this process's surroundings.
pub fn run(arguments: &[&str]) -> Ran {
    let mut command = Command::new(crate::program());
    for name in [
        "REGION_ID",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    let output = command
        .env("HOME", "/none")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A directory with a kubeconfig named `config` for `server`.
pub fn kubeconfig(server: &ApiServer) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", server.address)}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    std::fs::write(directory.path().join("config"), kubeconfig.to_string()).unwrap();
    directory
}

/// The ConfigMap of the configuration.
pub fn config_map(entries: &[(&str, &str)]) -> Value {
    let data: Value = entries
        .iter()
        .map(|(key, text)| ((*key).to_owned(), json!(text)))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "sandbox-injection-config", "namespace": "sandbox-system"}})
}

/// A runtime with one sidecar of this image, a mount and a hook.
pub fn runtime(image: &str) -> String {
    json!({
        "mainContainer": {"env": [{"name": "TOOLS", "value": "on"}],
            "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            "lifecycle": {"postStart": {"exec": {"command": ["/work/start"]}}}},
        "csiSidecar": [{"name": "helper", "image": image, "restartPolicy": "Always",
            "resources": {"limits": {"cpu": "1"}}}],
        "volume": [{"name": "work", "emptyDir": {}}],
    })
    .to_string()
}
