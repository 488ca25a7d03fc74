//! Who may have privileged runtimes.
//!
//! Labels and annotations are the tenant's own word, so the two questions here are about what a
//! tenant cannot write: the namespace, which is the boundary that counts, and who created the pod,
//! which says which controller made it but not on whose behalf.

use std::fmt;

use crate::config::Runtime;
use crate::pattern::Pattern;

/// The rules; a list that is empty allows anyone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrivilegedRules {
    /// `--privileged-namespaces`
    pub namespaces: Vec<Pattern>,
    /// `--privileged-creators`
    pub creators: Vec<Pattern>,
}

/// A privileged runtime that this pod may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("runtime {runtime} is privileged and {by} {value:?} is not in {flag}; {fix}", flag = by.flag(), fix = by.fix())]
pub struct Forbidden {
    runtime: String,
    by: Boundary,
    value: String,
}

/// What is looked at of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    Namespace,
    Creator,
}

impl PrivilegedRules {
    /// Whether any rule is set.
    pub fn is_set(&self) -> bool {
        !self.namespaces.is_empty() || !self.creators.is_empty()
    }

    /// The flags that are set.
    pub fn flags(&self) -> Vec<&'static str> {
        let set = [
            (&self.namespaces, Boundary::Namespace),
            (&self.creators, Boundary::Creator),
        ];
        set.into_iter()
            .filter(|(patterns, _)| !patterns.is_empty())
            .map(|(_, by)| by.flag())
            .collect()
    }

    /// Who may have privileged runtimes, in words.
    pub fn in_words(&self) -> String {
        let list = |patterns: &[Pattern]| {
            patterns
                .iter()
                .map(Pattern::as_str)
                .collect::<Vec<_>>()
                .join(" or ")
        };
        match (self.namespaces.as_slice(), self.creators.as_slice()) {
            ([], []) => "unrestricted".to_owned(),
            (namespaces, []) => format!("only in namespaces {}", list(namespaces)),
            ([], creators) => format!("only for pods created by {}", list(creators)),
            (namespaces, creators) => {
                format!(
                    "only in namespaces {} for pods created by {}",
                    list(namespaces),
                    list(creators)
                )
            }
        }
    }

    /// Checks one runtime. `creator` is the user name that the API server authenticated; `None`
    /// (offline) is not checked.
    pub fn check(
        &self,
        runtime: &Runtime,
        namespace: &str,
        creator: Option<&str>,
    ) -> Result<(), Forbidden> {
        if runtime.privileged.is_empty() {
            return Ok(());
        }
        let forbidden = |by, value: &str| {
            Err(Forbidden {
                runtime: runtime.name.clone(),
                by,
                value: value.to_owned(),
            })
        };
        if !allows(&self.namespaces, namespace) {
            return forbidden(Boundary::Namespace, namespace);
        }
        match creator {
            Some(creator) if !allows(&self.creators, creator) => {
                forbidden(Boundary::Creator, creator)
            }
            _ => Ok(()),
        }
    }
}

impl Boundary {
    fn flag(self) -> &'static str {
        match self {
            Boundary::Namespace => "--privileged-namespaces",
            Boundary::Creator => "--privileged-creators",
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Boundary::Namespace => "use an allowed namespace or request other runtimes",
            Boundary::Creator => {
                "create a sandbox and let its controller create the pod, or request other runtimes"
            }
        }
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Boundary::Namespace => "namespace",
            Boundary::Creator => "creator",
        })
    }
}

fn allows(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}
