//! What a route does to save a request that its endpoint, or its upstream, could not serve.

use std::sync::Arc;

use tollgate_decision::{Reason, Side};
use tollgate_message::Method;
use tollgate_upstream::HoldLimits;

use super::FixedResponse;

/// What is done besides trying again after a failed attempt. Routes without any of it have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rescue {
    /// Responses that are tried again.
    pub retried: Responses,
    /// Methods that may be repeated besides those that are idempotent.
    pub methods: Vec<Method>,
    /// The longest `Retry-After` that is waited for, in milliseconds. A response that asks for a longer wait is passed
    /// on.
    pub retry_after_ms: u64,
    /// Requests wait for an endpoint.
    pub hold: Option<Hold>,
    /// Requests go elsewhere, or get a fixed response.
    pub fallback: Option<Fallback>,
    /// A second attempt beside one that is slow.
    pub hedge: Option<Hedge>,
}

/// Responses by their status, or by the status of the gRPC call that they end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Responses {
    /// Ranges of statuses, the last of each included.
    pub statuses: Vec<(u16, u16)>,
    /// Statuses of gRPC calls, a bit each.
    pub calls: u32,
}

/// How requests wait for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// How many of an upstream, and of how many bytes.
    pub limits: HoldLimits,
}

/// Where requests go that their upstream could not serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fallback {
    /// What they get instead.
    pub to: FallbackTo,
    /// After which failures.
    pub after: Failures,
    /// After which responses.
    pub responses: Responses,
}

/// What requests get instead of a response from their upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FallbackTo {
    /// Another upstream, by index, which speaks the same protocol.
    Upstream(u32),
    /// A fixed response.
    Respond(Arc<FixedResponse>),
}

/// Failures of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failures {
    /// None.
    None,
    /// That it has no endpoint to give, or no room for more requests.
    Unavailable,
    /// All that end without a response.
    All,
}

/// When a request is sent to a second endpoint before the first has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hedge {
    /// After how long at the earliest, in milliseconds.
    pub after_ms: u64,
    /// After the time within which so many thousandths of the upstream's responses begin, if that is longer; 0 for
    /// none.
    pub quantile: u32,
}

impl Responses {
    /// Whether this is one of them; `call` is the status of the gRPC call, where its head tells one.
    pub fn contains(&self, status: u16, call: Option<u32>) -> bool {
        let by_status = self.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status));
        by_status || call.is_some_and(|call| call < u32::BITS && self.calls & (1 << call) != 0)
    }

    /// Whether it is none at all.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty() && self.calls == 0
    }
}

impl Failures {
    /// Whether an exchange that would end for this reason is one of them.
    pub fn contains(self, reason: Reason) -> bool {
        match self {
            Self::None => false,
            Self::Unavailable => is_unavailable(reason),
            Self::All => {
                is_unavailable(reason)
                    || reason.side() == Side::Upstream
                        && !matches!(reason, Reason::DeadlineExceeded | Reason::TotalTimeout)
            }
        }
    }
}

/// Whether the upstream had nothing to give, before any endpoint was asked.
fn is_unavailable(reason: Reason) -> bool {
    matches!(reason, Reason::NoEndpoint)
}

impl Rescue {
    /// Whether requests of this method may be sent twice.
    pub fn repeats(&self, method: Method) -> bool {
        method.is_idempotent() || self.methods.contains(&method)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failures, Responses};
    use tollgate_decision::{Reason, Side};

    #[test]
    fn responses_are_told_apart_by_status_and_call() {
        let some = Responses { statuses: vec![(429, 429), (500, 504)], calls: 1 << 14 };
        let found: Vec<u16> = (100..600).filter(|status| some.contains(*status, None)).collect();
        assert_eq!(found, [429, 500, 501, 502, 503, 504]);
        assert!(
            some.contains(200, Some(14)) && !some.contains(200, Some(0)) && !some.contains(200, Some(99))
        );
        assert!(Responses::default().is_empty() && !some.is_empty());
    }

    #[test]
    fn only_what_the_upstream_could_not_do_leads_elsewhere() {
        for reason in Reason::ALL {
            assert!(!Failures::None.contains(*reason));
            if Failures::All.contains(*reason) {
                assert_ne!(reason.side(), Side::Client, "{reason:?}");
            } else {
                assert!(!Failures::Unavailable.contains(*reason), "{reason:?}");
            }
        }
    }
}
