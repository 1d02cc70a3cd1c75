//! The walk of requests through an upstream, one event after the other.

mod attempts;
mod entering;
mod retrying;

use tollgate_upstream::{HealthEvents, Upstream, View, key_hash};

use crate::arrivals::Arrivals;
use crate::chance::Chance;
use crate::clock;
use crate::events::{Events, What};
use crate::origin::Origin;
use crate::probing::Probing;
use crate::report::Report;
use crate::request::{End, Requests};
use crate::scenario::{Rules, Scenario};
use crate::tallies::{Sample, Tallies};

/// How long requests may go on after the last one has come.
const GRACE_US: u64 = 60_000_000;

/// What a simulation runs.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The upstream, fresh: nothing has ever been admitted or reported.
    pub upstream: &'a Upstream,
    /// Who hears of its endpoints' health.
    pub health: &'a HealthEvents,
    /// What the route says.
    pub rules: &'a Rules,
    /// What is modelled. `endpoints` has a model for each of the upstream's, and `callers` at least one.
    pub scenario: &'a Scenario,
}

/// Runs it. `progress` is told the time now and then, in microseconds. The time is the thread's: two simulations may run at once, on
/// a thread each.
pub fn run(given: Given<'_>, progress: &mut dyn FnMut(u64)) -> Report {
    let mut simulation = Simulation::new(given);
    let duration_us = given.scenario.duration_us;
    while let Some((at_us, what)) = simulation.events.next() {
        if at_us > duration_us.saturating_add(GRACE_US) {
            break;
        }
        clock::advance(at_us);
        simulation.now_us = at_us;
        if matches!(what, What::Samples) {
            progress(at_us);
        }
        simulation.happens(what);
        while let Some(request) = simulation.requests.next_woken() {
            simulation.look_whether_admitted(request);
        }
        if at_us >= duration_us && simulation.requests.live() == 0 {
            break;
        }
    }
    simulation.finish()
}

/// What each worker has for itself.
#[derive(Debug)]
struct Worker {
    view: View,
    turn: u64,
}

#[derive(Debug)]
struct Simulation<'a> {
    given: Given<'a>,
    now_us: u64,
    events: Events,
    requests: Requests,
    workers: Vec<Worker>,
    origins: Vec<Origin>,
    /// Each has randomness of its own: the same requests come, whatever becomes of them.
    origin_chances: Vec<Chance>,
    arrivals: Vec<(Arrivals, Chance)>,
    chance: Chance,
    probing: Option<Probing>,
    tallies: Tallies,
}

impl<'a> Simulation<'a> {
    fn new(given: Given<'a>) -> Self {
        let Given { upstream, scenario, .. } = given;
        clock::advance(0);
        if let Some(admission) = upstream.admission() {
            admission.use_clock(clock::now_us);
        }
        let mut seeds = Chance::new(scenario.seed);
        let mut events = Events::default();
        let workers = scenario.workers.max(1);
        let model = |endpoint: usize| scenario.endpoints.get(endpoint).cloned().unwrap_or_default();
        let arrivals = scenario.callers.iter().map(|caller| {
            let arrivals = Arrivals::new(&caller.rate, scenario.duration_us, scenario.even_arrivals);
            (arrivals, Chance::new(seeds.next()))
        });
        let arrivals = arrivals.collect();
        let probing = Probing::begin(upstream, seeds.next(), &mut events);
        let begins = phases(scenario);
        let mut simulation = Self {
            given,
            now_us: 0,
            events,
            requests: Requests::default(),
            workers: (0..workers).map(|_| Worker { view: View::default(), turn: seeds.next() }).collect(),
            origins: (0..upstream.slots()).map(|endpoint| Origin::new(model(endpoint), workers)).collect(),
            origin_chances: (0..upstream.slots()).map(|_| Chance::new(seeds.next())).collect(),
            arrivals,
            chance: Chance::new(seeds.next()),
            probing,
            tallies: Tallies::new(scenario.duration_us, &begins, upstream.slots(), scenario.callers.len()),
        };
        simulation.plan();
        simulation
    }

    fn plan(&mut self) {
        for (number, change) in (0..).zip(&self.given.scenario.changes) {
            self.events.plan(change.at_us, What::Changes(number));
        }
        (0..self.arrivals.len() as u32).for_each(|caller| self.plan_arrival(caller));
        self.events.plan(self.tallies.interval_us, What::Samples);
        self.plan_comparison();
    }

    fn plan_comparison(&mut self) {
        let outliers = &self.given.upstream.settings().outliers;
        if outliers.compares() {
            self.events.plan(self.now_us + outliers.interval_ms.max(1) * 1000, What::Compares);
        }
    }

    fn plan_arrival(&mut self, caller: u32) {
        let (arrivals, chance) = &mut self.arrivals[caller as usize];
        if let Some(at_us) = arrivals.next(chance) {
            self.events.plan(at_us, What::Arrives { caller });
        }
    }

    fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Arrives { caller } => self.arrives(caller),
            What::Served { endpoint, life, job, status } => self.served(endpoint, life, job, status),
            What::Connected(job)
            | What::Refused(job)
            | What::Limit(job)
            | What::WaitOver(job)
            | What::Again(job)
                if !self.requests.is_current(job) => {}
            What::Connected(job) => self.connected(job.request),
            What::Refused(job) => self.connect_failed(job.request),
            What::Limit(job) => self.limit_reached(job.request),
            What::WaitOver(job) => self.wait_is_over(job.request),
            What::Again(job) => self.tries_again(job.request),
            What::Turned { job, status } if self.requests.is_current(job) => {
                self.answered(job.request, status)
            }
            What::Turned { .. } => {}
            What::Changes(number) => self.changes(number),
            What::Probes { endpoint } => {
                if let (Some(probing), Some(origin)) =
                    (&mut self.probing, self.origins.get(endpoint as usize))
                {
                    probing.ask(endpoint, origin, self.now_us, &mut self.events);
                }
            }
            What::Probed { endpoint, passed } => {
                if let (Some(probing), Some(origin)) =
                    (&mut self.probing, self.origins.get(endpoint as usize))
                {
                    let upstream = self.given.upstream;
                    probing.hear(upstream, (endpoint, passed), origin, self.now_us, &mut self.events);
                }
            }
            What::Compares => {
                self.given.upstream.compare_endpoints(self.now_ms(), self.chance.next());
                self.plan_comparison();
            }
            What::Samples => self.samples(),
        }
    }

    fn arrives(&mut self, caller: u32) {
        self.plan_arrival(caller);
        let group = &self.given.scenario.callers[caller as usize];
        let (_, chance) = &mut self.arrivals[caller as usize];
        let member = chance.below(u64::from(group.count));
        let (worker, repeatable) =
            (chance.below(self.workers.len() as u64) as u32, chance.happens(group.repeatable));
        let (number, request) = self.requests.add();
        request.caller = caller;
        request.key = key_hash(&(u64::from(caller) << 32 | member).to_be_bytes());
        (request.worker, request.repeatable, request.seed) = (worker, repeatable, chance.next());
        request.arrived_us = self.now_us;
        self.tallies.arrived(self.now_us, caller);
        self.begins(number);
    }

    fn changes(&mut self, number: u32) {
        let change = &self.given.scenario.changes[number as usize];
        for &endpoint in &change.endpoints {
            let Some(origin) = self.origins.get_mut(endpoint as usize) else { continue };
            if origin.change(&change.to) {
                self.requests.sent_to(endpoint).into_iter().for_each(|request| self.lost(request));
            }
            // There may be room for more.
            self.serve_those_that_wait(endpoint);
        }
    }

    fn samples(&mut self) {
        let upstream = self.given.upstream;
        let status = upstream.admission().map(|admission| admission.status());
        self.tallies.samples.push(Sample {
            at_us: self.now_us,
            queued: status.map_or(0, |status| status.waiting.iter().map(|count| u64::from(*count)).sum()),
            in_flight: upstream.in_flight(),
            retries: upstream.active_retries(),
            circuit: upstream.breaker().map(|breaker| breaker.status(self.now_ms()).circuit),
        });
        let next_us = self.now_us + self.tallies.interval_us;
        self.events.plan(next_us, What::Samples);
    }

    /// A request is over: gives back what it holds, in the order in which an exchange does.
    fn ends(&mut self, number: u32, end: End) {
        let request = self.requests.get(number);
        request.place.permit = None;
        request.place.waiting = None;
        request.attempt = None;
        request.tries.active = None;
        let took_us = self.now_us - request.arrived_us;
        self.tallies.ended(request.caller, request.arrived_us, took_us, request.queued_us, end);
        self.requests.remove(number);
    }

    fn finish(mut self) -> Report {
        for request in self.requests.all_live() {
            self.ends(request, End::Unfinished);
        }
        Report::of(self.given, self.tallies)
    }
}

/// When phases begin: at the start, with each change and each step of a rate.
fn phases(scenario: &Scenario) -> Vec<u64> {
    let changes = scenario.changes.iter().map(|change| change.at_us);
    let steps = scenario.callers.iter().flat_map(|caller| &caller.rate);
    let ramps = steps.flat_map(|step| [step.at_us, step.at_us.saturating_add(step.over_us)]);
    let mut begins: Vec<u64> = changes.chain(ramps).filter(|at_us| *at_us < scenario.duration_us).collect();
    begins.push(0);
    begins.sort_unstable();
    begins.dedup();
    begins
}
