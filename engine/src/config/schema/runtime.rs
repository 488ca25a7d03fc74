//! The fields of a runtime: this project's own, with Kubernetes' types inside.

use super::Shape::{List, Map, Object, Text};
use super::core_v1::{CONTAINER, ENV_VAR, LIFECYCLE, LIFECYCLE_HANDLER, VOLUME, VOLUME_MOUNT};
use super::{ObjectType, Shape};

/// What the value of a runtime's key must be.
pub(in crate::config) static RUNTIME: Shape = Object(&RUNTIME_OBJECT);

static RUNTIME_OBJECT: ObjectType = ObjectType {
    name: "Runtime",
    fields: &[
        ("mainContainer", Object(&MAIN_CONTAINER)),
        ("csiSidecar", List(&Object(&CONTAINER))),
        ("initContainers", List(&Object(&CONTAINER))),
        ("containers", List(&Object(&CONTAINER))),
        ("volume", List(&Object(&VOLUME))),
        ("labels", Map(&Text)),
        ("annotations", Map(&Text)),
    ],
    closed: Some(
        "a runtime has mainContainer, csiSidecar, initContainers, containers, volume, labels and annotations",
    ),
    part_of: None,
};

/// The part of a container that can be added to the pod's own.
static MAIN_CONTAINER: ObjectType = ObjectType {
    name: "Container",
    fields: &[
        ("name", Text),
        ("env", List(&Object(&ENV_VAR))),
        ("volumeMounts", List(&Object(&VOLUME_MOUNT))),
        ("lifecycle", Object(&MAIN_LIFECYCLE)),
    ],
    closed: Some("a mainContainer has name, env, volumeMounts and lifecycle"),
    part_of: Some(&CONTAINER),
};

static MAIN_LIFECYCLE: ObjectType = ObjectType {
    name: "Lifecycle",
    fields: &[
        ("postStart", Object(&LIFECYCLE_HANDLER)),
        ("preStop", Object(&LIFECYCLE_HANDLER)),
    ],
    closed: Some("a lifecycle has postStart and preStop"),
    part_of: Some(&LIFECYCLE),
};
