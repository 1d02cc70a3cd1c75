//! From a request to an endpoint: breaker, admission, pick.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tollgate_decision::Reason;
use tollgate_upstream::{Entry, InFlight, Leave, Permit, Pick, PickKey, Refused, Ticket, Trial, Waiting};

use super::Simulation;
use crate::events::What;
use crate::request::{Attempt, End, Request};

/// How often an endpoint is picked whose last place somebody else has just taken.
const LOST_RACES: u32 = 3;

/// Why no attempt has begun.
enum Stopped {
    Refused(Reason),
    Waits(Waiting),
}

impl Simulation<'_> {
    /// Begins an attempt, or waits for one, or ends.
    pub(super) fn begins(&mut self, number: u32) {
        match self.find_endpoint(number) {
            Ok(()) => self.sends(number),
            Err(Stopped::Refused(reason)) => self.ends(number, End::Failed(reason)),
            Err(Stopped::Waits(waiting)) => self.waits(number, waiting),
        }
    }

    fn find_endpoint(&mut self, number: u32) -> Result<(), Stopped> {
        let (upstream, now_us, now_ms) = (self.given.upstream, self.now_us, self.now_ms());
        let trial = match upstream.breaker().map(|breaker| breaker.allow(now_ms)) {
            None | Some(Leave::Go) => None,
            Some(Leave::Trial(trial)) => Some(trial),
            Some(Leave::Open { .. }) => return Err(Stopped::Refused(Reason::CircuitOpen)),
        };
        let ticket = self.ticket(number);
        let request = self.requests.get(number);
        let view = &mut self.workers[request.worker as usize].view;
        view.refresh(upstream, now_ms);
        if request.place.permit.is_none() {
            match upstream.enter(view, now_us, || ticket) {
                None => {}
                Some(Entry::Admitted(permit)) => request.place.permit = Some(permit),
                Some(Entry::Waiting(waiting)) => return Err(Stopped::Waits(waiting)),
                Some(Entry::Refused(refused)) => return Err(Stopped::Refused(refused.why.reason())),
            }
        }
        self.picks(number, trial, ticket)
    }

    fn picks(&mut self, number: u32, trial: Option<Trial>, ticket: Ticket) -> Result<(), Stopped> {
        let (upstream, now_us) = (self.given.upstream, self.now_us);
        let request = self.requests.get(number);
        let worker = &mut self.workers[request.worker as usize];
        for _ in 0..=LOST_RACES {
            worker.turn = worker.turn.wrapping_add(1);
            let key = PickKey {
                turn: worker.turn,
                seed: request.seed.rotate_left(request.tries.attempts + 1),
                hash: self.given.rules.balances_by_key.then_some(request.key),
                now_us,
                tried: &request.tries.tried,
                ..PickKey::default()
            };
            match upstream.pick(&worker.view, &key) {
                Pick::Endpoint(endpoint) => {
                    if let Some(in_flight) = upstream.try_begin(endpoint) {
                        if let Some(permit) = &mut request.place.permit {
                            upstream.seated(permit, &worker.view);
                        }
                        begin(request, endpoint, now_us, trial, in_flight);
                        return Ok(());
                    }
                }
                Pick::None(vacancy) if vacancy.reason() == Reason::UpstreamFull => break,
                Pick::None(vacancy) => return Err(Stopped::Refused(vacancy.reason())),
            }
        }
        let Some(permit) = request.place.permit.take() else {
            return Err(Stopped::Refused(Reason::UpstreamFull));
        };
        match upstream.wait_again(permit, &worker.view, now_us, || ticket) {
            Entry::Waiting(waiting) => Err(Stopped::Waits(waiting)),
            Entry::Refused(refused) => Err(Stopped::Refused(refused.why.reason())),
            Entry::Admitted(_) => Err(Stopped::Refused(Reason::UpstreamFull)),
        }
    }

    fn ticket(&mut self, number: u32) -> Ticket {
        let deadline_ms = self.total_limit_us(number) / 1000;
        let rules = self.given.rules;
        let request = self.requests.get(number);
        let class = self.given.scenario.callers[request.caller as usize].class;
        Ticket { class, key: if rules.takes_turns { request.key } else { 0 }, deadline_ms }
    }

    fn waits(&mut self, number: u32, waiting: Waiting) {
        let until_us = waiting.until_ms().saturating_mul(1000).min(self.total_limit_us(number));
        let now_us = self.now_us;
        let request = self.requests.get(number);
        (request.place.waiting, request.place.since_us) = (Some(waiting), now_us);
        let job = self.renewed(number);
        self.events.plan(until_us.max(now_us), What::WaitOver(job));
        self.look_whether_admitted(number);
    }

    /// Polls it, if it waits at all.
    pub(super) fn look_whether_admitted(&mut self, number: u32) {
        let request = self.requests.get(number);
        let Some(mut waiting) = request.place.waiting.take() else { return };
        match Pin::new(&mut waiting).poll(&mut Context::from_waker(&request.waker)) {
            Poll::Pending => request.place.waiting = Some(waiting),
            Poll::Ready(told) => self.told(number, told),
        }
    }

    pub(super) fn wait_is_over(&mut self, number: u32) {
        if let Some(waiting) = self.requests.get(number).place.waiting.take() {
            let told = waiting.time_out(self.now_us);
            self.told(number, told);
        }
    }

    fn told(&mut self, number: u32, told: Result<Permit, Refused>) {
        let now_us = self.now_us;
        let request = self.requests.get(number);
        request.queued_us += now_us - request.place.since_us;
        self.renewed(number);
        match told {
            Ok(permit) => {
                self.requests.get(number).place.permit = Some(permit);
                self.begins(number);
            }
            Err(refused) => self.ends(number, End::Failed(refused.why.reason())),
        }
    }
}

fn begin(request: &mut Request, endpoint: u32, began_us: u64, trial: Option<Trial>, in_flight: InFlight) {
    request.tries.attempts += 1;
    request.attempt = Some(Attempt { endpoint, began_us, sent_us: None, trial, _in_flight: in_flight });
}
