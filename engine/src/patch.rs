//! RFC 6902 patches, written directly: the only place that builds patch paths.
//!
//! Values are the configuration's own JSON, copied as it is. No patch is ever a difference of two pods, so what
//! nobody asked to change cannot change (<https://www.rfc-editor.org/rfc/rfc6902>).

mod fragment;
mod write;

use std::borrow::Cow;

pub use fragment::Fragment;
pub use write::{encoded_size_hint, write, write_encoded, write_escaped, write_text};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Adds a member or an item.
    Add,
    /// Replaces a member that is there.
    Replace,
}

/// A lifecycle event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookName {
    /// Right after the container starts.
    PostStart,
    /// Before the container is stopped.
    PreStop,
}

impl HookName {
    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            HookName::PostStart => "postStart",
            HookName::PreStop => "preStop",
        }
    }
}

/// A list of the pod that items are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `spec.volumes`
    Volumes,
    /// `spec.initContainers`
    InitContainers,
    /// `spec.containers`
    Containers,
    /// `spec.containers[i].env`
    Env(usize),
    /// `spec.containers[i].volumeMounts`
    VolumeMounts(usize),
}

/// A map of the pod's metadata that entries are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Texts {
    /// `metadata.labels`
    Labels,
    /// `metadata.annotations`
    Annotations,
}

impl Texts {
    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Texts::Labels => "labels",
            Texts::Annotations => "annotations",
        }
    }
}

/// The place that an operation changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path<'a> {
    /// A whole list, where the pod has none.
    List(List),
    /// After the last item of a list.
    End(List),
    /// A whole map, where the pod has none.
    Texts(Texts),
    /// One entry of a map.
    Text(Texts, &'a str),
    /// `spec.containers[i].lifecycle`, where the container has none.
    Lifecycle(usize),
    /// One hook of a container.
    Hook(usize, HookName),
}

/// The value that an operation brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// What the configuration has.
    Ready(&'a Fragment),
    /// Several things that the configuration has, as a list.
    List(Vec<&'a Fragment>),
    /// JSON that was worked out for this pod.
    Json(String),
    /// A text, escaped when written.
    Text(Cow<'a, str>),
    /// A map of texts.
    Texts(Vec<(&'a str, Cow<'a, str>)>),
    /// A lifecycle of hooks that the configuration has.
    Hooks(Vec<(HookName, &'a Fragment)>),
}

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What it does.
    pub op: Op,
    /// Where.
    pub path: Path<'a>,
    /// With what.
    pub value: Value<'a>,
}
