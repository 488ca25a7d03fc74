//! Lifecycle hooks of a main container: added, recognised, or chained with the pod's own.

use serde_json::Value as Json;

use super::Stop;
use super::compare::{Extras, differences};
use super::context::{self, Context};
use super::decision::Action;
use super::draft::Draft;
use super::reconcile::{Form, Likeness, Origin, Standing, Wanted, differs_in, reconcile};
use crate::budget::{Budget, Exhausted};
use crate::config::{Hook, Runtime};
use crate::kube::hook_chain::{Chain, exec_command, same_command};
use crate::kube::normalize::{Kind, normal};
use crate::patch::Value;
use crate::place::{HookName, Place};
use crate::pod::Object;

/// A hook of the pod.
pub(super) struct PodHook {
    normal: Json,
    /// The command of an exec hook.
    command: Option<Vec<String>>,
}

/// Completes the hooks of one container; `runtimes` are those that have it as their main container.
pub(super) fn complete<'a>(
    cx: &Context<'_, 'a>,
    index: usize,
    runtimes: &[&'a Runtime],
    draft: &mut Draft<'_, 'a>,
) -> Result<(), Stop> {
    let raw = cx
        .pod
        .containers()
        .get(index)
        .and_then(|container| container.fields.get("lifecycle"));
    let lifecycle: Option<Object<'_>> = match raw {
        Some(raw) => Some(context::parse(
            raw,
            || Place::lifecycle(index),
            draft.budget,
        )?),
        None => None,
    };
    let mut added = Vec::new();
    for name in [HookName::PostStart, HookName::PreStop] {
        let place = Place::Hook(index, name);
        let found = match lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.get(name.as_str()))
        {
            Some(raw) => normal(Kind::Hook, &context::parse(raw, || place, draft.budget)?),
            None => None,
        };
        let found = found.map(|normal| PodHook {
            command: exec_command(&normal),
            normal,
        });
        // The first runtime with a hook has the place; others must want the same.
        let mut first: Option<(&'a Hook, &'a Runtime)> = None;
        for runtime in runtimes.iter().copied() {
            let Some(hook) = hook_of(runtime, name) else {
                continue;
            };
            let in_pod = found.as_ref().filter(|_| first.is_none());
            if is_absent(runtime, hook, place, in_pod, first, draft)? {
                added.push((name, &hook.json));
            }
            first.get_or_insert((hook, runtime));
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    if lifecycle.is_some() {
        for (name, json) in added {
            draft.add(Place::Hook(index, name), Value::Fragment(json));
        }
    } else {
        draft.add(Place::lifecycle(index), Value::Hooks(added));
    }
    Ok(())
}

/// Decides on one hook; true when it is to be added.
fn is_absent<'a>(
    runtime: &'a Runtime,
    hook: &'a Hook,
    place: Place<'a>,
    in_pod: Option<&PodHook>,
    first: Option<(&'a Hook, &'a Runtime)>,
    draft: &mut Draft<'_, 'a>,
) -> Result<bool, Stop> {
    match (reconcile(&hook, in_pod, first, draft.budget)?, in_pod) {
        (Standing::Absent, _) => {
            draft.decide(runtime, place, Action::Added);
            return Ok(true);
        }
        (Standing::Equal | Standing::Ours(Form::Respelled), _) => {
            draft.decide(runtime, place, Action::Unchanged);
        }
        (Standing::Ours(Form::Chained), _) => {
            draft.decide_because(
                runtime,
                place,
                Action::Unchanged,
                "already chained".to_owned(),
            );
        }
        (Standing::Differs(Origin::Runtime(owner), fields), _) => {
            let why = format!("the hook of runtime {} {}", owner.name, differs_in(&fields));
            let fix = "keep only one of them in the configuration";
            draft.conflict_in_place(runtime, place, why, fix);
        }
        (
            Standing::Differs(Origin::Pod, _),
            Some(PodHook {
                command: Some(own), ..
            }),
        ) if hook.exec.is_some() => {
            if let Some((_, chain)) = &hook.exec {
                let command = serde_json::json!({"exec": {"command": chain.argv(own)}});
                draft.replace(place, Value::Json(command.to_string()));
            }
            draft.decide_because(
                runtime,
                place,
                Action::Chained,
                "both commands run".to_owned(),
            );
        }
        (Standing::Differs(Origin::Pod, _), found) => {
            let handler_of = |is_exec: bool, hook: Option<&Json>| match hook {
                _ if is_exec => "exec",
                Some(hook) => handler(hook),
                None => "no",
            };
            let pods = handler_of(
                found.is_some_and(|found| found.command.is_some()),
                found.map(|found| &found.normal),
            );
            let ours = handler_of(hook.exec.is_some(), hook.normal.as_ref());
            let why = format!(
                "the pod's hook is {pods} and the injected one is {ours}; only exec hooks can be chained"
            );
            draft.conflict_in_place(runtime, place, why, "remove it or change it to exec");
        }
    }
    Ok(false)
}

impl Wanted for &Hook {
    type Found = PodHook;

    fn with_pod(&self, found: &PodHook, budget: &mut Budget) -> Result<Likeness, Exhausted> {
        if let (Some((argv, chain)), Some(own)) = (&self.exec, &found.command) {
            return Ok(match Chain::parse(own) {
                _ if argv == own => Likeness::Equal,
                _ if same_command(argv, own) => Likeness::Ours(Form::Respelled),
                Some(chained) if chained.is_of(chain) => Likeness::Ours(Form::Chained),
                _ => Likeness::Different(Vec::new()),
            });
        }
        let fields = differences(
            Kind::Hook,
            self.normal.as_ref(),
            Some(&found.normal),
            Extras::Refused,
            budget,
        )?;
        Ok(Likeness::of_differences(fields))
    }

    fn with_earlier(&self, earlier: &Self, budget: &mut Budget) -> Result<Likeness, Exhausted> {
        if self.normal == earlier.normal {
            return Ok(Likeness::Equal);
        }
        if let (Some((argv, _)), Some((other, _))) = (&self.exec, &earlier.exec)
            && same_command(argv, other)
        {
            return Ok(Likeness::Ours(Form::Respelled));
        }
        let (normal, other) = (self.normal.as_ref(), earlier.normal.as_ref());
        Ok(Likeness::Different(differences(
            Kind::Hook,
            normal,
            other,
            Extras::Refused,
            budget,
        )?))
    }
}

fn hook_of(runtime: &Runtime, name: HookName) -> Option<&Hook> {
    match name {
        HookName::PostStart => runtime.main.post_start.as_ref(),
        HookName::PreStop => runtime.main.pre_stop.as_ref(),
    }
}

/// The kind of a hook's handler, if it is a known one: a tenant's own word stays out of messages.
fn handler(hook: &Json) -> &'static str {
    let known = ["httpGet", "tcpSocket", "sleep", "exec"];
    let fields = hook.as_object().filter(|fields| fields.len() == 1);
    let name = fields.and_then(|fields| fields.keys().next());
    known
        .into_iter()
        .find(|known| name.is_some_and(|name| name == known))
        .unwrap_or("of several handlers")
}
