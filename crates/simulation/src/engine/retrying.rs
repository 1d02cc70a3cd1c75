//! Whether and when a request gets another attempt.

use tollgate_decision::Reason;

use super::Simulation;
use crate::events::What;
use crate::request::End;

/// How often a request asks the retry budget again before it gives up.
const BUDGET_ASKS: u32 = 40;

impl Simulation<'_> {
    /// An attempt failed without a response.
    pub(super) fn may_try_again(&mut self, number: u32, reason: Reason) {
        let has_attempts = self.has_attempts(number);
        let request = self.requests.get(number);
        let Some(attempt) = request.attempt.take() else { return };
        let unsent = attempt.sent_us.is_none();
        if !request.tries.tried.contains(&attempt.endpoint) {
            request.tries.tried.push(attempt.endpoint);
        }
        // It does not count as in flight while it waits.
        drop(attempt);
        let safe = reason != Reason::TotalTimeout && (unsent || request.repeatable);
        if !safe || !has_attempts {
            return self.ends(number, End::Failed(reason));
        }
        request.tries.active = None;
        (request.tries.asked, request.tries.because) = (0, Some(reason));
        self.backs_off(number);
    }

    fn has_attempts(&mut self, number: u32) -> bool {
        self.requests.get(number).tries.attempts <= self.given.rules.attempts
    }

    fn backs_off(&mut self, number: u32) {
        let seed = self.chance.next();
        let tries = &mut self.requests.get(number).tries;
        tries.asked += 1;
        let retry = if tries.asked == 1 { tries.attempts } else { u32::MAX };
        let because = tries.because;
        let delay_ms = self.given.rules.back_off.delay_ms(retry, seed);
        if !self.plan_again(number, delay_ms) {
            self.ends(number, because.map_or(End::Unfinished, End::Failed));
        }
    }

    /// Whether the request is not over by then.
    fn plan_again(&mut self, number: u32, delay_ms: u64) -> bool {
        let again_us = self.now_us.saturating_add(delay_ms.saturating_mul(1000));
        if again_us >= self.total_limit_us(number) {
            return false;
        }
        let job = self.renewed(number);
        self.events.plan(again_us, What::Again(job));
        true
    }

    /// The back-off is over: asks the budget, unless that was done before.
    pub(super) fn tries_again(&mut self, number: u32) {
        let arrived_us = self.requests.get(number).arrived_us;
        let tries = &mut self.requests.get(number).tries;
        if std::mem::take(&mut tries.granted) {
            return self.begins(number);
        }
        match self.given.upstream.try_retry() {
            Some(active) => {
                tries.active = Some(active);
                self.tallies.retried(arrived_us);
                self.begins(number);
            }
            None if tries.asked < BUDGET_ASKS => self.backs_off(number),
            None => {
                let because = tries.because;
                self.tallies.retries_refused += 1;
                self.ends(number, because.map_or(End::Unfinished, End::Failed));
            }
        }
    }

    /// Whether a response is not passed on but tried again, as the route has it. The budget is asked at once.
    pub(super) fn is_tried_again(&mut self, number: u32, status: u16) -> bool {
        let rules = self.given.rules;
        let retried = rules.retried.iter().any(|(first, last)| (*first..=*last).contains(&status));
        if !retried || !self.requests.get(number).repeatable || !self.has_attempts(number) {
            return false;
        }
        let delay_ms = rules.back_off.delay_ms(self.requests.get(number).tries.attempts, self.chance.next());
        if self.now_us.saturating_add(delay_ms.saturating_mul(1000)) >= self.total_limit_us(number) {
            return false;
        }
        let Some(active) = self.given.upstream.try_retry() else {
            self.tallies.retries_refused += 1;
            return false;
        };
        let request = self.requests.get(number);
        let endpoint = request.attempt.take().map(|attempt| attempt.endpoint);
        request.tries.tried.extend(endpoint);
        (request.tries.active, request.tries.granted) = (Some(active), true);
        let arrived_us = request.arrived_us;
        self.tallies.retried(arrived_us);
        self.plan_again(number, delay_ms)
    }
}
