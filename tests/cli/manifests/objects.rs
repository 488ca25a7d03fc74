//! The manifests as objects: rendered by `kubectl kustomize` where kubectl is there, else the files
//! themselves.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use engine::yaml;
use serde_json::Value;
use tempfile::TempDir;

/// A copy of the manifests with a certificate in `certs/out`, so that nothing is written into the
/// repository.
static COPY: LazyLock<TempDir> = LazyLock::new(|| {
    let copy = TempDir::new().unwrap();
    for tree in ["manifests", "certs"] {
        copy_tree(Path::new(tree), &copy.path().join(tree));
    }
    let out = copy.path().join("certs/out");
    let _ = fs::remove_dir_all(&out);
    let made = Command::new(env!("CARGO_BIN_EXE_sandbox-injector"))
        .args([
            "certs",
            "--dns-name",
            "sandbox-injector.sandbox-injector-system.svc",
            "--out",
        ])
        .arg(&out)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    copy
});

static KUBECTL: LazyLock<bool> = LazyLock::new(|| {
    let there = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        // Not by a macro: what those print is only shown of a test that fails.
        let said = "skipped: kubectl is not there; the manifests are looked at as they are and not rendered";
        let _ = writeln!(std::io::stderr(), "{said}");
    }
    there
});

/// Every component, in an order in which they can stand.
pub(super) const COMPONENTS: [&str; 7] = [
    "default-config",
    "csi-cgroup-v2",
    "shared-workspace",
    "network-policy",
    "monitoring",
    "grafana-dashboard",
    "admission-report",
];

/// A set of objects.
pub(super) struct Objects(pub(super) Vec<Value>);

impl Objects {
    /// What an overlay makes with the named components.
    pub(super) fn overlay(name: &str, components: &[&str]) -> Self {
        if *KUBECTL {
            return Self::rendered(name, components);
        }
        let mut objects = read("manifests/base");
        // The others only change what is in the base.
        if name == "cert-manager" {
            objects.extend(read("manifests/overlays/cert-manager"));
        }
        for component in components {
            objects.extend(read(&format!("manifests/components/{component}")));
        }
        Self(objects)
    }

    /// The same, or nothing without kubectl.
    pub(super) fn only_rendered(name: &str, components: &[&str]) -> Option<Self> {
        KUBECTL.then(|| Self::rendered(name, components))
    }

    fn rendered(name: &str, components: &[&str]) -> Self {
        let resource = if name == "base" {
            "base".to_owned()
        } else {
            format!("overlays/{name}")
        };
        let of = TempDir::with_prefix_in("test-", COPY.path().join("manifests")).unwrap();
        let mut kustomization =
            format!("kind: Kustomization\nresources: [../{resource}]\ncomponents:\n");
        for component in components {
            kustomization.push_str(&format!("- ../components/{component}\n"));
        }
        fs::write(of.path().join("kustomization.yaml"), kustomization).unwrap();
        Self(documents(&kustomize(of.path())))
    }

    /// The one object of a kind and name.
    #[track_caller]
    pub(super) fn get(&self, kind: &str, name: &str) -> &Value {
        let found: Vec<&Value> = self
            .of(kind)
            .filter(|object| object["metadata"]["name"] == name)
            .collect();
        assert_eq!(found.len(), 1, "{kind} {name}");
        found[0]
    }

    /// The objects of a kind.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }
}

/// Renders a directory of the copy.
#[track_caller]
pub(super) fn kustomize(directory: &Path) -> String {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        directory.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Every YAML file under a directory.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The objects in a text.
#[track_caller]
pub(super) fn documents(text: &str) -> Vec<Value> {
    yaml::documents(text)
        .into_iter()
        .map(|document| document.unwrap().value)
        .collect()
}

fn read(directory: &str) -> Vec<Value> {
    let files = files(Path::new(directory));
    let manifests = files
        .iter()
        .filter(|path| !path.ends_with("kustomization.yaml"));
    manifests
        .flat_map(|path| documents(&fs::read_to_string(path).unwrap()))
        .collect()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
