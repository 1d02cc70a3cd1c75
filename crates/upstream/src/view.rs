//! What a worker keeps of an upstream: who may be used now, and in which order.

mod keeping;
mod lookup;

use std::fmt;
use std::sync::Arc;

use tollgate_decision::Reason;

use crate::endpoint::Endpoint;
use crate::health::Health;
use crate::random::Random;
use crate::schedule;
use crate::upstream::Upstream;

use keeping::Keeping;
use lookup::Lookup;

/// A worker's own picture of one upstream, rebuilt only when something changed. A new view
/// (`View::default()`) is empty until its first [`View::refresh`].
#[derive(Clone, Debug, Default)]
pub struct View {
    version: u64,
    valid_until_ms: u64,
    panicking: bool,
    /// The usable endpoints by index, ascending; their weights; for each the sum of weights up to and with
    /// it.
    members: Vec<u32>,
    weights: Vec<u32>,
    sums: Vec<u64>,
    /// Whether all members weigh the same, so that a weighted draw is a plain one.
    uniform: bool,
    schedule: Vec<u32>,
    exclusions: Vec<Option<Exclusion>>,
    /// Those that are out for new exchanges only, ascending.
    keeping: Vec<Keeping>,
    /// Only where the balancer looks endpoints up in a table.
    lookup: Option<Box<Lookup>>,
}

/// Why an endpoint is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// The upstream has it no more. Not used in a panic either.
    Removed,
    /// The operator has drained it. Not used in a panic either.
    Drained,
    /// Its weight is 0.
    WeightZero,
    /// Its probes fail.
    ProbeDown,
    /// Outlier detection took it out.
    Ejected {
        /// When it may be used again, in milliseconds since the process started.
        until_ms: u64,
    },
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed from the upstream"),
            Self::Drained => f.write_str("drained by the operator"),
            Self::WeightZero => f.write_str("its weight is 0"),
            Self::ProbeDown => f.write_str("its probes fail"),
            Self::Ejected { until_ms } => {
                write!(f, "ejected until {:.1}s after start", *until_ms as f64 / 1000.0)
            }
        }
    }
}

impl Exclusion {
    /// Whether it is meant: the endpoint is out whatever its health, and whatever that of the others.
    pub fn is_meant(self) -> bool {
        matches!(self, Self::Removed | Self::Drained | Self::WeightZero)
    }
}

/// Why no endpoint can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// The upstream has no endpoints, or none any more.
    NoEndpoints,
    /// All endpoints have weight 0.
    NoWeight,
    /// All endpoints with weight are drained by the operator.
    Drained,
    /// All other endpoints are down or ejected, and the panic threshold is 0.
    NoneUsable,
    /// All endpoints that may be used have as many exchanges as they may.
    Full,
}

impl Vacancy {
    /// The reason for the answer that Tollgate makes.
    pub fn reason(self) -> Reason {
        match self {
            Self::Full => Reason::UpstreamFull,
            _ => Reason::NoEndpoint,
        }
    }
}

impl fmt::Display for Vacancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEndpoints => "the upstream has no endpoints",
            Self::NoWeight => "all endpoints have weight 0",
            Self::Drained => "all endpoints with weight are drained by the operator",
            Self::NoneUsable => "all endpoints are down or ejected",
            Self::Full => "all endpoints that may be used have as many exchanges as they may",
        })
    }
}

impl View {
    /// Brings the view up to date with `upstream`; whether it had to be rebuilt. One load and two compares
    /// where nothing changed. A view that was made for another upstream is always rebuilt.
    #[inline]
    pub fn refresh(&mut self, upstream: &Upstream, now_ms: u64) -> bool {
        if upstream.version() == self.version && now_ms < self.valid_until_ms {
            return false;
        }
        self.rebuild(upstream, now_ms);
        true
    }

    /// As [`View::refresh`] for a view that others may hold: they keep what they have, and a new view takes its
    /// place.
    #[inline]
    pub fn refresh_shared(view: &mut Arc<Self>, upstream: &Upstream, now_ms: u64) -> bool {
        if upstream.version() == view.version && now_ms < view.valid_until_ms {
            return false;
        }
        match Arc::get_mut(view) {
            Some(view) => view.rebuild(upstream, now_ms),
            None => {
                let mut fresh = Self { keeping: view.keeping.clone(), ..Self::default() };
                fresh.rebuild(upstream, now_ms);
                *view = Arc::new(fresh);
            }
        }
        true
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.members.capacity() * size_of::<u32>()
            + self.weights.capacity() * size_of::<u32>()
            + self.sums.capacity() * size_of::<u64>()
            + self.schedule.capacity() * size_of::<u32>()
            + self.exclusions.capacity() * size_of::<Option<Exclusion>>()
            + self.keeping.capacity() * size_of::<Keeping>()
            + self.lookup.as_ref().map_or(0, |lookup| lookup.bytes())
    }

    /// The endpoints that may be picked, by index, ascending.
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// One cycle of turns over the members, by weight and evenly spaced. Empty only if there are no members.
    pub fn schedule(&self) -> &[u32] {
        &self.schedule
    }

    /// Whether so few endpoints are usable that all with weight are used: those left could not carry the
    /// load.
    pub fn is_panicking(&self) -> bool {
        self.panicking
    }

    /// Why the endpoint is not used (in a panic: would not be); `None` for a usable one.
    pub fn exclusion(&self, endpoint: u32) -> Option<Exclusion> {
        self.exclusions.get(endpoint as usize).copied().flatten()
    }

    /// How many endpoints the view knows: those of an index below this, removed ones counted in.
    pub fn endpoints(&self) -> u32 {
        self.exclusions.len() as u32
    }

    /// When the view is out of date by the clock, in milliseconds since the process started; `u64::MAX` for
    /// never.
    pub fn valid_until_ms(&self) -> u64 {
        self.valid_until_ms
    }

    /// The version of the upstream that the view shows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Why there is nobody to pick. Of meaning only while there are no members.
    pub fn vacancy(&self) -> Vacancy {
        let mut present = self.exclusions.iter().filter(|e| **e != Some(Exclusion::Removed)).peekable();
        if present.peek().is_none() {
            Vacancy::NoEndpoints
        } else if present.clone().all(|e| *e == Some(Exclusion::WeightZero)) {
            Vacancy::NoWeight
        } else if present.all(|e| e.is_some_and(Exclusion::is_meant)) {
            Vacancy::Drained
        } else {
            Vacancy::NoneUsable
        }
    }

    /// The weight of all members.
    pub(crate) fn total_weight(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// Draws a member at random, by weight: in one step where all weigh the same, else in a binary search.
    pub(crate) fn draw(&self, random: &mut Random) -> Option<u32> {
        if self.uniform {
            return self.members.get(random.below(self.members.len() as u64) as usize).copied();
        }
        let point = random.below(*self.sums.last()?);
        self.members.get(self.sums.partition_point(|&sum| sum <= point)).copied()
    }

    /// Draws a member that `avoid` does not name; `None` if it names all. Draws a few times before it looks
    /// at each.
    pub(crate) fn draw_avoiding(&self, random: &mut Random, avoid: impl Fn(u32) -> bool) -> Option<u32> {
        const DRAWS: usize = 8;
        if let [only] = self.members[..] {
            return Some(only).filter(|only| !avoid(*only));
        }
        for _ in 0..DRAWS {
            let drawn = self.draw(random)?;
            if !avoid(drawn) {
                return Some(drawn);
            }
        }
        // Heavy members are in the way. From a random place on, so that it is not always the same one that
        // stands in.
        let start = random.below(self.members.len() as u64) as usize;
        let (before, from) = self.members.split_at(start);
        from.iter().chain(before).copied().find(|member| !avoid(*member))
    }

    fn rebuild(&mut self, upstream: &Upstream, now_ms: u64) {
        upstream.settle(now_ms);
        // The version is read before what it stands for: what changes meanwhile makes the view old again.
        self.version = upstream.version();
        self.valid_until_ms = u64::MAX;
        self.exclusions.clear();
        let kept_before = std::mem::take(&mut self.keeping);
        for (index, endpoint) in upstream.endpoints() {
            let exclusion = exclusion_of(endpoint, now_ms);
            // Also one that is excluded for another reason ends, or the mark would stay.
            if let Some(until_ms) = endpoint.ejection().until_ms() {
                self.valid_until_ms = self.valid_until_ms.min(until_ms);
            }
            self.exclusions.push(exclusion);
            self.note_keeping((index, endpoint), exclusion, &kept_before, now_ms);
        }
        self.choose_members(upstream);
        schedule::build(&self.members, &self.weights, &mut self.schedule);
        self.look_up(upstream);
    }

    fn choose_members(&mut self, upstream: &Upstream) {
        let with_weight = self.exclusions.iter().filter(|e| !e.is_some_and(Exclusion::is_meant)).count();
        let usable = self.exclusions.iter().filter(|e| e.is_none()).count();
        let threshold = upstream.settings().panic_threshold_percent as usize;
        self.panicking = usable < with_weight && usable * 100 < with_weight * threshold;
        self.members.clear();
        self.weights.clear();
        self.sums.clear();
        let mut sum = 0;
        // Those that were added meanwhile have no exclusion yet, and the version makes the view old.
        for ((index, endpoint), exclusion) in upstream.endpoints().zip(&self.exclusions) {
            // Asked once, since the operator may change it meanwhile; the version makes the view old then.
            let weight = endpoint.weight();
            let excluded = match exclusion {
                None => false,
                Some(exclusion) => exclusion.is_meant() || !self.panicking,
            };
            if weight > 0 && !excluded {
                sum += u64::from(weight);
                self.members.push(index);
                self.weights.push(weight);
                self.sums.push(sum);
            }
        }
        self.uniform = self.weights.windows(2).all(|pair| pair[0] == pair[1]);
    }
}

fn exclusion_of(endpoint: &Endpoint, now_ms: u64) -> Option<Exclusion> {
    if endpoint.is_removed() {
        return Some(Exclusion::Removed);
    }
    if endpoint.is_drained() {
        return Some(Exclusion::Drained);
    }
    if endpoint.weight() == 0 {
        return Some(Exclusion::WeightZero);
    }
    match endpoint.health(now_ms) {
        Health::Usable => None,
        Health::Down => Some(Exclusion::ProbeDown),
        Health::Ejected { until_ms } => Some(Exclusion::Ejected { until_ms }),
    }
}

#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
