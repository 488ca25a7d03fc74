//! A place in a pod.
//!
//! A place has two spellings. People read Kubernetes' own field path,
//! `spec.containers[0].env[NAME]`, in reports and denials; a patch needs the JSON pointer,
//! `/spec/containers/0/env/-`. This is the only module that writes either.

use std::fmt;
use std::io::Write as _;

use crate::json_text::write_escaped;

/// One of the two lists of containers of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerList {
    /// `spec.initContainers`: init containers and native sidecars.
    InitContainers,
    /// `spec.containers`.
    Containers,
}

impl ContainerList {
    /// Both lists, in the order in which they are injected into.
    pub const ALL: [Self; 2] = [Self::InitContainers, Self::Containers];

    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
        }
    }

    /// The list that this one is not.
    pub fn other(self) -> Self {
        match self {
            Self::InitContainers => Self::Containers,
            Self::Containers => Self::InitContainers,
        }
    }
}

/// One of the two maps of strings in a pod's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataMap {
    /// `metadata.labels`.
    Labels,
    /// `metadata.annotations`.
    Annotations,
}

impl MetadataMap {
    /// The field's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }
}

/// A lifecycle event of a container.
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
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
        }
    }
}

/// Which item of a list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// One that the pod has, by its index.
    Index(usize),
    /// One by its name or cleaned path. A pointer to it is where a patch puts it: after the last
    /// item, `-`.
    Identity(&'a str),
}

/// A place in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place<'a> {
    /// A map of the metadata.
    Map(MetadataMap),
    /// One entry of it.
    Entry(MetadataMap, &'a str),
    /// `spec`.
    Spec,
    /// `spec.securityContext`.
    SecurityContext,
    /// `spec.volumes`.
    Volumes,
    /// One volume.
    Volume(Key<'a>),
    /// A list of containers.
    Containers(ContainerList),
    /// One container.
    Container(ContainerList, Key<'a>),
    /// A field of the container at that index.
    ContainerField(ContainerList, usize, &'a str),
    /// An item of a list that is a field of the container at that index.
    ContainerItem(ContainerList, usize, &'a str, Key<'a>),
    /// A hook of the container at that index of `spec.containers`.
    Hook(usize, HookName),
}

impl<'a> Place<'a> {
    /// A variable of the container at that index of `spec.containers`.
    pub fn env(container: usize, key: Key<'a>) -> Self {
        Self::ContainerItem(ContainerList::Containers, container, "env", key)
    }

    /// The lifecycle of the container at that index of `spec.containers`.
    pub fn lifecycle(container: usize) -> Self {
        Self::ContainerField(ContainerList::Containers, container, "lifecycle")
    }

    /// Appends the place as a JSON pointer (<https://www.rfc-editor.org/rfc/rfc6901>), escaped as it stands in the JSON
    /// string of a patch.
    pub(crate) fn write_pointer(self, out: &mut Vec<u8>) {
        match self {
            Self::Map(map) => write_steps(&["metadata", map.as_str()], out),
            Self::Entry(map, key) => {
                Self::Map(map).write_pointer(out);
                write_token(key, out);
            }
            Self::Spec => write_steps(&["spec"], out),
            Self::SecurityContext => write_steps(&["spec", "securityContext"], out),
            Self::Volumes => write_steps(&["spec", "volumes"], out),
            Self::Volume(key) => {
                Self::Volumes.write_pointer(out);
                key.write_token(out);
            }
            Self::Containers(list) => write_steps(&["spec", list.as_str()], out),
            Self::Container(list, key) => {
                Self::Containers(list).write_pointer(out);
                key.write_token(out);
            }
            Self::ContainerField(list, index, field) => {
                Self::Container(list, Key::Index(index)).write_pointer(out);
                write_token(field, out);
            }
            Self::ContainerItem(list, index, field, key) => {
                Self::ContainerField(list, index, field).write_pointer(out);
                key.write_token(out);
            }
            Self::Hook(index, hook) => {
                Self::lifecycle(index).write_pointer(out);
                write_steps(&[hook.as_str()], out);
            }
        }
    }
}

impl Key<'_> {
    fn write_token(self, out: &mut Vec<u8>) {
        match self {
            // Writing into memory cannot fail.
            Self::Index(index) => _ = write!(out, "/{index}"),
            Self::Identity(_) => out.extend_from_slice(b"/-"),
        }
    }
}

/// Appends field names that have nothing to escape.
fn write_steps(steps: &[&str], out: &mut Vec<u8>) {
    for step in steps {
        out.push(b'/');
        out.extend_from_slice(step.as_bytes());
    }
}

/// Appends one token, with the two characters escaped that mean something in a pointer.
fn write_token(token: &str, out: &mut Vec<u8>) {
    out.push(b'/');
    // Most are names of fields.
    if token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return out.extend_from_slice(token.as_bytes());
    }
    for piece in token.split_inclusive(['~', '/']) {
        let (plain, escaped) = match (piece.strip_suffix('~'), piece.strip_suffix('/')) {
            (Some(plain), _) => (plain, "~0"),
            (_, Some(plain)) => (plain, "~1"),
            _ => (piece, ""),
        };
        write_escaped(plain, out);
        out.extend_from_slice(escaped.as_bytes());
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Map(map) => write!(f, "metadata.{}", map.as_str()),
            Self::Entry(map, key) => write!(f, "{}[{key}]", Self::Map(map)),
            Self::Spec => f.write_str("spec"),
            Self::SecurityContext => f.write_str("spec.securityContext"),
            Self::Volumes => f.write_str("spec.volumes"),
            Self::Volume(key) => write!(f, "{}[{key}]", Self::Volumes),
            Self::Containers(list) => write!(f, "spec.{}", list.as_str()),
            Self::Container(list, key) => write!(f, "{}[{key}]", Self::Containers(list)),
            Self::ContainerField(list, index, field) => {
                write!(f, "{}.{field}", Self::Container(list, Key::Index(index)))
            }
            Self::ContainerItem(list, index, field, key) => {
                write!(f, "{}[{key}]", Self::ContainerField(list, index, field))
            }
            Self::Hook(index, hook) => write!(f, "{}.{}", Self::lifecycle(index), hook.as_str()),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Identity(identity) => f.write_str(identity),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CONTAINERS: ContainerList = ContainerList::Containers;
    const INITS: ContainerList = ContainerList::InitContainers;

    #[rstest]
    #[case(Place::Map(MetadataMap::Labels), "metadata.labels", "/metadata/labels")]
    #[case(
        Place::Entry(MetadataMap::Annotations, "a.b/c~\"d"),
        "metadata.annotations[a.b/c~\"d]",
        "/metadata/annotations/a.b~1c~0\\\"d"
    )]
    #[case(Place::Spec, "spec", "/spec")]
    #[case(
        Place::SecurityContext,
        "spec.securityContext",
        "/spec/securityContext"
    )]
    #[case(Place::Volumes, "spec.volumes", "/spec/volumes")]
    #[case(Place::Volume(Key::Index(2)), "spec.volumes[2]", "/spec/volumes/2")]
    #[case(
        Place::Volume(Key::Identity("v")),
        "spec.volumes[v]",
        "/spec/volumes/-"
    )]
    #[case(
        Place::Containers(INITS),
        "spec.initContainers",
        "/spec/initContainers"
    )]
    #[case(
        Place::Container(CONTAINERS, Key::Index(1)),
        "spec.containers[1]",
        "/spec/containers/1"
    )]
    #[case(
        Place::Container(INITS, Key::Identity("c")),
        "spec.initContainers[c]",
        "/spec/initContainers/-"
    )]
    #[case(
        Place::ContainerField(INITS, 3, "image"),
        "spec.initContainers[3].image",
        "/spec/initContainers/3/image"
    )]
    #[case(
        Place::ContainerItem(INITS, 0, "volumeMounts", Key::Index(4)),
        "spec.initContainers[0].volumeMounts[4]",
        "/spec/initContainers/0/volumeMounts/4"
    )]
    #[case(
        Place::env(0, Key::Identity("A")),
        "spec.containers[0].env[A]",
        "/spec/containers/0/env/-"
    )]
    #[case(
        Place::lifecycle(1),
        "spec.containers[1].lifecycle",
        "/spec/containers/1/lifecycle"
    )]
    #[case(
        Place::Hook(0, HookName::PreStop),
        "spec.containers[0].lifecycle.preStop",
        "/spec/containers/0/lifecycle/preStop"
    )]
    fn a_place_has_two_spellings(
        #[case] place: Place<'_>,
        #[case] field: &str,
        #[case] pointer: &str,
    ) {
        assert_eq!(place.to_string(), field);
        let mut written = Vec::new();
        place.write_pointer(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), pointer);
    }
}
