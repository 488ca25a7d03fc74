//! What is wrong, or risky, in a configuration: one vocabulary for load, `check` and `/validate`.

use std::fmt;

use serde::Serialize;

use crate::json_path::JsonPath;
use crate::text::printable;

/// Where the pages of docs/ are published, each under its own name.
const DOCUMENTATION: &str = "https://openkruise.github.io/sandbox-injector";

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration works, and will surprise somebody.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $text:literal, $severity:ident;)+) => {
        /// The kind of a finding. Codes are stable: scripts may match on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])+ $variant,)+ }

        impl Code {
            /// Every code, errors first.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it is printed.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// How bad it is, unless the place says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// No key of the configuration is a runtime.
    NoRuntime = "no-runtime", Error;
    /// A key that cannot be a runtime's name.
    BadKey = "bad-key", Error;
    /// The value is neither JSON nor YAML.
    Syntax = "syntax", Error;
    /// A value of another type than the field has.
    WrongType = "wrong-type", Error;
    /// A field that this level does not have, or that looks like a misspelt one.
    UnknownField = "unknown-field", Error;
    /// Something set in `mainContainer` that injection does not do.
    UnsupportedField = "unsupported-field", Error;
    /// A field that the API requires is missing.
    MissingField = "missing-field", Error;
    /// A name that the API server would refuse.
    InvalidName = "invalid-name", Error;
    /// One name or path twice where it must be unique.
    Duplicate = "duplicate", Error;
    /// A mount path that is relative or holds `:` or `..`.
    InvalidMountPath = "invalid-mount-path", Error;
    /// A mount of a volume that no runtime defines.
    UnknownVolume = "unknown-volume", Error;
    /// A text that is not a quantity.
    InvalidQuantity = "invalid-quantity", Error;
    /// A hook with no handler or with more than one.
    HookHandlers = "hook-handlers", Error;
    /// A volume with more than one source.
    VolumeSources = "volume-sources", Error;
    /// An image that still holds a `<placeholder>` nobody replaces.
    ImagePlaceholder = "image-placeholder", Error;
    /// `<region-id>` is used and no region is known.
    NoRegion = "no-region", Error;
    /// A pool rule for a system that has none.
    UnknownSystem = "unknown-system", Error;
    /// A pool rule that asks for a runtime which the configuration does not have.
    UnknownRuntime = "unknown-runtime", Error;
    /// A pattern for a name of which pods carry only the hash.
    HashedName = "hashed-name", Error;
    /// A field that is not known here and may belong to a newer Kubernetes; it is emitted as written.
    NewField = "new-field", Warning;
    /// Two runtimes have different things under one name or path.
    Disagreement = "disagreement", Warning;
    /// A mount of a volume that only another runtime defines.
    BorrowedVolume = "borrowed-volume", Warning;
    /// An init container without `restartPolicy: Always`, which is not a sidecar.
    RestartPolicy = "restart-policy", Warning;
    /// A `<placeholder>` that nobody replaces, outside an image.
    Placeholder = "placeholder", Warning;
    /// A mount path that ends in a slash.
    TrailingSlash = "trailing-slash", Warning;
    /// An image without a fixed tag.
    FloatingImage = "floating-image", Warning;
    /// `REGION_ID` with a literal value that is not the region.
    LiteralRegion = "literal-region", Warning;
    /// A privileged runtime.
    Privileged = "privileged", Warning;
    /// A hostPath that is mounted into the main container.
    HostPathInMain = "host-path-in-main", Warning;
    /// A hostPath that nodes with cgroup v2 do not have.
    CgroupV1Path = "cgroup-v1-path", Warning;
    /// A csi-agent image that is known to time out.
    OldCsiAgent = "old-csi-agent", Warning;
    /// `csi` without `agent-runtime`.
    CsiAlone = "csi-alone", Warning;
    /// A sidecar with neither limits nor `__IGNORE_RESOURCE__=true`.
    NoLimits = "no-limits", Warning;
}

impl Code {
    /// The address of the section that explains such a finding and how to fix it.
    pub fn page(self) -> String {
        format!("{DOCUMENTATION}/findings.html#{}", self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing to know about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// The key of the configuration; empty for the configuration as a whole.
    pub runtime: String,
    /// The place inside the key's value; `None` for the key as a whole.
    pub path: Option<JsonPath>,
    /// What is wrong and how to fix it, in one line.
    pub message: String,
}

impl Finding {
    /// A finding at a place, of the code's usual severity.
    pub(super) fn new(
        code: Code,
        runtime: &str,
        path: JsonPath,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: Some(path),
            ..Self::about_key(code, runtime, message)
        }
    }

    /// A finding about a key as a whole, or about the whole configuration if there is no key.
    pub(super) fn about_key(code: Code, runtime: &str, message: impl Into<String>) -> Self {
        let (runtime, message) = (runtime.to_owned(), message.into());
        Self {
            code,
            severity: code.severity(),
            runtime,
            path: None,
            message,
        }
    }

    /// The place as it is printed; empty for the key as a whole.
    pub fn place(&self) -> String {
        self.path
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// One line, whatever the configuration's own words in it are.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.runtime.is_empty() {
            write!(f, "{}: ", printable(&self.runtime))?;
        }
        if let Some(path) = &self.path {
            write!(f, "{}: ", printable(&path.to_string()))?;
        }
        f.write_str(&printable(&self.message))
    }
}

/// Collects what is found in the value of one key.
pub(super) struct Findings<'f> {
    key: &'f str,
    found: &'f mut Vec<Finding>,
}

impl<'f> Findings<'f> {
    pub(super) fn new(key: &'f str, found: &'f mut Vec<Finding>) -> Self {
        Self { key, found }
    }

    pub(super) fn add(&mut self, code: Code, path: JsonPath, message: impl Into<String>) {
        self.found.push(Finding::new(code, self.key, path, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_it_is_about() {
        let finding = Finding::new(
            Code::BadKey,
            "a\r\n",
            JsonPath::root().field("\u{1b}[31m"),
            "is\nno name",
        );
        assert_eq!(finding.to_string(), "a??: $[\"?[31m\"]: is?no name");
    }
}
