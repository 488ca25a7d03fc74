//! Warnings about a condition that is tested again and again.

/// The warning that was logged last, so that one is logged when the condition begins and when its
/// reason changes, and not at every attempt.
#[derive(Debug, Default)]
pub(crate) struct LastWarning(Option<String>);

impl LastWarning {
    /// Whether `warning` differs from the last one, and so is to be logged.
    #[must_use]
    pub(crate) fn replace(&mut self, warning: &str) -> bool {
        if self.0.as_deref() == Some(warning) {
            return false;
        }
        self.0 = Some(warning.to_owned());
        true
    }

    /// The condition is over; whether there was a warning, so that its end is to be logged too.
    pub(crate) fn clear(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_logged_when_it_is_new_and_its_end_once() {
        let mut last = LastWarning::default();
        assert!(!last.clear());
        assert_eq!(
            [last.replace("a"), last.replace("a"), last.replace("b")],
            [true, false, true]
        );
        assert!(last.clear() && !last.clear());
        assert!(last.replace("b"));
    }
}
