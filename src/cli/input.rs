//! What `-f` names: files, directories and stdin, document by document.

use std::io::Read;
use std::path::{Path, PathBuf};

use engine::workload::{self, InputObject, InputPod, SkippedObject, Templates};
use engine::yaml;
use kube::Client;

use super::Failure;
use super::flags::PodFlags;
use super::terminal::eprint_line;
use crate::cluster;

/// The whole input, in order.
pub(super) struct Input {
    pub(super) items: Vec<InputItem>,
}

/// One document of the input; the text says where it is.
pub(super) enum InputItem {
    /// A pod to decide on.
    Pod(String, Box<InputPod>),
    /// Something that does not stand for a pod.
    Passed(String, SkippedObject),
    /// Something that could not be read: the whole message.
    Broken(String),
}

impl Input {
    /// Reads all files first: a template and the object that refers to it may be in different
    /// files.
    pub(super) fn read(filenames: &[PathBuf], namespace: &str) -> Result<Self, Failure> {
        let mut documents = Vec::new();
        let mut items = Vec::new();
        for filename in filenames {
            for (name, text) in texts(filename)? {
                let read = yaml::documents(&text);
                if read.is_empty() {
                    items.push(InputItem::Broken(format!("{name}: contains no document")));
                }
                documents.extend(read.into_iter().map(|document| (name.clone(), document)));
            }
        }
        let values = documents
            .iter()
            .filter_map(|(_, document)| document.as_ref().ok())
            .map(|document| &document.value);
        let templates = Templates::collect(values, namespace);
        for (name, document) in documents {
            match document {
                Err(error) => items.push(InputItem::Broken(format!("{name}: {error}"))),
                Ok(document) => {
                    let place = format!("{name}: document {}", document.number);
                    for found in workload::read(&document.value, namespace, &templates) {
                        items.push(match found {
                            Ok(InputObject::Pod(subject)) => {
                                InputItem::Pod(format!("{place}: {}", subject.origin), subject)
                            }
                            Ok(InputObject::Skipped(passed)) => {
                                InputItem::Passed(place.clone(), passed)
                            }
                            Err(error) => InputItem::Broken(format!("{place}: {error}")),
                        });
                    }
                }
            }
        }
        Ok(Self { items })
    }
}

/// The texts that one `-f` names, each with its name.
fn texts(filename: &Path) -> Result<Vec<(String, String)>, Failure> {
    let name = filename.display().to_string();
    if name == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure(format!("stdin: {error}")))?;
        return Ok(vec![("stdin".to_owned(), text)]);
    }
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure(format!(
            "cannot read {}: {error}; -f takes a file, a directory or -",
            path.display()
        ))
    };
    if !filename.is_dir() {
        let text =
            std::fs::read_to_string(filename).map_err(|error| unreadable(filename, error))?;
        return Ok(vec![(name, text)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(filename).map_err(|error| unreadable(filename, error))? {
        let path = entry.map_err(|error| unreadable(filename, error))?.path();
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        if matches!(ending, "yaml" | "yml" | "json") && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure(format!(
            "{name}: no .yaml, .yml or .json file in this directory"
        )));
    }
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        Ok((path.display().to_string(), text))
    };
    files.into_iter().map(read).collect()
}

/// The pods that `flags` select, and whether something could not be read.
pub(super) struct Pods {
    pub(super) found: Vec<(String, Box<InputPod>)>,
    pub(super) failed: bool,
}

impl Pods {
    /// Reads saved pods; other documents are skipped with a note.
    pub(super) fn saved(flags: &PodFlags) -> Result<Self, Failure> {
        let namespace = flags.namespace.as_deref().unwrap_or("default");
        let mut pods = Self {
            found: Vec::new(),
            failed: false,
        };
        for item in Input::read(&flags.filename, namespace)?.items {
            match item {
                InputItem::Pod(place, subject) => pods.found.push((place, subject)),
                InputItem::Passed(place, passed) => {
                    eprint_line(&format!("note: {place}: {}", passed.note));
                }
                InputItem::Broken(message) => {
                    eprint_line(&format!("error: {message}"));
                    pods.failed = true;
                }
            }
        }
        Ok(pods)
    }

    /// Lists the pods of the cluster.
    pub(super) async fn of_cluster(flags: &PodFlags, client: &Client) -> Result<Self, Failure> {
        let own = client.default_namespace();
        let namespace = (!flags.all_namespaces).then(|| flags.namespace.as_deref().unwrap_or(own));
        let list = cluster::pods::list(client, namespace, flags.selector.as_deref()).await?;
        let mut pods = Self {
            found: Vec::new(),
            failed: false,
        };
        for pod in list {
            for found in workload::read(&pod, own, &Templates::default()) {
                match found {
                    Ok(InputObject::Pod(subject)) => {
                        let place = format!("{}/{}", subject.namespace, subject.origin.name);
                        pods.found.push((place, subject));
                    }
                    Ok(InputObject::Skipped(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(pods)
    }
}
