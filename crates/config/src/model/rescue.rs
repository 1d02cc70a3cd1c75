//! What is done to save requests: holding them, sending them elsewhere, a second attempt beside a slow one.

use super::Respond;
use crate::section::{choice, section, words};
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::units::{Duration, Name, Percent, ResponseTest, Size};

section! {
    /// Requests wait as long as their upstream has no endpoint for them, or none that can be connected to. A text is the
    /// time.
    pub struct Hold short "for" {
        /// For how long.
        time ("for"): Duration<1> = required;
        /// How many requests of an upstream may be held at once; the others fail at once.
        requests: Whole<1, 1_000_000> = default(Whole::of::<1000>());
        /// How many bytes of requests of an upstream may be held at once.
        bytes: Size<1> = default(Size::kib(64 << 10));
    }
}

section! {
    /// What requests get that their upstream could not serve: `{ to: spare }`.
    pub struct Fallback {
        /// What they get instead.
        instead: FallbackTo = choice;
        /// After which failures, where no response has come.
        after: FailureSet = default(FailureSet::All);
        /// After which responses as well: `on: [502-504]`. They are not passed on then.
        on: Many<ResponseTest> = default(Many::none());
    }
}

choice! {
    /// What requests get instead.
    pub enum FallbackTo {
        /// Another upstream, which speaks the same protocol. Only what is safe to send again is sent there.
        To("to"): Located<Name>;
        /// An answer at once.
        Respond("respond"): Located<Box<Respond>>;
    }
}

words! {
    /// Failures of an upstream.
    pub enum FailureSet {
        /// All that end without a response.
        All = "all";
        /// That it has no endpoint to give, or no room for more requests.
        Unavailable = "unavailable";
        /// None: only the responses of `on`.
        None = "none";
    }
}

section! {
    /// A second attempt at another endpoint where the first has not answered after some time; the answer that comes
    /// first is passed on, the other one is given up. Only for requests without a body whose method is safe, within the
    /// retry budget of the upstream. A text is the time.
    pub struct Hedge short "after" {
        /// After this time at the earliest.
        after: Duration<1> = required;
        /// Not before the time within which so many of the upstream's responses begin.
        quantile: Option<Percent> = optional;
    }
}
