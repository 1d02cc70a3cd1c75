//! The decision record: what was chosen for one exchange, and why it ended as it did.

use std::borrow::Cow;

use crate::reason::Reason;

/// What a policy of the route decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its index in the route's chain.
    pub policy: u16,
    /// What it came to.
    pub outcome: Passing,
    /// Why it did not let the request pass, or would not have.
    pub reason: Option<Reason>,
    /// What exactly was wrong, for the operator.
    pub note: Option<Cow<'static, str>>,
    /// A number of the policy's own: what is left of a limit.
    pub value: Option<i64>,
    /// How long the request waited for it, in microseconds.
    pub waited_us: u64,
}

/// What a policy comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passing {
    /// The request went on.
    #[default]
    Passed,
    /// It was answered or refused.
    Stopped,
    /// It went on since the policy only runs in shadow, and would have been answered or refused.
    WouldStop,
    /// It was not asked: it would have had to wait, and only an explanation was wanted.
    Unknown,
}

/// One try at an endpoint. Times are microseconds since the exchange began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Index of the endpoint in its upstream.
    pub endpoint: u32,
    /// An idle connection was taken for it.
    pub reused: bool,
    /// How the attempt ended; `None` while it runs.
    pub outcome: Option<Reason>,
    /// The status that the endpoint answered with; 0 where it did not.
    pub status: u16,
    /// The wait before it, in microseconds; 0 for a first attempt.
    pub waited_us: u64,
    /// When it began.
    pub start_us: u64,
    /// How long opening the connection took; 0 where none was opened.
    pub connect_us: u64,
    /// When the first byte of the response came; 0 where none did.
    pub first_byte_us: u64,
    /// When it ended; 0 while it runs.
    pub end_us: u64,
    /// It was made beside the one before, which had not answered yet.
    pub beside: bool,
}

/// Where an exchange went on when the upstream that it was decided for could not serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Index of the upstream in its snapshot.
    pub upstream: u32,
    /// How many attempts had been made before.
    pub after: u32,
    /// What could not be served.
    pub because: Reason,
}

/// How an exchange met the queue of its upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many were to go before it when it came.
    pub position: u32,
    /// How many waited when it came.
    pub length: u32,
    /// How long it waited, in microseconds.
    pub waited_us: u64,
}

/// What was decided for one exchange. Made for each exchange, in memory that is used again: nothing is
/// allocated for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Index of the route in its snapshot.
    pub route: Option<u32>,
    /// How many bytes of the path the route matched.
    pub matched: u32,
    /// Index of the upstream in its snapshot.
    pub upstream: Option<u32>,
    /// Index of the upstream's subset in its snapshot; `None` for all of its endpoints.
    pub subset: Option<u32>,
    /// The seed that random choices of this exchange were made from.
    pub seed: u64,
    /// How many attempts were made.
    pub attempts: u32,
    kept: Vec<Attempt>,
    /// The one under way, where it is not the last.
    under_way: Option<usize>,
    verdicts: Vec<Verdict>,
    /// Where it went on when its upstream could not serve it; `None` where it did not.
    pub fallback: Option<Fallback>,
    /// How it met the queue of its upstream; `None` where it did not have to wait.
    pub queued: Option<Queued>,
    /// How long it was held since there was no endpoint for it, in microseconds.
    pub held_us: u64,
    /// Why the exchange ended; `None` while it runs.
    pub reason: Option<Reason>,
    /// What exactly was wrong, where the reason alone does not say it.
    pub detail: Option<&'static str>,
}

impl Record {
    /// The record of an exchange that ended before anything was decided.
    pub fn ended(reason: Reason) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }

    /// Notes that an attempt at `endpoint` begins, at this time since the exchange began.
    #[inline]
    pub fn attempt(&mut self, endpoint: u32, start_us: u64) {
        let waited_us = self.kept.last().map_or(0, |before| start_us.saturating_sub(before.end_us));
        self.kept.push(Attempt { endpoint, start_us, waited_us, ..Attempt::default() });
        self.attempts += 1;
        self.under_way = None;
    }

    /// The attempt under way, which is the one begun last unless [`Record::go_back_to`] says another, to note what happens to
    /// it.
    #[inline]
    pub fn latest(&mut self) -> Option<&mut Attempt> {
        match self.under_way {
            None => self.kept.last_mut(),
            Some(number) => self.kept.get_mut(number),
        }
    }

    /// The attempt that so many came before.
    pub fn of_number(&mut self, before: usize) -> Option<&mut Attempt> {
        self.kept.get_mut(before)
    }

    /// The attempt that so many came before is the one under way again: another, beside it, was given up.
    pub fn go_back_to(&mut self, before: usize) {
        self.under_way = Some(before);
    }

    /// The attempt that the exchange ended with, and how many came before it.
    pub fn deciding(&self) -> Option<(usize, &Attempt)> {
        let number = self.under_way.or(self.kept.len().checked_sub(1))?;
        Some((number, self.kept.get(number)?))
    }

    /// Notes how the latest attempt ended.
    #[inline]
    pub fn attempt_ended(&mut self, outcome: Reason, end_us: u64) {
        if let Some(attempt) = self.latest() {
            attempt.outcome = Some(outcome);
            attempt.end_us = end_us;
        }
    }

    /// The upstream that it is at now, or ended at.
    #[inline]
    pub fn upstream_now(&self) -> Option<u32> {
        match self.fallback {
            None => self.upstream,
            Some(fallback) => Some(fallback.upstream),
        }
    }

    /// The upstream of the attempt that so many came before.
    pub fn upstream_of(&self, before: usize) -> Option<u32> {
        let switched = self.fallback.filter(|fallback| before >= fallback.after as usize);
        switched.map(|fallback| fallback.upstream).or(self.upstream)
    }

    /// The attempts, in their order.
    pub fn kept_attempts(&self) -> std::slice::Iter<'_, Attempt> {
        self.kept.iter()
    }

    /// Notes what a policy decided. One a policy: what it comes to after a wait.
    #[inline]
    pub fn verdict(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    /// Notes that what had passed all policies was refused in the end by one of them, for what its body is.
    pub fn stopped_late(&mut self, policy: u16, reason: Reason, note: Option<Cow<'static, str>>) {
        if let Some(verdict) = self.verdicts.iter_mut().find(|verdict| verdict.policy == policy) {
            (verdict.outcome, verdict.reason, verdict.note) = (Passing::Stopped, Some(reason), note);
        }
    }

    /// What the route's policies decided, in their order.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Makes the record ready for another exchange, and keeps its memory.
    pub fn reset(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        verdicts.clear();
        *self = Self { kept, verdicts, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::{Fallback, Reason, Record};

    #[test]
    fn attempts_are_at_the_upstream_of_their_time() {
        let mut record = Record { upstream: Some(3), ..Record::default() };
        record.attempt(0, 0);
        assert_eq!(
            (record.upstream_now(), record.upstream_of(0), record.upstream_of(9)),
            (Some(3), Some(3), Some(3))
        );
        record.fallback = Some(Fallback { upstream: 7, after: 1, because: Reason::ConnectFailed });
        assert_eq!(
            (record.upstream_now(), record.upstream_of(0), record.upstream_of(1)),
            (Some(7), Some(3), Some(7))
        );
    }

    #[test]
    fn each_attempt_is_kept_with_the_wait_before_it() {
        let mut record = Record { seed: 7, detail: Some("wrong"), ..Record::default() };
        for endpoint in 0..6 {
            record.attempt(endpoint, u64::from(endpoint) * 100);
            record.attempt_ended(Reason::ConnectFailed, u64::from(endpoint) * 100 + 30);
        }
        assert_eq!(record.attempts, 6);
        let attempts: Vec<_> = record.kept_attempts().copied().collect();
        assert_eq!(attempts.len(), 6);
        assert_eq!((attempts[0].waited_us, attempts[5].waited_us, attempts[5].end_us), (0, 70, 530));
        assert!(attempts.iter().all(|a| a.outcome == Some(Reason::ConnectFailed)));
        record.reset();
        assert_eq!(record, Record::default());
    }
}
