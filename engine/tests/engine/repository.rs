//! The files of the repository that these tests read.

use std::fs;
use std::path::{Path, PathBuf};

use engine::config::config_map::Entries;

/// A file or folder, by its path from the top of the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join(name)
}

/// The text of a file.
pub(crate) fn text(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The configuration in a folder: one file per runtime, named by its key.
pub(crate) fn entries(folder: &Path) -> Entries {
    let files =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| {
            let path = file.unwrap().path();
            let key = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (key, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The default configuration, which the program has built in.
pub(crate) fn default_runtimes() -> Entries {
    entries(&path("manifests/components/default-config/runtimes"))
}
