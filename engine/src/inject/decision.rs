//! What injection decided, item by item, in the one vocabulary that every report uses.

use std::fmt;

use crate::patch::{HookName, Texts};

/// What became of one thing that a runtime asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The pod lacked it and gets it.
    Added,
    /// An equal one was there.
    Unchanged,
    /// A different one was there and stays.
    Kept,
    /// The pod's hook and the injected one both run.
    Chained,
    /// A different one was there, and the pod is denied for it.
    Conflict,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Added => "added",
            Action::Unchanged => "unchanged",
            Action::Kept => "kept",
            Action::Chained => "chained",
            Action::Conflict => "conflict",
        })
    }
}

/// The part of the pod that a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field<'a> {
    /// An environment variable of a container.
    Env(usize, &'a str),
    /// A mount of a container, by cleaned path.
    VolumeMount(usize, &'a str),
    /// A hook of a container.
    Hook(usize, HookName),
    /// An init container or native sidecar.
    InitContainer(&'a str),
    /// A container.
    Container(&'a str),
    /// A volume.
    Volume(&'a str),
    /// A label or an annotation.
    Text(Texts, &'a str),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Env(index, name) => write!(f, "spec.containers[{index}].env[{name}]"),
            Field::VolumeMount(index, path) => write!(f, "spec.containers[{index}].volumeMounts[{path}]"),
            Field::Hook(index, hook) => write!(f, "spec.containers[{index}].lifecycle.{}", hook.as_str()),
            Field::InitContainer(name) => write!(f, "spec.initContainers[{name}]"),
            Field::Container(name) => write!(f, "spec.containers[{name}]"),
            Field::Volume(name) => write!(f, "spec.volumes[{name}]"),
            Field::Text(texts, key) => write!(f, "metadata.{}[{key}]", texts.as_str()),
        }
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The runtime that asked.
    pub runtime: &'a str,
    /// For what.
    pub field: Field<'a>,
    /// What became of it.
    pub action: Action,
    /// Why, where the action alone does not say it. Holds field names, never values.
    pub why: Option<String>,
}

/// One reason to deny a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The pod's field, in Kubernetes' own spelling.
    pub field: String,
    /// The runtime that it is about; `None` when the pod itself is at fault.
    pub runtime: Option<String>,
    /// What is wrong and how to fix it. Holds names, never values of the pod.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.runtime {
            Some(runtime) => write!(f, "{}: runtime {runtime}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}
