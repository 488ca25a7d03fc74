//! RFC 6902 patches, written directly.
//!
//! Values are the configuration's own JSON, copied as it is. No patch is ever a difference of two
//! pods, so what nobody asked to change cannot change (<https://www.rfc-editor.org/rfc/rfc6902>).

mod fragment;
mod write;

use std::borrow::Cow;

pub use fragment::Fragment;
pub use write::{encoded_size_hint, write, write_encoded};

use crate::place::{HookName, Place};

/// The value that an operation brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A value of the configuration.
    Fragment(&'a Fragment),
    /// Several values of the configuration, as a list.
    List(Vec<&'a Fragment>),
    /// JSON that was worked out for this pod.
    Json(String),
    /// A string, escaped when written.
    Text(Cow<'a, str>),
    /// A map of strings.
    Map(Vec<(&'a str, Cow<'a, str>)>),
    /// A lifecycle of hooks that the configuration has.
    Hooks(Vec<(HookName, &'a Fragment)>),
}

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Adds a field, an entry of a map, or an item after the last one of a list.
    Add(Place<'a>, Value<'a>),
    /// Replaces what is there.
    Replace(Place<'a>, Value<'a>),
}

impl<'a> Operation<'a> {
    /// The value that it brings.
    pub(crate) fn value(&self) -> &Value<'a> {
        let (Self::Add(_, value) | Self::Replace(_, value)) = self;
        value
    }
}
