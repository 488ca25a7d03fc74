//! Lifecycle hooks of the main container: added, recognised, or chained with the pod's own.

use serde_json::Value as Json;

use super::decision::{Action, Decision, Field};
use super::equal::{Extras, differences};
use super::{Injection, differs_in};
use crate::config::{Hook, Runtime};
use crate::kube::hook_chain::{Chain, exec_command, same_command};
use crate::kube::normalize::{Kind, normal};
use crate::patch::{HookName, Op, Operation, Path, Value};
use crate::pod::{self, Object, ShapeError};

impl<'a> Injection<'_, 'a> {
    /// Decides on the hooks of one container; `asked` are the runtimes that have it as their main container.
    pub(super) fn hooks(&mut self, index: usize, asked: &[&'a Runtime]) -> Result<(), ShapeError> {
        let raw = self.pod.containers().get(index).and_then(|container| container.fields.get("lifecycle"));
        let lifecycle: Option<Object<'_>> = match raw {
            Some(raw) => Some(serde_json::from_str(raw.get()).map_err(|error| {
                ShapeError::new(format!("spec.containers[{index}].lifecycle"), pod::reason(&error))
            })?),
            None => None,
        };
        let mut added = Vec::new();
        for name in [HookName::PostStart, HookName::PreStop] {
            let found = match lifecycle.as_ref().and_then(|lifecycle| lifecycle.get(name.as_str())) {
                Some(raw) => {
                    let value: Json = serde_json::from_str(raw.get()).map_err(|error| {
                        ShapeError::new(Field::Hook(index, name).to_string(), pod::reason(&error))
                    })?;
                    normal(Kind::Hook, &value)
                }
                None => None,
            };
            // The first runtime with a hook has the place; others must ask for the same.
            let mut first: Option<(&'a Hook, &'a Runtime)> = None;
            for runtime in asked.iter().copied() {
                let Some(hook) = hook_of(runtime, name) else { continue };
                match first {
                    Some((other, owner)) => {
                        self.second_hook(runtime, hook, other, owner, Field::Hook(index, name));
                    }
                    None => {
                        first = Some((hook, runtime));
                        if self.hook(runtime, hook, index, name, found.as_ref()) {
                            added.push((name, &hook.json));
                        }
                    }
                }
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        if lifecycle.is_some() {
            let add = |(name, json)| Operation {
                op: Op::Add,
                path: Path::Hook(index, name),
                value: Value::Ready(json),
            };
            self.operations.extend(added.into_iter().map(add));
        } else {
            let operation =
                Operation { op: Op::Add, path: Path::Lifecycle(index), value: Value::Hooks(added) };
            self.operations.push(operation);
        }
        Ok(())
    }

    /// Decides on one hook; true when it is to be added.
    fn hook(
        &mut self,
        runtime: &'a Runtime,
        hook: &'a Hook,
        index: usize,
        name: HookName,
        found: Option<&Json>,
    ) -> bool {
        let field = Field::Hook(index, name);
        let Some(found) = found else {
            self.decide(runtime, field, Action::Added);
            return true;
        };
        let pod_command = exec_command(found);
        match (&hook.exec, pod_command) {
            (Some((argv, _)), Some(pod)) if same_command(argv, &pod) => {
                self.decide(runtime, field, Action::Unchanged);
            }
            (Some((_, chain)), Some(pod)) if Chain::parse(&pod).is_some_and(|found| found.is_of(chain)) => {
                let why = Some("already chained".to_owned());
                self.decisions.push(Decision {
                    runtime: &runtime.name,
                    field,
                    action: Action::Unchanged,
                    why,
                });
            }
            (Some((_, chain)), Some(pod)) => {
                let command = serde_json::json!({"exec": {"command": chain.argv(&pod)}});
                let value = Value::Json(command.to_string());
                self.operations.push(Operation { op: Op::Replace, path: Path::Hook(index, name), value });
                let why = Some("both commands run".to_owned());
                self.decisions.push(Decision { runtime: &runtime.name, field, action: Action::Chained, why });
            }
            (_, pod_command) => {
                let different = differences(Kind::Hook, hook.normal.as_ref(), Some(found), Extras::Refused);
                if different.is_empty() {
                    self.decide(runtime, field, Action::Unchanged);
                } else {
                    let pods = if pod_command.is_some() { "exec" } else { handler(found) };
                    let ours =
                        if hook.exec.is_some() { "exec" } else { hook.normal.as_ref().map_or("no", handler) };
                    let why = format!(
                        "the pod's hook is {pods} and the injected one is {ours}; only exec hooks can be chained"
                    );
                    self.conflict(runtime, field, field.to_string(), why, "remove it or change it to exec");
                }
            }
        }
        false
    }

    fn second_hook(
        &mut self,
        runtime: &'a Runtime,
        hook: &'a Hook,
        other: &'a Hook,
        owner: &Runtime,
        field: Field<'a>,
    ) {
        let same = match (&hook.exec, &other.exec) {
            (Some((one, _)), Some((two, _))) => same_command(one, two),
            _ => hook.normal == other.normal,
        };
        if same {
            return self.decide(runtime, field, Action::Unchanged);
        }
        let different = differences(Kind::Hook, hook.normal.as_ref(), other.normal.as_ref(), Extras::Refused);
        let why = format!("the hook of runtime {} {}", owner.name, differs_in(&different));
        self.conflict(runtime, field, field.to_string(), why, "keep only one of them in the configuration");
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
    known.into_iter().find(|known| name.is_some_and(|name| name == known)).unwrap_or("of several handlers")
}
