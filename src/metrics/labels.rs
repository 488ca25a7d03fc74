//! The possible values of labels.

/// The only values of a label.
pub(super) trait Label: Copy + Send + Sync + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::position`].
    const ALL: &'static [Self];
    /// The position in [`Label::ALL`].
    fn position(self) -> usize;
    /// The value as it is exported.
    fn text(self) -> &'static str;
}

/// Declares an enum whose members are the only values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident: $label:literal { $($(#[$member_doc:meta])* $member:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$member_doc])* $member),+ }

        impl $name {
            /// Every member, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$member),+];

            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text),+ }
            }
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = Self::ALL;

            fn position(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                self.as_str()
            }
        }
    };
}

label! {
    /// How a request to the webhook ended.
    Admission: "outcome" {
        /// Answered with a patch.
        Injected = "injected",
        /// A sandbox pod that already has all it should have.
        Unchanged = "unchanged",
        /// Not a pod that gets runtimes, or nothing that is validated.
        Ignored = "ignored",
        /// Allowed without the patch or denial, because `--report-only` enforces nothing.
        Reported = "reported",
        /// A review of an object other than a pod, found in order.
        Valid = "valid",
        /// Answered with a denial that the requester can fix.
        Denied = "denied",
        /// Answered with a denial because the injector or the API server had a problem.
        Failed = "failed",
        /// Not a well-formed review.
        Malformed = "malformed",
        /// Turned away because a limit on connections or memory was reached.
        Overloaded = "overloaded",
        /// The body or the answer came too late.
        TimedOut = "timed_out",
        /// The handler panicked.
        Panicked = "panicked",
    }
}

label! {
    /// How a look-up of a custom resource ended.
    Lookup: "result" {
        /// The object exists.
        Found = "found",
        /// The object, or its kind, does not exist.
        NotFound = "not_found",
        /// An attempt failed and another followed.
        Retried = "retried",
        /// Given up: the API server did not answer in time.
        Unavailable = "unavailable",
        /// Given up: we may not read the object, or the answer was malformed.
        Refused = "refused",
    }
}

label! {
    /// How a reload ended.
    Reload: "result" {
        /// The new one is in use.
        Success = "success",
        /// The new one was rejected; the previous one stays in use.
        Failure = "failure",
    }
}
