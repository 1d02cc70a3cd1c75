//! A named group of endpoints, shared by all workers.

mod known_health;
mod membership;
mod succession;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use tokio::sync::futures::Notified;

use crate::admission::{Admission, AdmissionSettings, Entry, Permit, Ticket, room};
use crate::balancers::{Balancer, Pick, PickKey};
use crate::balancing::Balancing;
use crate::breaker::{Breaker, BreakerSettings};
use crate::endpoint::{Endpoint, EndpointId, InFlight};
use crate::health::compare::compare;
use crate::health::outlier::Outliers;
use crate::health::{
    Cause, EjectionCause, Failure, Health, HealthEvent, HealthEvents, OutlierSettings, ProbeHealth, Rule, Why,
};
use crate::hold::Holds;
use crate::latency::Decay;
use crate::members::{Lists, Member, Source};
use crate::pool::PoolSettings;
use crate::probes::{ProbeFailure, ProbePlan};
use crate::retry_budget::{ActiveRetry, RetryBudget, RetryBudgetSettings};
use crate::slots::Slots;
use crate::slow_start::SlowStart;
use crate::version::Version;
use crate::view::{Locality, View};

pub use known_health::KnownHealth;
pub use membership::{MembersChange, NotAdded, Standing};
use succession::Succession;

/// What the document says about an upstream besides its endpoints and balancer.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// When fewer of the endpoints with weight than this are usable, in percent, all with weight are used;
    /// 0: never.
    pub panic_threshold_percent: u32,
    /// How much more than their part of the traffic the endpoints of a tier can carry, in percent: 140 for 40 %
    /// more. The next tier is used when those that are usable cannot carry everything.
    pub overprovisioning_percent: u32,
    /// How endpoints get their share that are new or back; `None`: at once.
    pub slow_start: Option<SlowStart>,
    /// That endpoints in Tollgate's own zone are preferred; `None` if they are not.
    pub locality: Option<Locality>,
    /// Outlier detection.
    pub outliers: OutlierSettings,
    /// Active probes; `None` for none.
    pub probes: Option<ProbePlan>,
    /// How many retries may run at once.
    pub retries: RetryBudgetSettings,
    /// How many idle connections a worker keeps, and for how long.
    pub pool: PoolSettings,
    /// The discovery sources that find endpoints for it besides those that it is made with.
    pub sources: Vec<Source>,
    /// How many exchanges at once, and what becomes of those beyond.
    pub admission: AdmissionSettings,
    /// When the upstream as a whole is spared for a while; `None` for never.
    pub breaker: Option<BreakerSettings>,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            panic_threshold_percent: 10,
            overprovisioning_percent: 140,
            slow_start: None,
            locality: None,
            outliers: OutlierSettings::default(),
            probes: None,
            retries: RetryBudgetSettings::default(),
            pool: PoolSettings::default(),
            sources: Vec::new(),
            admission: AdmissionSettings::default(),
            breaker: None,
        }
    }
}

/// A named group of endpoints with its balancer, health and retry budget. Endpoints are known by their index, which
/// stays theirs while others come and go.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    endpoints: Slots<Endpoint>,
    /// Who lists them. Held while the set is changed.
    lists: Mutex<Lists>,
    members_changed: Notify,
    balancing: Balancing,
    settings: UpstreamSettings,
    version: Version,
    outliers: Outliers,
    retries: RetryBudget,
    holds: Holds,
    succession: Succession,
    events: HealthEvents,
    admission: Option<Admission>,
    breaker: Option<Breaker>,
}

impl Upstream {
    /// An upstream of these endpoints, in this order, which are the document's. Endpoints that were there before
    /// should be [`Endpoint::successor`]s, so that what is known of them is not lost.
    pub fn new(
        name: impl Into<Arc<str>>,
        endpoints: Vec<Endpoint>,
        balancer: Box<dyn Balancer>,
        settings: UpstreamSettings,
        events: HealthEvents,
    ) -> Self {
        Self::balanced_by(name.into(), endpoints, balancer.into(), settings, events)
    }

    fn balanced_by(
        name: Arc<str>,
        endpoints: Vec<Endpoint>,
        balancer: Arc<dyn Balancer>,
        settings: UpstreamSettings,
        events: HealthEvents,
    ) -> Self {
        if settings.slow_start.is_none() {
            // Or they would begin slowly once the document has a slow start, however long they have been there.
            endpoints.iter().for_each(Endpoint::is_warm);
        }
        let cap = |endpoint: Endpoint| match endpoint.cap() {
            None => endpoint.capped(settings.admission.endpoint),
            Some(_) => endpoint,
        };
        let mut endpoints: Vec<Endpoint> = endpoints.into_iter().map(cap).collect();
        let balancing = Balancing::new(balancer, &mut endpoints);
        let start_down = settings.probes.as_ref().is_some_and(|plan| plan.start_down);
        for endpoint in &endpoints {
            probe_health_for(endpoint, &settings);
            if start_down && endpoint.probe_health() == ProbeHealth::Unknown {
                endpoint.set_probe_health(ProbeHealth::Awaited);
            }
        }
        // Of those that come later each has the cap that all have.
        let caps_all = settings.admission.endpoint.is_some();
        let caps_endpoints = caps_all || endpoints.iter().any(|endpoint| endpoint.cap().is_some());
        let has_caps = caps_endpoints || settings.admission.caps_upstream();
        Self {
            admission: has_caps.then(|| Admission::new(settings.admission.clone(), caps_endpoints)),
            breaker: settings.breaker.map(|b| Breaker::new(b, Arc::clone(&name), events.clone())),
            name,
            lists: Mutex::new(lists(&endpoints, settings.sources.len())),
            members_changed: Notify::new(),
            outliers: Outliers::new(settings.outliers, &endpoints),
            retries: RetryBudget::new(settings.retries),
            endpoints: Slots::new(endpoints),
            balancing,
            settings,
            version: Version::first(),
            holds: Holds::default(),
            succession: Succession::default(),
            events,
        }
    }

    /// The same as the one that follows `before`: places taken, those who wait and the circuit breaker's state go on. For before
    /// anything else uses this upstream; `before` stays as it is until [`Upstream::catch_up`].
    #[must_use]
    pub fn following(mut self, before: &Self) -> Self {
        if let (Some(admission), Some(before)) = (&mut self.admission, &before.admission) {
            *admission = before.successor(self.settings.admission.clone(), admission.caps_endpoints());
        }
        if let (Some(breaker), Some(before)) = (&mut self.breaker, &before.breaker)
            && breaker.settings() == before.settings()
        {
            *breaker = before.clone();
        }
        self.holds = before.holds.clone();
        self
    }

    /// Takes over what has come about in the upstream that this one follows, since it was put into force or since
    /// this was done last: endpoints that were found or that the operator has added or removed, and the health that
    /// they have. For before anything else uses this upstream.
    pub fn catch_up(&self, before: &Self, now_ms: u64) {
        self.take_over(before, now_ms);
        self.live_endpoints().for_each(|(_, endpoint)| endpoint.unretire());
        match (&self.admission, &before.admission) {
            (Some(admission), Some(before)) if admission.is_of(before) => admission.apply(),
            (_, Some(before)) => before.lift(),
            (_, None) => {}
        }
    }

    /// Becomes as the upstream that this one follows is now, of which nothing is changed.
    fn take_over(&self, before: &Self, now_ms: u64) {
        self.inherit(before, now_ms);
        let known: HashMap<EndpointId, &Endpoint> = before.endpoints().map(|(_, e)| (e.id(), e)).collect();
        for (_, endpoint) in self.endpoints() {
            if let Some(before) = known.get(&endpoint.id()) {
                endpoint.catch_up(before);
                probe_health_for(endpoint, &self.settings);
            }
        }
        if self.settings.slow_start.is_none() {
            self.endpoints().for_each(|(_, endpoint)| endpoint.is_warm());
        }
        self.outliers.recount(self.endpoints().map(|(_, e)| e));
        self.outliers.catch_up(&before.outliers);
        self.version.rise();
    }

    /// Its name in the document.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its endpoints with their indexes, ascending; also those that were removed, whose indexes are not given
    /// again.
    pub fn endpoints(&self) -> impl Iterator<Item = (u32, &Endpoint)> + Clone {
        self.endpoints.iter()
    }

    /// The endpoints that it has now, with their indexes.
    pub fn live_endpoints(&self) -> impl Iterator<Item = (u32, &Endpoint)> + Clone {
        self.endpoints().filter(|(_, endpoint)| !endpoint.is_removed())
    }

    /// One endpoint; `None` if there is none of this index. An index means the same endpoint for as long as this
    /// upstream lives, also after it was removed.
    #[inline]
    pub fn endpoint(&self, endpoint: u32) -> Option<&Endpoint> {
        self.endpoints.get(endpoint)
    }

    /// How many indexes are given to endpoints, those of removed ones counted in.
    pub fn slots(&self) -> usize {
        self.endpoints.len() as usize
    }

    /// What the document says about it.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Changes with each change of health and each of the operator's.
    pub fn version(&self) -> u64 {
        self.version.get()
    }

    /// The next change of health or of the operator's from this call on, also one before the future is first polled.
    pub fn changes(&self) -> Notified<'_> {
        self.version.risen()
    }

    /// The requests that wait for an endpoint.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Chooses an endpoint: that of the exchange's session where it can have it, else the balancer's. `view` must have
    /// been refreshed for this upstream. An exchange that has tried all of the view's members gets a backup or an
    /// endpoint of another zone, before it is tried a second time anywhere.
    pub fn pick(&self, view: &View, key: &PickKey<'_>) -> Pick {
        if key.preferred.is_some()
            && let Some(kept) = self.kept(view, key)
        {
            return Pick::Endpoint(kept);
        }
        match &self.admission {
            Some(admission) if admission.caps_endpoints() => room::pick(self, view, key),
            _ => self.balanced(view, key),
        }
    }

    /// The balancer's choice, or a spare endpoint, whoever is full.
    pub(crate) fn balanced(&self, view: &View, key: &PickKey<'_>) -> Pick {
        if let Some(spare) = view.spare_after(key) {
            return Pick::Endpoint(spare);
        }
        self.balancing.balancer().pick(self, view, key)
    }

    /// How its endpoints are picked, and what that needs.
    pub(crate) fn balancing(&self) -> &Balancing {
        &self.balancing
    }

    /// Whether its balancer picks by [`PickKey::hash`].
    pub fn uses_key(&self) -> bool {
        self.balancing.balancer().uses_key()
    }

    /// How fast the latencies are forgotten that its balancer picks by; `None` where it asks for none.
    #[inline]
    pub fn latency_decay(&self) -> Option<Decay> {
        self.balancing.latency_decay()
    }

    /// How many exchanges are in flight at all endpoints, where the balancer wants that counted; else 0.
    pub(crate) fn counted_in_flight(&self) -> u32 {
        self.balancing.in_flight()
    }

    /// How many exchanges it takes at once, and who waits; `None` where nothing is limited, and there is nothing to ask.
    #[inline]
    pub fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    /// Its circuit breaker, if it has one.
    #[inline]
    pub fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_ref()
    }

    /// Asks for a place at the upstream; `None` where nothing is limited. `view` must have been refreshed for this
    /// upstream, `now_us` is in microseconds since the process started. `ticket` is asked for only where it has to wait.
    #[inline]
    pub fn enter(&self, view: &View, now_us: u64, ticket: impl FnOnce() -> Ticket) -> Option<Entry> {
        let admission = self.admission.as_ref()?;
        Some(admission.desk().enter(now_us, ticket, || self.has_room(view)))
    }

    /// Counts an exchange in flight at the endpoint until the guard is dropped; `None` if there are as many as may
    /// be, or no such endpoint. Exact over all workers.
    #[inline]
    pub fn try_begin(&self, endpoint: u32) -> Option<InFlight> {
        match &self.admission {
            None => self.begin(endpoint),
            Some(admission) => self.endpoint(endpoint)?.try_begin(admission.desk()),
        }
    }

    /// The exchange of this permit has begun an attempt ([`Upstream::try_begin`]): others may pick now.
    pub fn seated(&self, permit: &mut Permit, view: &View) {
        permit.seated(|| self.has_room(view));
    }

    /// The exchange of this permit found all endpoints full ([`Vacancy::Full`](crate::Vacancy::Full)) and waits for one of
    /// them: ahead of those who come later if it was called or has had a place before, else as a newcomer. Never
    /// [`Entry::Admitted`].
    pub fn wait_again(
        &self,
        permit: Permit,
        view: &View,
        now_us: u64,
        ticket: impl FnOnce() -> Ticket,
    ) -> Entry {
        let desk = Arc::clone(permit.desk());
        desk.enter_again(permit, now_us, ticket, || self.has_room(view))
    }

    fn has_room(&self, view: &View) -> bool {
        view.members().iter().any(|member| self.endpoint(*member).is_some_and(|endpoint| !endpoint.is_full()))
    }

    /// Counts an exchange in flight at the endpoint until the guard is dropped; `None` if there is no such
    /// endpoint.
    pub fn begin(&self, endpoint: u32) -> Option<InFlight> {
        self.endpoint(endpoint).map(Endpoint::begin)
    }

    /// How many exchanges are in flight at all endpoints. Looks at each endpoint.
    pub fn in_flight(&self) -> u64 {
        self.endpoints().map(|(_, endpoint)| u64::from(endpoint.in_flight())).sum()
    }

    /// Begins a retry, if the retry budget allows one more.
    pub fn try_retry(&self) -> Option<ActiveRetry> {
        self.retries.try_begin(|| self.in_flight())
    }

    /// How many retries are active.
    pub fn active_retries(&self) -> u32 {
        self.retries.active()
    }

    /// Notes that an attempt at the endpoint did not fail. Costs one load unless the one before failed, and an addition
    /// where endpoints are compared.
    #[inline]
    pub fn report_success(&self, endpoint: u32) {
        if let Some(endpoint) = self.endpoint(endpoint) {
            self.outliers.succeeded(endpoint);
        }
    }

    /// Notes how long an attempt that did not fail took to its first byte. Costs nothing where the balancer does not
    /// pick by latency.
    #[inline]
    pub fn report_latency(&self, endpoint: u32, latency_us: u64, now_us: u64) {
        if let Some((endpoint, decay)) = self.endpoint(endpoint).zip(self.latency_decay()) {
            endpoint.latency().observe(latency_us, now_us, decay);
        }
    }

    /// Notes that an attempt failed after this time: that counts as a high latency, however soon it failed.
    #[inline]
    pub fn report_failed_latency(&self, endpoint: u32, took_us: u64, now_us: u64) {
        if let Some((endpoint, decay)) = self.endpoint(endpoint).zip(self.latency_decay()) {
            endpoint.latency().observe_failure(took_us, now_us, decay);
        }
    }

    /// Notes that an attempt at the endpoint failed. Whether that ejected it.
    pub fn report_failure(&self, endpoint: u32, failure: Failure, now_ms: u64, seed: u64) -> bool {
        let Some(endpoint) = self.endpoint(endpoint) else { return false };
        let Some((rule, failures)) = self.outliers.failed(endpoint, failure, now_ms) else { return false };
        self.settle(now_ms);
        self.eject(endpoint, Why::Row { rule, failures, last: failure }, now_ms, seed)
    }

    /// Ends an interval of the rules that compare endpoints, and ejects those that they speak against; for once an
    /// interval. Returns how many that were.
    pub fn compare_endpoints(&self, now_ms: u64, seed: u64) -> usize {
        self.settle(now_ms);
        let counts: Vec<_> = self
            .endpoints()
            // Of all of them, so that what an ejected one did is not held against it later.
            .map(|(index, endpoint)| (index, endpoint, self.outliers.take_counts(endpoint)))
            .filter(|(_, endpoint, _)| endpoint.takes_part() && endpoint.health(now_ms) == Health::Usable)
            .map(|(index, _, counts)| (index, counts))
            .collect();
        let outliers = compare(&self.settings.outliers, &counts).into_iter();
        let ejected = outliers.filter(|(index, comparison)| {
            let seed = seed.wrapping_add(u64::from(*index));
            let why = Why::Interval(*comparison);
            self.endpoint(*index).is_some_and(|endpoint| self.eject(endpoint, why, now_ms, seed))
        });
        ejected.count()
    }

    /// How often a rule has ejected endpoints (in shadow: would have), those of predecessors included.
    pub fn ejections(&self, rule: Rule) -> u64 {
        self.outliers.total(rule)
    }

    /// Ejects an endpoint, if the cap allows it. Whether it is out by that, which in shadow it never is.
    fn eject(&self, endpoint: &Endpoint, why: Why, now_ms: u64, seed: u64) -> bool {
        let from = endpoint.health(now_ms);
        let Some(ejection) = self.outliers.eject(endpoint, why.rule(), now_ms, seed) else { return false };
        let shadow = self.settings.outliers.shadow;
        let for_ms = ejection.until_ms - now_ms;
        let cause = Cause::Ejected(EjectionCause { why, ejections: ejection.number, for_ms, shadow });
        if shadow {
            self.tell(endpoint, [from, from], cause, now_ms);
        } else {
            self.changed(endpoint, from, cause, now_ms);
        }
        !shadow
    }

    /// Drains an endpoint: no new exchanges, not even in a panic, while those that run finish; or undrains
    /// it. Outlives reloads. Whether that changed anything; `None` if there is no such endpoint.
    pub fn set_drained(&self, endpoint: u32, drained: bool) -> Option<bool> {
        let endpoint = self.endpoint(endpoint)?;
        let changed = endpoint.set_drained(drained);
        if changed && !drained && self.settings.slow_start.is_some() {
            endpoint.is_back(None);
        }
        self.directed(changed);
        Some(changed)
    }

    /// Gives an endpoint another weight than the document's, or with `None` the document's again. Outlives
    /// reloads. Whether that changed anything; `None` if there is no such endpoint.
    pub fn set_weight(&self, endpoint: u32, weight: Option<u32>) -> Option<bool> {
        let changed = self.endpoint(endpoint)?.set_weight(weight);
        self.directed(changed);
        Some(changed)
    }

    /// After what the operator has set was changed: makes all views old.
    fn directed(&self, changed: bool) {
        if changed {
            self.outliers.count(self.endpoints().map(|(_, e)| e));
            // Here, so that no worker has to stop for it.
            self.balancing.table(self.endpoints());
            self.version.rise();
            self.look_again();
        }
    }

    /// Ends the ejections whose time is over. Views call this when they are rebuilt.
    pub(crate) fn settle(&self, now_ms: u64) {
        if !self.outliers.any() {
            return;
        }
        for (_, endpoint) in self.endpoints() {
            if let Some(ended) = self.outliers.settle(endpoint, now_ms).filter(|ended| !ended.shadow) {
                // Where probes fail as well, that is what it was and stays.
                let was_down = endpoint.probe_health().is_out();
                let from = if was_down { Health::Down } else { Health::Ejected { until_ms: ended.until_ms } };
                self.changed(endpoint, from, Cause::EjectionOver, now_ms);
            }
        }
    }

    /// Notes the outcome of a probe and the verdict that it led to, if it led to one.
    pub fn probed(
        &self,
        endpoint: u32,
        outcome: Result<(), ProbeFailure>,
        verdict: Option<ProbeHealth>,
        now_ms: u64,
    ) {
        let Some(endpoint) = self.endpoint(endpoint).filter(|endpoint| !endpoint.is_removed()) else {
            return;
        };
        if outcome.is_err() {
            endpoint.ejection().tally().probe_failed();
        }
        self.settle(now_ms);
        let from = endpoint.health(now_ms);
        if let Some(verdict) = verdict {
            endpoint.set_probe_health(verdict);
        }
        // Who answers its probe need not sit out its time, unless it must first pass more of them to come up.
        let passes = outcome.is_ok() && endpoint.probe_health() == ProbeHealth::Up;
        let released = passes && self.outliers.release(endpoint, now_ms);
        if released || verdict.is_some() {
            let cause = outcome.map_or_else(Cause::ProbeFailed, |()| Cause::ProbePassed);
            self.changed(endpoint, from, cause, now_ms);
        }
    }

    /// Other endpoints may be used than before: one who waits for room looks, and calls the next if it found some.
    fn look_again(&self) {
        if let Some(admission) = &self.admission {
            admission.desk().freed();
        }
    }

    /// Makes all views old, and tells of the change if it is one to the outside.
    fn changed(&self, endpoint: &Endpoint, from: Health, cause: Cause, at_ms: u64) {
        let to = endpoint.health(at_ms);
        if from != Health::Usable && to == Health::Usable && self.settings.slow_start.is_some() {
            endpoint.is_back(Some(at_ms));
        }
        self.version.rise();
        self.look_again();
        if from != to {
            self.tell(endpoint, [from, to], cause, at_ms);
        }
    }

    fn tell(&self, endpoint: &Endpoint, [from, to]: [Health; 2], cause: Cause, at_ms: u64) {
        let (upstream, endpoint) = (Arc::clone(&self.name), Arc::clone(endpoint.name()));
        self.events.send(HealthEvent { upstream, endpoint, from, to, cause, at_ms }.into());
    }
}

/// Forgets what the probes of a predecessor have said where that would never change: without probes nobody comes up,
/// and where endpoints start up, none is awaited.
fn probe_health_for(endpoint: &Endpoint, settings: &UpstreamSettings) {
    let keeps = match (&settings.probes, endpoint.probe_health()) {
        (None, health) => health == ProbeHealth::Unknown,
        (Some(plan), ProbeHealth::Awaited) => plan.start_down,
        (Some(_), _) => true,
    };
    if !keeps {
        endpoint.set_probe_health(ProbeHealth::Unknown);
    }
}

fn lists(endpoints: &[Endpoint], sources: usize) -> Lists {
    let member = |endpoint: &Endpoint| {
        let (name, address) = (endpoint.name().clone(), endpoint.address());
        Member { name, address, weight: endpoint.document_weight(), traits: endpoint.traits() }
    };
    let document = endpoints.iter().map(member).collect();
    Lists { document, found: vec![Vec::new(); sources], ..Lists::default() }
}

#[cfg(test)]
#[path = "upstream/tests.rs"]
mod tests;
