//! The one comparison of what a runtime wants with what is there already.
//!
//! For any kind of item it says the same few things: nothing is there, an equal item is, one of
//! ours in another form is, or a different one is, from whom, and in which fields. What a
//! difference means is the caller's to say.

use serde_json::Value;

use super::compare::{Extras, differences, disagreement};
use crate::budget::{Budget, Exhausted};
use crate::config::Runtime;
use crate::kube::normalize::Kind;
use crate::text::listed;

/// What is there under the identity of a wanted item.
#[derive(Debug)]
pub(super) enum Standing<'a> {
    /// Nothing.
    Absent,
    /// An item that is equal.
    Equal,
    /// What the configuration brings, in another form. It stays.
    Ours(Form),
    /// Something else, which differs in these fields.
    Differs(Origin<'a>, Vec<String>),
}

/// The forms, beside the one that the configuration has now, in which an item of the pod is still
/// ours.
///
/// Whatever else the pod may hold of ours is a variant here: the item as an earlier revision of the
/// configuration had it, or as the document has it before its region is filled in, which
/// controllers that read it themselves inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A hook's command, chained with the pod's own.
    Chained,
    /// A hook's command, with its shell in another standard place.
    Respelled,
}

/// Whose the different item is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    Pod,
    /// Of a runtime that was injected before this one.
    Runtime(&'a Runtime),
}

/// A wanted item, ready to be compared.
pub(super) trait Wanted {
    /// An item of the pod under the same identity, as it is compared.
    type Found: ?Sized;

    fn with_pod(&self, found: &Self::Found, budget: &mut Budget) -> Result<Likeness, Exhausted>;

    /// Compares with what an earlier runtime wants under the same identity.
    fn with_earlier(&self, earlier: &Self, budget: &mut Budget) -> Result<Likeness, Exhausted>;
}

/// How alike two items of one identity are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Equal,
    Ours(Form),
    /// They differ in these fields; none where the item has no fields.
    Different(Vec<String>),
}

impl Likeness {
    pub(super) fn of_differences(fields: Vec<String>) -> Self {
        if fields.is_empty() {
            Self::Equal
        } else {
            Self::Different(fields)
        }
    }
}

/// Says what is there of `wanted`: in the pod, or else from an earlier runtime.
pub(super) fn reconcile<'a, W: Wanted>(
    wanted: &W,
    in_pod: Option<&W::Found>,
    earlier: Option<(W, &'a Runtime)>,
    budget: &mut Budget,
) -> Result<Standing<'a>, Exhausted> {
    budget.steps(1)?;
    let (origin, likeness) = match (in_pod, earlier) {
        (Some(found), _) => (Origin::Pod, wanted.with_pod(found, budget)?),
        (None, Some((other, owner))) => {
            (Origin::Runtime(owner), wanted.with_earlier(&other, budget)?)
        }
        (None, None) => return Ok(Standing::Absent),
    };
    Ok(match likeness {
        Likeness::Equal => Standing::Equal,
        Likeness::Ours(form) => Standing::Ours(form),
        Likeness::Different(fields) => Standing::Differs(origin, fields),
    })
}

/// An item of a list in its normal form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal<'w> {
    pub(super) kind: Kind,
    pub(super) normal: Option<&'w Value>,
    /// How much more the pod's item may hold.
    pub(super) extras: Extras,
}

impl Wanted for Normal<'_> {
    type Found = Option<Value>;

    fn with_pod(&self, found: &Option<Value>, budget: &mut Budget) -> Result<Likeness, Exhausted> {
        let fields = differences(self.kind, self.normal, found.as_ref(), self.extras, budget)?;
        Ok(Likeness::of_differences(fields))
    }

    fn with_earlier(&self, earlier: &Self, budget: &mut Budget) -> Result<Likeness, Exhausted> {
        Ok(Likeness::of_differences(disagreement(
            self.kind,
            self.normal,
            earlier.normal,
            budget,
        )?))
    }
}

/// The value of a label or an annotation.
#[derive(Debug, Clone, Copy)]
pub(super) struct MapValue<'w>(pub(super) &'w str);

impl Wanted for MapValue<'_> {
    type Found = str;

    fn with_pod(&self, found: &str, _: &mut Budget) -> Result<Likeness, Exhausted> {
        Ok(if self.0 == found {
            Likeness::Equal
        } else {
            Likeness::Different(Vec::new())
        })
    }

    fn with_earlier(&self, earlier: &Self, budget: &mut Budget) -> Result<Likeness, Exhausted> {
        self.with_pod(earlier.0, budget)
    }
}

/// `differs in image, env[A]`: the fields alone.
pub(super) fn differs_in(fields: &[String]) -> String {
    const MAX_FIELDS: usize = 8;
    format!("differs in {}", listed(fields.iter(), MAX_FIELDS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn standing<'a>(
        wanted: &Value,
        in_pod: Option<&Value>,
        earlier: Option<(&Value, &'a Runtime)>,
        budget: &mut Budget,
    ) -> Result<Standing<'a>, Exhausted> {
        fn normal(value: &Value) -> Normal<'_> {
            Normal {
                kind: Kind::Env,
                normal: Some(value),
                extras: Extras::Refused,
            }
        }
        let in_pod = in_pod.map(|value| Some(value.clone()));
        let earlier = earlier.map(|(value, owner)| (normal(value), owner));
        reconcile(&normal(wanted), in_pod.as_ref(), earlier, budget)
    }

    #[test]
    fn the_pod_comes_before_earlier_runtimes() {
        let config = Config::load(&[("tools", "{}")].into(), None).unwrap();
        let owner = &config.runtimes()[0];
        let (one, other) = (
            json!({"name": "A", "value": "1"}),
            json!({"name": "A", "value": "2"}),
        );
        let budget = &mut Budget::unlimited();
        let found = standing(&one, None, None, budget).unwrap();
        assert!(matches!(found, Standing::Absent));
        let found = standing(&one, Some(&one), Some((&other, owner)), budget).unwrap();
        assert!(matches!(found, Standing::Equal));
        let Standing::Differs(Origin::Pod, fields) =
            standing(&one, Some(&other), Some((&one, owner)), budget).unwrap()
        else {
            panic!("the pod has another value")
        };
        assert_eq!(fields, ["value"]);
        let found = standing(&one, None, Some((&one, owner)), budget).unwrap();
        assert!(matches!(found, Standing::Equal));
        let found = standing(&one, None, Some((&other, owner)), budget).unwrap();
        assert!(matches!(found, Standing::Differs(Origin::Runtime(_), _)));
    }

    #[test]
    fn a_comparison_ends_with_its_budget() {
        let one = json!({"name": "A", "value": "1"});
        let other = json!({"name": "A", "value": "2"});
        assert!(standing(&one, Some(&other), None, &mut Budget::new(2, 0)).is_err());
        assert!(standing(&one, Some(&other), None, &mut Budget::new(10, 0)).is_ok());
    }
}
