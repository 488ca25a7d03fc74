//! Where a configuration comes from: the embedded default, a mounted directory, or a ConfigMap
//! manifest.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use engine::config::config_map::{DuplicateKey, Entries, InvalidConfigMap, entries};

use crate::mounted;

/// The runtimes that are compiled in: the defaults of the guide to automatic sidecar injection.
const EMBEDDED: [(&str, &str); 2] = [
    (
        "agent-runtime",
        include_str!("../manifests/components/default-config/runtimes/agent-runtime.json"),
    ),
    (
        "csi",
        include_str!("../manifests/components/default-config/runtimes/csi.json"),
    ),
];

/// A ConfigMap holds at most 1 MiB; anything larger is not a configuration.
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
    #[error("cannot read {path}: {source}; {fix}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
    /// A manifest that is neither YAML nor JSON.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: engine::yaml::Error,
    },
    /// A manifest that is not a ConfigMap with texts.
    #[error("{path}: {source}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidConfigMap,
    },
    /// Two files of a directory are one key.
    #[error("{path}: several files define {key:?} (they differ only in extension); keep one")]
    DuplicateKey {
        /// The second of the files.
        path: PathBuf,
        /// The key.
        key: String,
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
            Source::Embedded => Ok(EMBEDDED.into()),
            Source::Directory(path) => directory(path),
            Source::File(path) => manifest(path),
        }
    }
}

fn directory(path: &Path) -> Result<Entries, SourceError> {
    let version = mounted::version(path);
    let unreadable = |path: &Path, source| SourceError::Unreadable {
        path: path.to_owned(),
        source,
        fix: "--config-dir must be a readable directory with one file for each runtime",
    };
    let mut entries = Entries::default();
    for entry in fs::read_dir(&version).map_err(|error| unreadable(path, error))? {
        let entry = entry.map_err(|error| unreadable(path, error))?;
        let file_name = entry.file_name();
        let name = file_name.to_string_lossy();
        let file = entry.path();
        // Files that the kubelet keeps beside the keys. Any other directory is an error by being
        // read: skipped, it would silently take away the runtime whose file it
        // replaces.
        if name.starts_with('.') {
            continue;
        }
        let key = [".json", ".yaml", ".yml"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(&name);
        let text = read(&file).map_err(|error| match error {
            SourceError::Unreadable { path, source, .. } => unreadable(&path, source),
            other => other,
        })?;
        entries
            .insert(key, &text)
            .map_err(|DuplicateKey(key)| SourceError::DuplicateKey { path: file, key })?;
    }
    Ok(entries)
}

fn read(path: &Path) -> Result<String, SourceError> {
    let fix = "--config-file must be a readable ConfigMap manifest";
    let unreadable = |source| SourceError::Unreadable {
        path: path.to_owned(),
        source,
        fix,
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(SourceError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn manifest(path: &Path) -> Result<Entries, SourceError> {
    let text = read(path)?;
    let value = engine::yaml::value(&text).map_err(|source| SourceError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    entries(&value).map_err(|source| SourceError::Manifest {
        path: path.to_owned(),
        source,
    })
}
