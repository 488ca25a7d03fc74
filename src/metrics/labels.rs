//! The values that labels may have.

/// Declares an enum whose members are the only values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    };
}

label! {
    /// How a request to the webhook ended.
    Outcome {
        /// Answered with a patch.
        Injected = "injected",
        /// A sandbox pod that already has all it should have.
        Unchanged = "unchanged",
        /// Nothing for us to do: another pod, or one that gets no runtimes.
        Ignored = "ignored",
        /// Allowed without a patch although there was one, for nothing is enforced.
        Reported = "reported",
        /// A review of an object other than a pod, found in order.
        Valid = "valid",
        /// Answered with a denial that the requester can fix.
        Denied = "denied",
        /// Answered with a denial because of trouble on our side or the API server's.
        Failed = "failed",
        /// Not a review that could be read.
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
    Lookup {
        /// The object is there.
        Found = "found",
        /// The object, or its kind, is not there.
        NotFound = "not_found",
        /// An attempt failed and another followed.
        Retried = "retried",
        /// Given up: the API server did not answer in time.
        Unavailable = "unavailable",
        /// Given up: we may not read the object, or the answer made no sense.
        Refused = "refused",
    }
}

label! {
    /// How a reload ended.
    Reload {
        /// The new one is in use.
        Success = "success",
        /// The new one was refused; the one before stays in use.
        Failure = "failure",
    }
}
