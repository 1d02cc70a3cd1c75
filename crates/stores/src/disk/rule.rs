//! The arithmetic of a quota: so many in a period of the calendar.

use crate::rule::{Decision, EXPIRES_APART, Rule};

/// So many units until `end_s`, at which the count begins anew.
///
/// A state: the mark of an expiry kept apart, 15 bits of the day on which the period ends, 48 bits of what was used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) limit: u64,
    pub(super) end_s: u64,
}

const USED_BITS: u32 = 48;
const DAY_MASK: u64 = (1 << 15) - 1;
/// One less than fits, so that no state looks like a place that is changing.
const USED_MOST: u64 = (1 << USED_BITS) - 2;
const NS_PER_S: u64 = 1_000_000_000;

/// What a state says was used.
pub(super) fn used(state: u64) -> u64 {
    state & ((1 << USED_BITS) - 1)
}

impl Quota {
    fn day(&self) -> u64 {
        (self.end_s / 86_400) & DAY_MASK
    }

    /// The day and the use that count. A state of an earlier period counts nothing; one of a later period goes on
    /// counting, for then the clock was set back.
    fn current(&self, state: u64) -> (u64, u64) {
        let day = state >> USED_BITS & DAY_MASK;
        let ahead = day.wrapping_sub(self.day()) & DAY_MASK;
        if state & EXPIRES_APART == 0 || ahead > DAY_MASK / 2 { (self.day(), 0) } else { (day, used(state)) }
    }
}

impl Rule for Quota {
    fn decide(&self, state: u64, now_ns: u64, cost: u64) -> (Decision, u64) {
        let limit = self.limit.min(USED_MOST);
        let (day, used) = self.current(state);
        let after = used.checked_add(cost).filter(|after| *after <= limit || cost == 0);
        let allowed = after.is_some();
        let reset_after_us = self.end_s.saturating_mul(NS_PER_S).saturating_sub(now_ns).div_ceil(1000);
        let decision = Decision {
            allowed,
            remaining: limit.saturating_sub(after.unwrap_or(used)),
            reset_after_us,
            retry_after_us: match cost {
                _ if allowed => Some(0),
                _ if cost > limit => None,
                _ => Some(reset_after_us),
            },
        };
        match after {
            Some(after) if cost > 0 => (decision, EXPIRES_APART | day << USED_BITS | after),
            _ => (decision, state),
        }
    }

    fn expires_ns(&self, _: u64, _: u64) -> u64 {
        self.end_s.saturating_mul(NS_PER_S)
    }
}

#[cfg(test)]
mod tests {
    use super::{NS_PER_S, Quota, used};
    use crate::rule::Rule;

    #[test]
    fn a_period_is_used_up_and_the_next_begins_anew() {
        let today = Quota { limit: 3, end_s: 10 * 86_400 };
        let now = 9 * 86_400 * NS_PER_S;
        let (two, state) = today.decide(0, now, 2);
        assert_eq!((two.allowed, two.remaining, two.reset_after_us), (true, 1, 86_400_000_000));
        let (refused, same) = today.decide(state, now, 2);
        assert_eq!((refused.allowed, refused.retry_after_us, same), (false, Some(86_400_000_000), state));
        assert_eq!(today.decide(state, now, 4).0.retry_after_us, None);
        assert!(today.decide(state, now, 0).0.allowed);
        let tomorrow = Quota { end_s: 11 * 86_400, ..today };
        let (all, state) = tomorrow.decide(state, now, 3);
        assert_eq!((all.allowed, used(state)), (true, 3));
        // A clock that is set back gives nothing back.
        assert!(!today.decide(state, now, 1).0.allowed);
    }
}
