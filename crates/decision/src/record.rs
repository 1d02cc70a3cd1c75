//! The decision record: what was chosen for one exchange, and why it ended as it did.

use crate::reason::Reason;

/// How many attempts a record names; further ones are only counted.
pub const ATTEMPTS_KEPT: usize = 4;

/// One try at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Index of the endpoint in its upstream.
    pub endpoint: u32,
    /// How the attempt ended; `None` while it runs.
    pub outcome: Option<Reason>,
}

/// What was decided for one exchange. A few words of memory, made for each exchange, never allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Index of the route in its snapshot.
    pub route: Option<u32>,
    /// Index of the upstream in its snapshot.
    pub upstream: Option<u32>,
    /// The seed that random choices of this exchange were made from.
    pub seed: u64,
    /// How many attempts were made.
    pub attempts: u32,
    kept: [Option<Attempt>; ATTEMPTS_KEPT],
    /// Why the exchange ended; `None` while it runs.
    pub reason: Option<Reason>,
}

impl Record {
    /// Notes that an attempt at `endpoint` begins.
    pub fn attempt(&mut self, endpoint: u32) {
        if let Some(slot) = self.kept.get_mut(self.attempts as usize) {
            *slot = Some(Attempt { endpoint, outcome: None });
        }
        self.attempts += 1;
    }

    /// Notes how the latest attempt ended.
    pub fn attempt_ended(&mut self, outcome: Reason) {
        let latest = (self.attempts as usize).checked_sub(1);
        if let Some(Some(attempt)) = latest.and_then(|i| self.kept.get_mut(i)) {
            attempt.outcome = Some(outcome);
        }
    }

    /// The first attempts, at most [`ATTEMPTS_KEPT`].
    pub fn kept_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.kept.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS_KEPT, Reason, Record};

    #[test]
    fn attempts_beyond_the_kept_ones_are_counted() {
        let mut record = Record::default();
        for endpoint in 0..6 {
            record.attempt(endpoint);
            record.attempt_ended(Reason::ConnectFailed);
        }
        assert_eq!(record.attempts, 6);
        assert_eq!(record.kept_attempts().count(), ATTEMPTS_KEPT);
        assert!(record.kept_attempts().all(|a| a.outcome == Some(Reason::ConnectFailed)));
    }
}
