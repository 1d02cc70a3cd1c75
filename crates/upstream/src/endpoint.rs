//! One address of an upstream, and what all workers know of it.

mod since;
mod traits;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use self::since::Since;
pub use self::traits::{Labels, Traits};
use crate::admission::Desk;
use crate::admission::slots::{Slots, Taken, UNLIMITED};
use crate::health::outlier::EjectionState;
use crate::health::{Health, ProbeHealth};
use crate::latency::Latency;

/// Who an endpoint is, across reloads. Never given twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u64);

impl EndpointId {
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The identity as a number, for what cannot know endpoints.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// One address of an upstream. What is read for each exchange lies together and is written only when health
/// changes; the count of exchanges in flight, which is written all the time, has a cache line of its own.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    name: Arc<str>,
    address: SocketAddr,
    weight: AtomicU32,
    removed: AtomicBool,
    /// Read when views are built, and replaced when a source says otherwise.
    traits: RwLock<Arc<Traits>>,
    /// How many exchanges at once; [`UNLIMITED`] for any number.
    cap: u32,
    load: Arc<Load>,
    probe: AtomicU8,
    ejection: EjectionState,
    total: Option<Arc<Total>>,
    /// Since when it is new or back.
    warming: Since,
}

/// Shared by an endpoint and its successors, so that exchanges begun before a reload count on and what the
/// operator has set stays set.
#[derive(Debug)]
struct Load {
    lane: Arc<Lane>,
    /// Counted only where there is a cap.
    seats: Arc<Slots>,
    drained: Since,
    /// The operator's weight, or [`NO_OVERRIDE`].
    weight: AtomicU64,
    gone: AtomicBool,
}

/// No `u32`, so no weight.
const NO_OVERRIDE: u64 = u64::MAX;

/// The references to a lane are the count of what is in flight on it: one of [`Load`], one of each
/// [`InFlight`]. So a guard that may outlive everything costs one atomic addition and one subtraction, not
/// two of each. Aligned to two cache lines, as processors fetch them in pairs; what it holds begins where the
/// next two do.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    latency: Latency,
}

/// Counts what is in flight at all endpoints of an upstream together, by the references to its lane as well.
#[derive(Debug, Default)]
pub(crate) struct Total {
    lane: Arc<Lane>,
}

impl Total {
    pub(crate) fn in_flight(&self) -> u32 {
        (Arc::strong_count(&self.lane) - 1) as u32
    }
}

impl Endpoint {
    /// A new endpoint. `name` is the address as the document or the discovery source wrote it; an endpoint
    /// of weight 0 gets no new exchanges.
    pub fn new(name: impl Into<Arc<str>>, address: SocketAddr, weight: u32) -> Self {
        Self {
            id: EndpointId::unique(),
            name: name.into(),
            address,
            weight: AtomicU32::new(weight),
            removed: AtomicBool::new(false),
            traits: RwLock::default(),
            cap: UNLIMITED,
            load: Arc::new(Load {
                lane: Arc::default(),
                seats: Arc::new(Slots::new(UNLIMITED)),
                drained: Since::default(),
                weight: AtomicU64::new(NO_OVERRIDE),
                gone: AtomicBool::new(false),
            }),
            probe: AtomicU8::new(ProbeHealth::Unknown as u8),
            ejection: EjectionState::default(),
            total: None,
            warming: Since::default(),
        }
    }

    /// The same with these traits, for before it is used.
    #[must_use]
    pub fn with(self, traits: Arc<Traits>) -> Self {
        self.set_traits(&traits);
        self
    }

    /// The same for an upstream that others serve already: it is given its share slowly, where the upstream has a
    /// slow start. For before it is used.
    #[must_use]
    pub fn joining(self) -> Self {
        self.warming.begin();
        self
    }

    /// The same endpoint for the next snapshot, perhaps with another weight, and with the same traits. It shares identity (and with
    /// it pooled connections), the count in flight and what the operator has set, and starts with the health
    /// known now; later changes to the health of one do not show in the other. Only for an endpoint whose way of connecting (TLS,
    /// protocol) stays the same.
    pub fn successor(&self, weight: u32) -> Self {
        Self {
            id: self.id,
            name: Arc::clone(&self.name),
            address: self.address,
            weight: AtomicU32::new(weight),
            removed: AtomicBool::new(false),
            traits: RwLock::new(self.traits()),
            cap: UNLIMITED,
            load: Arc::clone(&self.load),
            probe: AtomicU8::new(self.probe_health() as u8),
            ejection: self.ejection.copy(),
            total: self.total.clone(),
            warming: self.warming.copy(),
        }
    }

    /// The same for an upstream that is used already, whose count of ejected endpoints it must not change.
    #[must_use]
    pub(crate) fn not_ejected(self) -> Self {
        Self { ejection: self.ejection.fresh(), ..self }
    }

    /// The same with a cap: so many exchanges at once, over all workers. For before its upstream is made, which caps
    /// those that have none of their own.
    #[must_use]
    pub fn capped(self, cap: Option<u32>) -> Self {
        Self { cap: cap.unwrap_or(self.cap), ..self }
    }

    /// How many exchanges may be at it at once; `None` for any number.
    pub fn cap(&self) -> Option<u32> {
        Some(self.cap).filter(|cap| *cap != UNLIMITED)
    }

    /// Whether as many exchanges are at it as may be.
    pub fn is_full(&self) -> bool {
        // What was begun before there was a cap counts too, as long as it goes on.
        self.cap != UNLIMITED && self.load.seats.taken().max(self.in_flight()) >= self.cap
    }

    /// Who this is.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// Host and port as written.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is besides its address.
    pub fn traits(&self) -> Arc<Traits> {
        self.traits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its share of the exchanges, relative to the other endpoints of the upstream: the operator's, if there
    /// is one, else the document's.
    pub fn weight(&self) -> u32 {
        self.weight_override().unwrap_or_else(|| self.document_weight())
    }

    /// The weight that it is listed with: the document's, or that of what it was found by.
    pub fn document_weight(&self) -> u32 {
        self.weight.load(Ordering::Acquire)
    }

    /// The weight that the operator has set; see [`Upstream::set_weight`](crate::Upstream::set_weight).
    pub fn weight_override(&self) -> Option<u32> {
        u32::try_from(self.load.weight.load(Ordering::Acquire)).ok()
    }

    /// Whether the operator wants no new exchanges here; see
    /// [`Upstream::set_drained`](crate::Upstream::set_drained).
    pub fn is_drained(&self) -> bool {
        self.load.drained.is_so()
    }

    /// Since when the operator wants no new exchanges here, in milliseconds since the process started: since now
    /// where nobody has asked before. `None` if it is not drained.
    pub fn drained_since_ms(&self, now_ms: u64) -> Option<u64> {
        self.load.drained.look(now_ms)
    }

    /// Whether its upstream has it no more. Exchanges that run at it finish; it gets no others, unless it comes
    /// back.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Whether it is meant to get exchanges at all, in good health.
    pub(crate) fn takes_part(&self) -> bool {
        !self.is_removed() && !self.is_drained() && self.weight() > 0
    }

    /// Counts one exchange in flight until the guard is dropped.
    pub fn begin(&self) -> InFlight {
        let total = self.total.as_ref().map(|total| Arc::clone(&total.lane));
        InFlight { lane: Some(Arc::clone(&self.load.lane)), seat: None, _total: total }
    }

    /// Counts one exchange in flight until the guard is dropped, unless there are as many as may be. Never more than
    /// that, whoever asks at once. `desk` is told when the guard is dropped.
    pub(crate) fn try_begin(&self, desk: &Arc<Desk>) -> Option<InFlight> {
        let taken = self.load.seats.try_take_below(self.cap)?;
        if taken == Taken::Uncounted {
            return Some(self.begin());
        }
        let seat = Seat { seats: Arc::clone(&self.load.seats), desk: Arc::clone(desk) };
        let mut begun = self.begin();
        begun.seat = Some(seat);
        // The seats do not have those begun before there was a cap; the lane has all. Whoever comes last sees all others.
        (self.in_flight() <= self.cap).then_some(begun)
    }

    /// How many exchanges are in flight, over all workers.
    pub fn in_flight(&self) -> u32 {
        (Arc::strong_count(&self.load.lane) - 1) as u32
    }

    /// No snapshot to come has it: exchanges that are under way at it are its last.
    pub fn retire(&self) {
        self.load.gone.store(true, Ordering::Relaxed);
    }

    /// Whether it was retired or removed, itself or a successor. Then no connection to it is worth keeping.
    pub fn is_retired(&self) -> bool {
        self.load.gone.load(Ordering::Relaxed)
    }

    /// Undoes [`Endpoint::retire`]: a snapshot has it after all.
    pub(crate) fn unretire(&self) {
        self.load.gone.store(false, Ordering::Relaxed);
    }

    /// What the probes say.
    pub fn probe_health(&self) -> ProbeHealth {
        ProbeHealth::from_u8(self.probe.load(Ordering::Acquire))
    }

    /// Whether it may be used, and if not why.
    pub fn health(&self, now_ms: u64) -> Health {
        if self.probe_health().is_out() {
            return Health::Down;
        }
        match self.ejection.until_ms() {
            Some(until_ms) if until_ms > now_ms => Health::Ejected { until_ms },
            _ => Health::Usable,
        }
    }

    /// How many attempts failed since the last one that did not.
    pub fn consecutive_failures(&self) -> u32 {
        self.ejection.failures()
    }

    /// How many of its probes failed, those before reloads included.
    pub fn probes_failed(&self) -> u64 {
        self.ejection.tally().probes_failed()
    }

    /// Whether that changed anything.
    pub(crate) fn set_drained(&self, drained: bool) -> bool {
        match drained {
            true => !self.is_drained() && self.load.drained.begin(),
            false => self.load.drained.end(),
        }
    }

    /// Takes it out of its upstream, or back in. Whether that changed anything.
    pub(crate) fn set_removed(&self, removed: bool) -> bool {
        self.load.gone.store(removed, Ordering::Relaxed);
        self.removed.swap(removed, Ordering::AcqRel) != removed
    }

    /// Lists it with another weight. Whether that changed anything.
    pub(crate) fn set_document_weight(&self, weight: u32) -> bool {
        self.weight.swap(weight, Ordering::AcqRel) != weight
    }

    /// Lists it with other traits. Whether that changed anything.
    pub(crate) fn set_traits(&self, traits: &Arc<Traits>) -> bool {
        if self.traits() == *traits {
            return false;
        }
        *self.traits.write().unwrap_or_else(PoisonError::into_inner) = traits.clone();
        true
    }

    /// Whether that changed anything.
    pub(crate) fn set_weight(&self, weight: Option<u32>) -> bool {
        let weight = weight.map_or(NO_OVERRIDE, u64::from);
        self.load.weight.swap(weight, Ordering::AcqRel) != weight
    }

    pub(crate) fn catch_up(&self, before: &Self) {
        self.set_probe_health(before.probe_health());
        self.ejection.catch_up(&before.ejection);
        self.warming.catch_up(&before.warming);
    }

    /// Since when it is new or back; `None` for one that was there from the start.
    pub(crate) fn warming_since_ms(&self, now_ms: u64) -> Option<u64> {
        self.warming.look(now_ms)
    }

    /// It is back: since `at_ms`, or since the next look.
    pub(crate) fn is_back(&self, at_ms: Option<u64>) {
        match at_ms {
            Some(at_ms) => self.warming.begin_at(at_ms),
            None => drop(self.warming.begin()),
        }
    }

    /// It need not be given its share slowly, wherever it comes from.
    pub(crate) fn is_warm(&self) {
        self.warming.end();
    }

    pub(crate) fn set_probe_health(&self, health: ProbeHealth) {
        self.probe.store(health as u8, Ordering::Release);
    }

    /// What is in flight here counts there too from now on; with `None`, nowhere else.
    pub(crate) fn count_in(&mut self, total: Option<Arc<Total>>) {
        self.total = total;
    }

    /// Where it counts besides, or the one that it succeeds did.
    pub(crate) fn total(&self) -> Option<&Arc<Total>> {
        self.total.as_ref()
    }

    pub(crate) fn latency(&self) -> &Latency {
        &self.load.lane.latency
    }

    pub(crate) fn ejection(&self) -> &EjectionState {
        &self.ejection
    }
}

/// One exchange in flight at an endpoint. Dropping it, on whatever path, ends the count.
#[derive(Debug)]
#[must_use = "the exchange counts as in flight only as long as this is kept"]
pub struct InFlight {
    lane: Option<Arc<Lane>>,
    /// Where the endpoint has a cap.
    seat: Option<Seat>,
    /// Where the upstream counts all together.
    _total: Option<Arc<Lane>>,
}

/// A place at an endpoint that has a cap.
#[derive(Debug)]
struct Seat {
    seats: Arc<Slots>,
    desk: Arc<Desk>,
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        // In this order: whoever is woken finds the place free by both counts.
        self.lane = None;
        if let Some(seat) = self.seat.take() {
            seat.seats.give_back(Taken::Counted);
            seat.desk.freed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    fn endpoint() -> Endpoint {
        Endpoint::new("a.example:80", "127.0.0.1:80".parse().unwrap(), 1)
    }

    #[test]
    fn guards_count_on_all_threads_and_outlive_the_endpoint() {
        let endpoint = endpoint();
        let guards: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).map(|_| endpoint.begin()).skip(900).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(endpoint.in_flight(), 400);
        let successor = endpoint.successor(5);
        drop(endpoint);
        assert_eq!(successor.in_flight(), 400);
        drop(guards);
        assert_eq!(successor.in_flight(), 0);
    }

    #[test]
    fn all_that_went_before_are_retired_with_the_last() {
        let first = endpoint();
        let second = first.successor(1);
        assert!(!first.is_retired());
        second.retire();
        assert!(first.is_retired() && !endpoint().is_retired());
    }

    #[test]
    fn a_successor_is_the_same_endpoint_and_a_namesake_is_not() {
        let first = endpoint();
        assert_eq!(first.successor(2).id(), first.id());
        assert_ne!(endpoint().id(), first.id());
        let guard = first.successor(2).begin();
        assert_eq!(first.in_flight(), 1);
        drop(guard);
    }

    #[test]
    fn what_the_operator_has_set_outlives_a_reload_in_both_directions() {
        let first = endpoint();
        assert!(first.set_drained(true) && !first.set_drained(true));
        let second = first.successor(7);
        assert!(second.is_drained() && !second.takes_part());
        assert!(second.set_weight(Some(3)) && !second.set_weight(Some(3)));
        assert_eq!((first.weight(), second.weight(), second.document_weight()), (3, 3, 7));
        assert!(first.set_weight(None) && second.set_drained(false));
        assert_eq!((first.weight(), second.weight(), first.is_drained()), (1, 7, false));
        for weight in [0, u32::MAX] {
            first.set_weight(Some(weight));
            assert_eq!((second.weight(), second.takes_part()), (weight, weight > 0));
        }
    }
}
