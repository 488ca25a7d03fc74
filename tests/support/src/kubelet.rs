//! Writes a volume as the kubelet does: files in a directory named after the time, reached through
//! a link `..data` that is swapped by a rename, and links to the files through it.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A mounted ConfigMap or Secret.
pub struct Volume {
    directory: PathBuf,
    generation: usize,
}

impl Volume {
    /// A volume with its first contents.
    pub fn new(directory: &Path, files: &[(&str, &str)]) -> Self {
        fs::create_dir_all(directory).unwrap();
        let mut volume = Self {
            directory: directory.to_owned(),
            generation: 0,
        };
        volume.write(files);
        volume
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Replaces the whole contents at once.
    pub fn write(&mut self, files: &[(&str, &str)]) {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        self.generation += 1;
        let fresh = format!("..2026_01_01_00_00_00.{:09}", self.generation);
        fs::create_dir(self.directory.join(&fresh)).unwrap();
        for (name, contents) in &files {
            fs::write(self.directory.join(&fresh).join(name), contents).unwrap();
        }
        let data = self.directory.join("..data");
        let old = fs::read_link(&data).ok();
        symlink(&fresh, self.directory.join("..data_tmp")).unwrap();
        fs::rename(self.directory.join("..data_tmp"), &data).unwrap();
        for name in files.keys() {
            match symlink(Path::new("..data").join(name), self.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    panic!("{name}: {error}")
                }
                _ => {}
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.directory.join(old)).unwrap();
        }
    }
}
