//! Labels, annotations, and the mark that says what a pod got.

use std::borrow::Cow;

use super::context::Context;
use super::decision::Action;
use super::draft::Draft;
use super::reconcile::{MapValue, Origin, Standing, reconcile};
use super::{Mark, Stop};
use crate::annotations::STATUS_ANNOTATION;
use crate::budget::Budget;
use crate::config::Runtime;
use crate::json_text::write_text;
use crate::patch::Value;
use crate::place::{MetadataMap, Place};
use crate::pod::{Object, Text};

/// An entry that is to be added.
type Entry<'a> = (&'a str, Cow<'a, str>);

/// Adds the labels and annotations that the pod lacks, and the mark.
pub(super) fn complete<'a>(cx: &Context<'_, 'a>, draft: &mut Draft<'_, 'a>) -> Result<(), Stop> {
    let labels = complete_map(cx, MetadataMap::Labels, draft)?;
    add(cx, MetadataMap::Labels, labels, draft);
    let mut annotations = complete_map(cx, MetadataMap::Annotations, draft)?;
    if cx.options.status_annotation {
        let mark = mark(cx.runtimes);
        match get(
            cx,
            MetadataMap::Annotations,
            STATUS_ANNOTATION,
            draft.budget,
        )? {
            Some(found) if *found == *mark => {}
            Some(_) => {
                draft.mark(Mark::Replaced);
                let place = Place::Entry(MetadataMap::Annotations, STATUS_ANNOTATION);
                draft.replace(place, Value::Text(mark.into()));
            }
            None => {
                draft.mark(Mark::Added);
                annotations.push((STATUS_ANNOTATION, mark.into()));
            }
        }
    }
    add(cx, MetadataMap::Annotations, annotations, draft);
    Ok(())
}

/// The entries that the pod lacks. What it has stays: other controllers select by it.
fn complete_map<'a>(
    cx: &Context<'_, 'a>,
    map: MetadataMap,
    draft: &mut Draft<'_, 'a>,
) -> Result<Vec<Entry<'a>>, Stop> {
    let mut added: Vec<(&'a str, &'a str, &'a Runtime)> = Vec::new();
    for runtime in cx.runtimes.iter().copied() {
        let wanted = match map {
            MetadataMap::Labels => &runtime.labels,
            MetadataMap::Annotations => &runtime.annotations,
        };
        for (key, value) in wanted {
            let place = Place::Entry(map, key);
            let in_pod = get(cx, map, key, draft.budget)?;
            draft.budget.steps(added.len())?;
            let earlier = added.iter().find(|(other, ..)| other == key);
            let earlier = earlier.map(|(_, value, owner)| (MapValue(value), *owner));
            match reconcile(&MapValue(value), in_pod.as_deref(), earlier, draft.budget)? {
                Standing::Absent => {
                    added.push((key, value, runtime));
                    draft.decide(runtime, place, Action::Added);
                }
                Standing::Equal | Standing::Ours(_) => {
                    draft.decide(runtime, place, Action::Unchanged);
                }
                Standing::Differs(Origin::Pod, _) => {
                    draft.keep(
                        runtime,
                        place,
                        "the pod already has a different value".to_owned(),
                    );
                }
                Standing::Differs(Origin::Runtime(_), _) => {
                    draft.keep(
                        runtime,
                        place,
                        "another runtime already sets a different value".to_owned(),
                    );
                }
            }
        }
    }
    Ok(added
        .into_iter()
        .map(|(key, value, _)| (key, Cow::Borrowed(value)))
        .collect())
}

/// The value of an entry of the pod.
fn get<'p>(
    cx: &Context<'p, '_>,
    map: MetadataMap,
    key: &str,
    budget: &mut Budget,
) -> Result<Option<Text<'p>>, Stop> {
    budget.steps(entries(cx, map).map_or(0, Object::len))?;
    Ok(match map {
        MetadataMap::Labels => cx.pod.label(key)?,
        MetadataMap::Annotations => cx.pod.annotation(key)?,
    })
}

fn entries<'p>(cx: &Context<'p, '_>, map: MetadataMap) -> Option<&'p Object<'p>> {
    match map {
        MetadataMap::Labels => cx.pod.metadata.labels.as_ref(),
        MetadataMap::Annotations => cx.pod.metadata.annotations.as_ref(),
    }
}

fn add<'a>(
    cx: &Context<'_, 'a>,
    map: MetadataMap,
    added: Vec<Entry<'a>>,
    draft: &mut Draft<'_, 'a>,
) {
    if added.is_empty() {
        return;
    }
    if entries(cx, map).is_some() {
        for (key, value) in added {
            draft.add(Place::Entry(map, key), Value::Text(value));
        }
    } else {
        draft.add(Place::Map(map), Value::Map(added));
    }
}

/// The mark's text: compact JSON of the runtimes and their revisions, in the order of injection.
fn mark(runtimes: &[&Runtime]) -> String {
    // Names and revisions are short.
    let mut out = Vec::with_capacity(16 + 48 * runtimes.len());
    out.extend_from_slice(br#"{"runtimes":{"#);
    for (index, runtime) in runtimes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(&runtime.name, &mut out);
        out.push(b':');
        write_text(runtime.revision(), &mut out);
    }
    out.extend_from_slice(b"}}");
    String::from_utf8(out).unwrap_or_default()
}
