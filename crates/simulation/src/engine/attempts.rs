//! An attempt: connection, service, time limits, and what the upstream is told of it.

use tollgate_decision::Reason;
use tollgate_upstream::{Failure, Outcome};

use super::Simulation;
use crate::events::{Job, What};
use crate::origin::{Received, Work};
use crate::request::End;
use crate::scenario::Down;

impl Simulation<'_> {
    /// What was planned for the request before is of no meaning any more.
    pub(super) fn renewed(&mut self, number: u32) -> Job {
        let request = self.requests.get(number);
        request.serial = request.serial.wrapping_add(1);
        self.requests.job(number)
    }

    /// When the request is over in any case, in microseconds; `u64::MAX` for never.
    pub(super) fn total_limit_us(&mut self, number: u32) -> u64 {
        let total_ms = self.given.rules.limits.total_ms;
        self.requests.get(number).arrived_us.saturating_add(total_ms.saturating_mul(1000))
    }

    /// The nearest time limit of the attempt under way.
    fn limit(&mut self, number: u32) -> (u64, Reason) {
        let limits = self.given.rules.limits;
        let after = |from_us: u64, ms: u64| from_us.saturating_add(ms.saturating_mul(1000));
        let total = (self.total_limit_us(number), Reason::TotalTimeout);
        let Some(attempt) = &self.requests.get(number).attempt else { return total };
        let first = match attempt.sent_us {
            None => (after(attempt.began_us, limits.connect_ms), Reason::ConnectTimeout),
            Some(sent_us) => (after(sent_us, limits.first_byte_ms), Reason::FirstByteTimeout),
        };
        let whole = (after(attempt.began_us, limits.try_ms), Reason::TryTimeout);
        [total, whole, first].into_iter().min_by_key(|(at_us, _)| *at_us).unwrap_or(total)
    }

    /// Plans the time limit, unless what is waited for comes before it.
    fn plan_limit(&mut self, number: u32, comes_us: Option<u64>) {
        let (at_us, _) = self.limit(number);
        if at_us < u64::MAX && comes_us.is_none_or(|comes_us| at_us < comes_us) {
            let job = self.requests.job(number);
            self.events.plan(at_us.max(self.now_us), What::Limit(job));
        }
    }

    /// An endpoint was picked: takes an idle connection to it, or opens one.
    pub(super) fn sends(&mut self, number: u32) {
        let job = self.renewed(number);
        let request = self.requests.get(number);
        let Some(attempt) = &request.attempt else { return };
        let (endpoint, worker) = (attempt.endpoint as usize, request.worker);
        let origin = &mut self.origins[endpoint];
        if origin.lease(worker) {
            return self.delivers(number);
        }
        let opened = origin.connect(&mut self.origin_chances[endpoint]);
        let comes = opened.map(|(us, connects)| (self.now_us + us, connects));
        self.plan_limit(number, comes.map(|(at_us, _)| at_us));
        if let Some((at_us, connects)) = comes {
            self.events.plan(at_us, if connects { What::Connected(job) } else { What::Refused(job) });
        }
    }

    pub(super) fn connected(&mut self, number: u32) {
        let Some(attempt) = &self.requests.get(number).attempt else { return };
        match self.origins[attempt.endpoint as usize].down {
            None => self.delivers(number),
            Some(Down::Refusing) => self.attempt_failed(number, Reason::ConnectFailed),
            Some(Down::Silent) => self.plan_limit(number, None),
        }
    }

    pub(super) fn connect_failed(&mut self, number: u32) {
        self.attempt_failed(number, Reason::ConnectFailed);
    }

    /// The request is at the endpoint.
    fn delivers(&mut self, number: u32) {
        let (now_us, job) = (self.now_us, self.renewed(number));
        let Some(attempt) = &mut self.requests.get(number).attempt else { return };
        attempt.sent_us = Some(now_us);
        let endpoint = attempt.endpoint;
        let chance = &mut self.origin_chances[endpoint as usize];
        match self.origins[endpoint as usize].receive(job, chance) {
            Received::Begins(work) => self.begins_work(endpoint, job, work),
            Received::Waits => self.plan_limit(number, None),
            Received::TurnedAway => self.events.plan(now_us, What::Turned { job, status: 503 }),
        }
    }

    fn begins_work(&mut self, endpoint: u32, job: Job, Work { took_us, status }: Work) {
        let at_us = self.now_us + took_us;
        self.plan_limit(job.request, Some(at_us));
        let life = self.origins[endpoint as usize].life;
        self.events.plan(at_us, What::Served { endpoint, life, job, status });
    }

    /// The endpoint is done with a request, whether or not somebody still waits for it.
    pub(super) fn served(&mut self, endpoint: u32, life: u32, job: Job, status: u16) {
        if self.origins[endpoint as usize].life != life {
            return;
        }
        self.origins[endpoint as usize].done();
        self.serve_those_that_wait(endpoint);
        if self.requests.is_current(job) {
            self.answered(job.request, status);
        }
    }

    pub(super) fn serve_those_that_wait(&mut self, endpoint: u32) {
        let at = endpoint as usize;
        loop {
            let requests = &self.requests;
            let next = self.origins[at].next(&mut self.origin_chances[at], |job| requests.is_current(job));
            let Some((job, work)) = next else { return };
            self.begins_work(endpoint, job, work);
        }
    }

    /// The endpoint went down with the request.
    pub(super) fn lost(&mut self, number: u32) {
        let Some(attempt) = &self.requests.get(number).attempt else { return };
        match self.origins[attempt.endpoint as usize].down {
            Some(Down::Refusing) => self.attempt_failed(number, Reason::UpstreamClosed),
            _ => self.plan_limit(number, None),
        }
    }

    pub(super) fn limit_reached(&mut self, number: u32) {
        let (at_us, reason) = self.limit(number);
        if at_us <= self.now_us {
            self.attempt_failed(number, reason);
        }
    }

    /// A response has come.
    pub(super) fn answered(&mut self, number: u32, status: u16) {
        let failure = Failure::from_status(status);
        self.reports(number, failure);
        let most_idle = self.given.upstream.settings().pool.max_idle;
        let request = self.requests.get(number);
        let Some(attempt) = &request.attempt else { return };
        self.origins[attempt.endpoint as usize].release(request.worker, most_idle);
        if self.is_tried_again(number, status) {
            return;
        }
        self.ends(number, if status < 400 { End::Answered } else { End::Status(status) });
    }

    fn attempt_failed(&mut self, number: u32, reason: Reason) {
        match Failure::from_reason(reason) {
            Some(failure) => self.reports(number, Some(failure)),
            None => self.counts_attempt(number, true),
        }
        self.may_try_again(number, reason);
    }

    /// Tells the upstream how the attempt went, as exchanges do.
    fn reports(&mut self, number: u32, failure: Option<Failure>) {
        let (upstream, now_us, now_ms) = (self.given.upstream, self.now_us, self.now_ms());
        self.counts_attempt(number, failure.is_some());
        let request = self.requests.get(number);
        let seed = request.seed;
        let Some(attempt) = &mut request.attempt else { return };
        let latency_us = now_us - attempt.began_us;
        let outcome = if failure.is_some() { Outcome::Failure } else { Outcome::Success };
        if let (Some(admission), None) = (upstream.admission(), failure) {
            admission.observe(latency_us, now_us);
        }
        match (attempt.trial.take(), upstream.breaker()) {
            (Some(trial), _) => trial.report(outcome, latency_us, now_ms),
            (None, Some(breaker)) => breaker.report(outcome, latency_us, now_ms),
            (None, None) => {}
        }
        match failure {
            None => {
                upstream.report_success(attempt.endpoint);
                upstream.report_latency(attempt.endpoint, latency_us, now_us);
            }
            Some(failure) => {
                upstream.report_failure(attempt.endpoint, failure, now_ms, seed);
                upstream.report_failed_latency(attempt.endpoint, latency_us, now_us);
            }
        }
    }

    fn counts_attempt(&mut self, number: u32, failed: bool) {
        let now_us = self.now_us;
        let Some(attempt) = &self.requests.get(number).attempt else { return };
        let (endpoint, began_us) = (attempt.endpoint, attempt.began_us);
        self.tallies.attempted(endpoint, began_us, now_us - began_us, failed);
    }
}
