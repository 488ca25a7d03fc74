//! Where a configuration comes from: the embedded default, a mounted directory, or a ConfigMap manifest.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use super::check::names::{is_dns_label, is_dns_subdomain};

/// The runtimes that are compiled in: the defaults of the guide to automatic sidecar injection.
const EMBEDDED: [(&str, &str); 2] = [
    ("agent-runtime", include_str!("../../manifests/components/default-config/runtimes/agent-runtime.json")),
    ("csi", include_str!("../../manifests/components/default-config/runtimes/csi.json")),
];

/// A ConfigMap holds at most 1 MiB; what is larger is no configuration.
const MAX_BYTES: u64 = 4 << 20;

/// The keys of a configuration and their texts, in the order of the keys.
pub type Entries = Vec<(String, String)>;

/// The identity of a ConfigMap: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Default for ConfigMapName {
    fn default() -> Self {
        Self { namespace: "sandbox-system".to_owned(), name: "sandbox-injection-config".to_owned() }
    }
}

impl FromStr for ConfigMapName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text
            .split_once('/')
            .filter(|(namespace, name)| is_dns_label(namespace) && is_dns_subdomain(name))
            .ok_or_else(|| format!("write NAMESPACE/NAME, such as {}", Self::default()))?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ConfigMapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where to read the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The default runtimes, compiled in.
    Embedded,
    /// A mounted ConfigMap: one file a key.
    Directory(PathBuf),
    /// A ConfigMap manifest.
    File(PathBuf),
}

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory could not be read.
    #[error("cannot read {path}: {error}; {fix}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
        /// What to do.
        fix: &'static str,
    },
    /// A file that is too large to be a configuration.
    #[error("{path} is {size} bytes; the limit for a configuration is {MAX_BYTES}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The manifest is not what it should be.
    #[error("{path}: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and how to fix it.
        reason: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Embedded => f.write_str("the built-in configuration"),
            Source::Directory(path) | Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// Reads the entries.
    pub fn read(&self) -> Result<Entries, SourceError> {
        match self {
            Source::Embedded => Ok(EMBEDDED.map(|(key, text)| (key.to_owned(), text.to_owned())).into()),
            Source::Directory(path) => directory(path),
            Source::File(path) => manifest(path),
        }
    }
}

fn directory(path: &Path) -> Result<Entries, SourceError> {
    // The kubelet swaps the `..data` link; following it once keeps a reading within one version.
    let version = fs::canonicalize(path.join("..data")).unwrap_or_else(|_| path.to_owned());
    let unreadable = |path: &Path, error| SourceError::Unreadable {
        path: path.to_owned(),
        error,
        fix: "--config-dir must be a readable directory with one file for each runtime",
    };
    let mut entries = Entries::new();
    for entry in fs::read_dir(&version).map_err(|error| unreadable(path, error))? {
        let entry = entry.map_err(|error| unreadable(path, error))?;
        let file_name = entry.file_name();
        let name = file_name.to_string_lossy();
        let file = entry.path();
        // Files that the kubelet keeps beside the keys. Any other directory is an error by being read: passed over, it would
        // silently take away the runtime whose file it replaces.
        if name.starts_with('.') {
            continue;
        }
        let key =
            [".json", ".yaml", ".yml"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        let text = read(&file).map_err(|error| match error {
            SourceError::Unreadable { path, error, .. } => unreadable(&path, error),
            other => other,
        })?;
        if entries.iter().any(|(other, _)| other == key) {
            let reason = format!("several files define {key:?} (they differ only in extension); keep one");
            return Err(SourceError::Manifest { path: file, reason });
        }
        entries.push((key.to_owned(), text));
    }
    entries.sort();
    Ok(entries)
}

fn read(path: &Path) -> Result<String, SourceError> {
    let fix = "--config-file must be a readable ConfigMap manifest";
    let unreadable = |error| SourceError::Unreadable { path: path.to_owned(), error, fix };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(SourceError::TooLarge { path: path.to_owned(), size });
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn manifest(path: &Path) -> Result<Entries, SourceError> {
    let text = read(path)?;
    let wrong = |reason: String| SourceError::Manifest { path: path.to_owned(), reason };
    let value = crate::yaml::value(&text).map_err(|error| wrong(error.to_string()))?;
    entries(&value).map_err(wrong)
}

/// The entries of a ConfigMap object, or why it has none.
pub fn entries(config_map: &Value) -> Result<Entries, String> {
    let kind = config_map["kind"].as_str().unwrap_or_default();
    if kind != "ConfigMap" || config_map["apiVersion"] != "v1" {
        return Err(format!("not a ConfigMap (kind is {kind:?}); expected apiVersion v1, kind ConfigMap"));
    }
    if config_map["binaryData"].as_object().is_some_and(|data| !data.is_empty()) {
        return Err("$.binaryData: runtimes must be text; move them to data".to_owned());
    }
    let mut entries = Entries::new();
    for (key, text) in config_map["data"].as_object().into_iter().flatten() {
        let Value::String(text) = text else {
            return Err(format!(
                "{}: must be a string containing JSON or YAML; add | after the key",
                super::schema::field_path("$.data", key)
            ));
        };
        entries.push((key.clone(), text.clone()));
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_has_a_namespace_and_a_name() {
        let name: ConfigMapName = "sandbox-system/sandbox-injection-config".parse().unwrap();
        assert_eq!(name, ConfigMapName::default());
        assert_eq!(name.to_string(), "sandbox-system/sandbox-injection-config");
        for bad in ["a", "a/", "/a", "a/b/c", "A/b", "a/..", "a/b?c"] {
            assert!(bad.parse::<ConfigMapName>().is_err(), "{bad}");
        }
    }
}
