//! Where a configuration comes from: the embedded default, a mounted directory, or a ConfigMap manifest.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::mounted;
use engine::config::config_map::{Entries, entries};

/// The runtimes that are compiled in: the defaults of the guide to automatic sidecar injection.
const EMBEDDED: [(&str, &str); 2] = [
    ("agent-runtime", include_str!("../manifests/components/default-config/runtimes/agent-runtime.json")),
    ("csi", include_str!("../manifests/components/default-config/runtimes/csi.json")),
];

/// A ConfigMap holds at most 1 MiB; what is larger is no configuration.
const MAX_BYTES: u64 = 4 << 20;

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
    let version = mounted::version(path);
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
    let value = engine::yaml::value(&text).map_err(|error| wrong(error.to_string()))?;
    entries(&value).map_err(wrong)
}
