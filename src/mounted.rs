//! Mounted ConfigMaps and Secrets.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory to read the files of a mounted volume from, so that all of them are of one
/// version.
///
/// The kubelet writes each version into a directory of its own and swaps the link `..data`:
/// resolved once, it stays with one version. A directory without the link is its own version.
pub(crate) fn version(directory: &Path) -> PathBuf {
    fs::canonicalize(directory.join("..data")).unwrap_or_else(|_| directory.to_owned())
}
