//! The annotations of this project, all under one prefix.

/// What every annotation of this project starts with; a configuration cannot set such keys.
pub const PREFIX: &str = "sandbox-injector.io/";

/// A pod's runtimes, as a list of names: `agent-runtime,csi`, or `none`.
pub const RUNTIMES_ANNOTATION: &str = "sandbox-injector.io/runtimes";

/// The annotation that marks an injected pod. It informs; anyone can forge it, so nothing trusts
/// it.
pub const STATUS_ANNOTATION: &str = "sandbox-injector.io/status";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotation_is_under_the_prefix() {
        for annotation in [RUNTIMES_ANNOTATION, STATUS_ANNOTATION] {
            assert!(annotation.starts_with(PREFIX), "{annotation}");
        }
    }
}
