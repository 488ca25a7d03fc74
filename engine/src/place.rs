//! A place in a pod.
//!
//! A place has two spellings. People read Kubernetes' own field path, `spec.containers[0].env[NAME]`, in reports and
//! denials; a patch needs the JSON pointer, `/spec/containers/0/env/-`. This is the only module that writes either.

use std::fmt;

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
    /// One by its name or cleaned path. A pointer to it is where a patch puts it: after the last item, `-`.
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

    /// The place as a JSON pointer (<https://www.rfc-editor.org/rfc/rfc6901>).
    pub fn pointer(self) -> Pointer<'a> {
        Pointer(self)
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

/// A [`Place`] that is spelled as a JSON pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer<'a>(Place<'a>);

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Map(map) => write_steps(f, ["/metadata/", map.as_str()]),
            Place::Entry(map, key) => {
                write_steps(f, ["/metadata/", map.as_str()])?;
                write_token(f, key)
            }
            Place::Spec => f.write_str("/spec"),
            Place::SecurityContext => f.write_str("/spec/securityContext"),
            Place::Volumes => f.write_str("/spec/volumes"),
            Place::Volume(key) => {
                f.write_str("/spec/volumes")?;
                write_key(f, key)
            }
            Place::Containers(list) => write_steps(f, ["/spec/", list.as_str()]),
            Place::Container(list, key) => {
                write_steps(f, ["/spec/", list.as_str()])?;
                write_key(f, key)
            }
            Place::ContainerField(list, index, field) => {
                write!(f, "/spec/{}/{index}", list.as_str())?;
                write_token(f, field)
            }
            Place::ContainerItem(list, index, field, key) => {
                Pointer(Place::ContainerField(list, index, field)).fmt(f)?;
                write_key(f, key)
            }
            Place::Hook(index, hook) => {
                Pointer(Place::lifecycle(index)).fmt(f)?;
                write_token(f, hook.as_str())
            }
        }
    }
}

fn write_steps(f: &mut fmt::Formatter<'_>, steps: [&str; 2]) -> fmt::Result {
    steps.into_iter().try_for_each(|step| f.write_str(step))
}

fn write_key(f: &mut fmt::Formatter<'_>, key: Key<'_>) -> fmt::Result {
    match key {
        Key::Index(index) => write!(f, "/{index}"),
        Key::Identity(_) => f.write_str("/-"),
    }
}

/// One token, with the two characters escaped that mean something in a pointer.
fn write_token(f: &mut fmt::Formatter<'_>, token: &str) -> fmt::Result {
    f.write_str("/")?;
    for piece in token.split_inclusive(['~', '/']) {
        match (piece.strip_suffix('~'), piece.strip_suffix('/')) {
            (Some(plain), _) => write_steps(f, [plain, "~0"])?,
            (_, Some(plain)) => write_steps(f, [plain, "~1"])?,
            _ => f.write_str(piece)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CONTAINERS: ContainerList = ContainerList::Containers;
    const INITS: ContainerList = ContainerList::InitContainers;

    #[rstest]
    #[case(Place::Map(MetadataMap::Labels), "metadata.labels", "/metadata/labels")]
    #[case(
        Place::Entry(MetadataMap::Annotations, "a.b/c~\"d"),
        "metadata.annotations[a.b/c~\"d]",
        "/metadata/annotations/a.b~1c~0\"d"
    )]
    #[case(Place::Spec, "spec", "/spec")]
    #[case(Place::SecurityContext, "spec.securityContext", "/spec/securityContext")]
    #[case(Place::Volumes, "spec.volumes", "/spec/volumes")]
    #[case(Place::Volume(Key::Index(2)), "spec.volumes[2]", "/spec/volumes/2")]
    #[case(Place::Volume(Key::Identity("v")), "spec.volumes[v]", "/spec/volumes/-")]
    #[case(Place::Containers(INITS), "spec.initContainers", "/spec/initContainers")]
    #[case(Place::Container(CONTAINERS, Key::Index(1)), "spec.containers[1]", "/spec/containers/1")]
    #[case(Place::Container(INITS, Key::Identity("c")), "spec.initContainers[c]", "/spec/initContainers/-")]
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
    #[case(Place::env(0, Key::Identity("A")), "spec.containers[0].env[A]", "/spec/containers/0/env/-")]
    #[case(Place::lifecycle(1), "spec.containers[1].lifecycle", "/spec/containers/1/lifecycle")]
    #[case(
        Place::Hook(0, HookName::PreStop),
        "spec.containers[0].lifecycle.preStop",
        "/spec/containers/0/lifecycle/preStop"
    )]
    fn a_place_has_two_spellings(#[case] place: Place<'_>, #[case] field: &str, #[case] pointer: &str) {
        assert_eq!(place.to_string(), field);
        assert_eq!(place.pointer().to_string(), pointer);
    }
}
