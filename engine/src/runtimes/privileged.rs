//! Who may ask for privileged runtimes.
//!
//! Labels and annotations are the tenant's own word, so the two questions here are about what a tenant cannot
//! write: the namespace, which is the boundary that counts, and who created the pod, which says which controller
//! made it but not on whose behalf.

use crate::config::Runtime;
use crate::pattern::Pattern;

/// The rules; a list that is empty allows anyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `--privileged-namespaces`
    pub namespaces: Vec<Pattern>,
    /// `--privileged-creators`
    pub creators: Vec<Pattern>,
}

/// A privileged runtime that this pod may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("runtime {runtime} is privileged and {what} {value:?} is not in {flag}; {fix}")]
pub struct Forbidden {
    /// The runtime.
    pub runtime: String,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub value: String,
    /// The flag that rules it out.
    pub flag: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Policy {
    /// Whether any rule is set.
    pub fn is_set(&self) -> bool {
        !self.namespaces.is_empty() || !self.creators.is_empty()
    }

    /// The flags that are set.
    pub fn flags(&self) -> Vec<&'static str> {
        let set = [(&self.namespaces, "--privileged-namespaces"), (&self.creators, "--privileged-creators")];
        set.into_iter().filter(|(patterns, _)| !patterns.is_empty()).map(|(_, flag)| flag).collect()
    }

    /// Who may have privileged runtimes, in words.
    pub fn in_words(&self) -> String {
        let list =
            |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" or ");
        match (self.namespaces.as_slice(), self.creators.as_slice()) {
            ([], []) => "unrestricted".to_owned(),
            (namespaces, []) => format!("only in namespaces {}", list(namespaces)),
            ([], creators) => format!("only for pods created by {}", list(creators)),
            (namespaces, creators) => {
                format!("only in namespaces {} for pods created by {}", list(namespaces), list(creators))
            }
        }
    }

    /// Checks one runtime. `creator` is the user name that the API server authenticated; `None` (offline) is
    /// not checked.
    pub fn check(&self, runtime: &Runtime, namespace: &str, creator: Option<&str>) -> Result<(), Forbidden> {
        if runtime.privileged.is_empty() {
            return Ok(());
        }
        let forbidden = |what, value: &str, flag, fix| Forbidden {
            runtime: runtime.name.clone(),
            what,
            value: value.to_owned(),
            flag,
            fix,
        };
        if !allows(&self.namespaces, namespace) {
            let fix = "use an allowed namespace or request other runtimes";
            return Err(forbidden("namespace", namespace, "--privileged-namespaces", fix));
        }
        if let Some(creator) = creator
            && !allows(&self.creators, creator)
        {
            let fix = "create a sandbox and let its controller create the pod, or request other runtimes";
            return Err(forbidden("creator", creator, "--privileged-creators", fix));
        }
        Ok(())
    }
}

fn allows(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}
