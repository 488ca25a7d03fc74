//! What holds for every pod and every configuration.
//!
//! `PROPTEST_CASES=20000 cargo test -p sandbox-injector-engine properties` looks harder.

use std::fmt;

use arbitrary::Unstructured;
use engine::config::Config;
use engine::inject::OnConflict;
use engine::inject::decision::Action;
use engine::review::decide::{Settings, Verdict};
use engine::runtimes::DefaultRuntimes;
use invariants::generate::{Generator, SECRET, Setup, pointers};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::oracles::apiserver::{Admission, returned};
use super::oracles::model::{self, Runtime};
use super::oracles::oracle;
use super::oracles::webhook::{Answered, UID, apply, post, review};

/// A generated pod, and what is asked of a generated configuration.
struct World {
    setup: Setup,
    config: Config,
    settings: Settings,
    keep: bool,
    pod: Value,
}

impl World {
    fn new(setup: Setup, pod: Value, keep: bool) -> Self {
        let config = Config::load(&setup.entries(), None)
            .unwrap_or_else(|error| panic!("{error}: {:?}", setup.runtimes));
        let mut settings = Settings::default();
        settings.selection.forced = Some(DefaultRuntimes(setup.asked.clone()));
        settings.injection.on_conflict = if keep {
            OnConflict::Keep
        } else {
            OnConflict::Deny
        };
        Self {
            setup,
            config,
            settings,
            keep,
            pod,
        }
    }

    fn inject(&self, pod: &Value) -> Answered<'_> {
        post(
            review(pod).to_string().as_bytes(),
            &self.config,
            &self.settings,
        )
    }

    /// The pod after injection; nothing when it is denied.
    fn injected(&self, pod: &Value) -> Option<Value> {
        let answered = self.inject(pod);
        match &answered.patch {
            _ if answered.response["allowed"] == false => None,
            Some(patch) => Some(apply(pod, patch)),
            None => Some(pod.clone()),
        }
    }

    /// What the rules make of the pod.
    fn expected(&self) -> Option<Value> {
        let asked = self.setup.asked().into_iter().map(|(name, value)| Runtime {
            name,
            value,
            revision: self.config.runtime(name).unwrap().revision(),
        });
        model::merge(&self.pod, &asked.collect::<Vec<_>>(), self.keep)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "keep: {}, asked: {:?}", self.keep, self.setup.asked)?;
        for (name, runtime) in &self.setup.runtimes {
            writeln!(f, "{name}: {runtime}")?;
        }
        write!(f, "pod: {}", self.pod)
    }
}

fn admission() -> impl Strategy<Value = Admission> {
    any::<[bool; 4]>().prop_map(|[token, limits, images, resize]| Admission {
        token,
        limits,
        images,
        resize,
    })
}

/// A configuration and a pod, made of bytes as those of the fuzzers are. Shorter bytes make less,
/// so that a failure shrinks.
fn generated() -> impl Strategy<Value = (Setup, Value)> {
    vec(any::<u8>(), 0..1600).prop_map(|bytes| {
        let mut bytes = Unstructured::new(&bytes);
        let mut generator = Generator::tidy(&mut bytes);
        (generator.setup(), generator.pod())
    })
}

/// A pod that was injected before with a part of what is asked now, stored, and changed since or
/// not.
fn resumed() -> impl Strategy<Value = (Setup, Value)> {
    let parts = (generated(), admission(), any::<prop::sample::Index>(), 0..4);
    parts.prop_map(|((setup, pod), admission, index, form)| {
        let mut earlier = setup.clone();
        if form == 0 {
            earlier.asked.truncate(1);
        }
        let injected = World::new(earlier, pod.clone(), true)
            .injected(&pod)
            .unwrap_or(pod);
        let mut stored = returned(&injected, admission);
        if form == 1 {
            drop(
                stored["spec"]
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("volumes"),
            );
        }
        if form == 2 {
            let containers = stored["spec"]["initContainers"].as_array_mut();
            if let Some(containers) = containers.filter(|containers| !containers.is_empty()) {
                containers.remove(index.index(containers.len()));
            }
        }
        (setup, stored)
    })
}

fn world() -> impl Strategy<Value = World> {
    (
        prop_oneof![generated().boxed(), resumed().boxed()],
        any::<bool>(),
    )
        .prop_map(|((setup, pod), keep)| World::new(setup, pod, keep))
}

/// Everything that `before` says is still in `after`, in its place; lists only grow at their end.
fn lost(before: &Value, after: &Value, path: &str, out: &mut Vec<String>) {
    let hook = path.contains("/lifecycle/")
        && path
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with('p'));
    match (before, after) {
        _ if path.ends_with("sandbox-injector.io/status") => {}
        (Value::Null, _) => {}
        _ if hook && before != after => {
            let words = |hook: &Value| {
                hook["exec"]["command"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            };
            if !words(after).ends_with(&words(before)) {
                out.push(path.to_owned());
            }
        }
        (Value::Object(before), Value::Object(after)) => {
            for (field, value) in before {
                match after.get(field) {
                    Some(found) => lost(value, found, &format!("{path}/{field}"), out),
                    None => out.push(format!("{path}/{field}")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (index, value) in before.iter().enumerate() {
                match after.get(index) {
                    Some(found) => lost(value, found, &format!("{path}/{index}"), out),
                    None => out.push(format!("{path}/{index}")),
                }
            }
        }
        (before, after) if before == after => {}
        _ => out.push(path.to_owned()),
    }
}

fn config() -> ProptestConfig {
    // A failure prints its input; what is worth keeping becomes a test of its own.
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 4096,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_patched_pod_is_the_one_that_the_rules_make(world in world()) {
        prop_assert_eq!(world.injected(&world.pod), world.expected(), "{}", world.inject(&world.pod).response);
    }

    #[test]
    fn injecting_twice_changes_nothing(world in world()) {
        if let Some(after) = world.injected(&world.pod) {
            let again = world.inject(&after);
            prop_assert_eq!(again.patch, None, "{}", again.response);
            prop_assert_eq!(&again.response["allowed"], true);
        }
    }

    #[test]
    fn a_stored_pod_injects_to_itself(world in world(), admission in admission()) {
        if let Some(after) = world.injected(&world.pod) {
            let again = world.inject(&returned(&after, admission));
            prop_assert_eq!(again.patch, None, "{}", again.response);
            prop_assert_eq!(&again.response["allowed"], true, "{}", again.response);
        }
    }

    #[test]
    fn nothing_of_the_pod_is_lost(world in world()) {
        if let Some(after) = world.injected(&world.pod) {
            let mut out = Vec::new();
            lost(&world.pod, &after, "", &mut out);
            prop_assert!(out.is_empty(), "{out:?}");
        }
    }

    #[test]
    fn a_valid_pod_stays_valid(world in world()) {
        if oracle::faults(&world.pod).is_empty() && let Some(after) = world.injected(&world.pod) {
            let faults = oracle::faults(&after);
            prop_assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn a_denial_says_why_and_changes_nothing(world in world()) {
        let answered = world.inject(&world.pod);
        let response = &answered.response;
        prop_assert_eq!(&response["uid"], UID);
        if response["allowed"] == true {
            prop_assert!(response.get("status").is_none());
            return Ok(());
        }
        prop_assert!(answered.patch.is_none());
        let status = &response["status"];
        prop_assert_eq!(&status["code"], 422);
        prop_assert_eq!(&status["reason"], "Invalid");
        let causes = status["details"]["causes"].as_array().unwrap();
        prop_assert!(!causes.is_empty());
        for cause in causes {
            prop_assert!(cause["field"].as_str().is_some_and(|field| !field.is_empty()));
            prop_assert!(cause["message"].as_str().is_some_and(|text| text.starts_with("sandbox-injector: ")));
        }
    }

    /// Only what would bring a tenant next to a privileged container, a mount without a volume and a missing main
    /// container are denied where the operator chose that pods keep what they have.
    #[test]
    fn keeping_denies_for_three_reasons_only(world in world()) {
        let answered = world.inject(&world.pod);
        let Verdict::Denied(denied) = &answered.decided.verdict else { return Ok(()) };
        if world.keep {
            for cause in denied.refusal.causes() {
                let allowed: [&str; 3] = ["privileged", "which none of this pod's runtimes defines", "mainContainer.name is"];
                prop_assert!(allowed.iter().any(|part| cause.message.contains(*part)), "{}", cause);
            }
        }
    }

    #[test]
    fn answers_are_printable_and_contain_no_secret_of_the_pod(world in world()) {
        let mut answered = world.inject(&world.pod);
        let fields = answered.response.as_object_mut().unwrap();
        fields.shift_remove("patch");
        let text = answered.response.to_string();
        prop_assert!(!text.contains(SECRET), "{text}");
        for warning in answered.response["warnings"].as_array().into_iter().flatten() {
            let warning = warning.as_str().unwrap();
            prop_assert!(warning.len() <= 120 && warning.bytes().all(|b| (b' '..=b'~').contains(&b)), "{warning}");
        }
        for decision in answered.decided.decisions() {
            let said = format!("{} {}", decision.place, decision.why.as_deref().unwrap_or_default());
            prop_assert!(!said.contains(SECRET), "{said}");
        }
    }

    /// What is reported is what is done.
    #[test]
    fn the_patch_agrees_with_the_decisions(world in world()) {
        let answered = world.inject(&world.pod);
        let Verdict::Injected(plan) = &answered.decided.verdict else { return Ok(()) };
        let count = |action| plan.decisions.iter().filter(|decision| decision.action == action).count();
        prop_assert_eq!(count(Action::Conflict), 0);
        prop_assert_eq!(answered.response["auditAnnotations"]["kept"].as_str().unwrap(), plan.kept().to_string());
        if count(Action::Added) + count(Action::Chained) > 0 {
            prop_assert!(answered.patch.is_some());
        }
    }

    #[test]
    fn report_only_neither_patches_nor_denies(world in world()) {
        let settings = Settings { report_only: true, ..world.settings.clone() };
        let answered = post(review(&world.pod).to_string().as_bytes(), &world.config, &settings);
        prop_assert_eq!(&answered.response["allowed"], true);
        prop_assert!(answered.patch.is_none());
        let would_deny = matches!(answered.decided.verdict, Verdict::Denied(_));
        let said = answered.response["warnings"].to_string().contains("would be denied");
        prop_assert_eq!(would_deny, said);
    }

    /// Whatever is put in place of some part of a pod, there is an answer.
    #[test]
    fn no_pod_causes_a_panic(world in world(), place in any::<prop::sample::Index>(), form in 0..7_usize) {
        let mut pod = world.pod.clone();
        let mut places = Vec::new();
        pointers(&pod, &mut places);
        places.retain(|place| place.matches('/').count() > 1);
        let odd = [json!(null), json!(7), json!("x"), json!([]), json!([null]), json!({}), json!({"name": {"a": 1}})];
        *pod.pointer_mut(&places[place.index(places.len())]).unwrap() = odd[form].clone();
        let answered = world.inject(&pod);
        prop_assert!(answered.response["allowed"].is_boolean());
        if let Some(patch) = &answered.patch {
            apply(&pod, patch);
        }
        if answered.response["allowed"] == false {
            prop_assert!(!answered.response["status"]["details"]["causes"].as_array().unwrap().is_empty());
        }
        prop_assert!(!answered.response["status"].to_string().contains(SECRET), "{}", answered.response);
    }
}
