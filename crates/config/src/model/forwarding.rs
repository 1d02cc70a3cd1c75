//! The upstream side of routes: what is done with requests that are sent on.

use super::{Fallback, Hedge, Hold, Mirror, Retry, Sticky, Timeouts};
use crate::section::section;
use crate::setting::{Many, Switch};
use crate::source::Located;

section! {
    /// How a route's requests are carried to their upstream, and what is done where that fails.
    pub struct Forwarding {
        /// Where copies of its requests go, whose answers nobody waits for: an upstream, or a list.
        mirrors ("mirror" | "mirrors"): Many<Located<Box<Mirror>>> = default(Many::none());
        /// When to try again.
        retry: Option<Box<Switch<Retry>>> = optional;
        /// Holds requests while there is no endpoint for them: `hold: 10s`. What an upstream or `defaults` set is its default.
        hold: Option<Box<Switch<Hold>>> = optional;
        /// What requests get that the upstream could not serve.
        fallback: Option<Located<Box<Fallback>>> = optional;
        /// A second attempt beside one that is slow: `hedge: 200ms`.
        hedge: Option<Box<Switch<Hedge>>> = optional;
        /// Keeps requests of one session at one endpoint, in place of what the upstream sets; `none` for no sessions.
        sticky: Option<Located<Box<Switch<Sticky>>>> = optional;
        /// How long to wait on the upstream side.
        timeouts: Option<Box<Timeouts>> = optional;
    }
}
