//! Mirroring: copies of a share of a route's requests go to another upstream too, whose answers nobody waits for.
//!
//! Here is what a snapshot says of it and what is counted; the walk of a copy is in `http/mirror`.

pub mod board;
pub mod comparer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tollgate_comparison::{Rules, Verdict};
use tollgate_decision::{Reason, chance};

use self::comparer::Comparer;

/// How many bytes of requests may be under way to an upstream as copies, whatever their number.
const BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// The first of the questions that mirrors ask of an exchange's seed; see [`chance`].
const QUESTION: u64 = 0x6d69_7272_6f72_0000;

/// A mirror of a route.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The upstream, by index.
    pub upstream: u32,
    /// The share of requests, in hundredths of a percent.
    pub share: u16,
    /// Requests with a larger body are not mirrored.
    pub max_body: usize,
    /// How long a copy may take, from when it is made to the last byte of its answer, in milliseconds.
    pub timeout_ms: u64,
    /// How many copies may be under way to the upstream at once, over all workers.
    pub max_in_flight: u32,
    /// What becomes of the answers; they are thrown away without this.
    pub compare: Option<Arc<Compare>>,
    /// The copies under way to the upstream, of all its mirrors.
    pub flights: Arc<Flights>,
    /// What is counted.
    pub series: Arc<MirrorSeries>,
}

/// How the answers of a mirror are compared with those that clients got.
#[derive(Debug)]
pub struct Compare {
    /// What counts.
    pub rules: Rules,
    /// Larger bodies are not kept and not compared.
    pub max_body: usize,
    /// Whether values that differ are shown, and not only where.
    pub values: bool,
    /// Who does it.
    pub comparer: Arc<Comparer>,
}

impl Mirror {
    /// Whether an exchange with this seed is mirrored, by the mirror of this place among the route's.
    pub fn takes(&self, place: usize, seed: u64) -> bool {
        chance::falls(seed, QUESTION + place as u64, self.share)
    }

    /// The seed for the choices of the copy.
    pub fn seed(place: usize, seed: u64) -> u64 {
        chance::draw(seed, QUESTION + 0x8000 + place as u64)
    }
}

/// The copies under way to an upstream. Outlives snapshots.
#[derive(Debug, Default)]
pub struct Flights {
    count: AtomicU32,
    bytes: AtomicUsize,
}

/// One copy under way.
#[derive(Debug)]
pub struct Flight {
    flights: Arc<Flights>,
    bytes: usize,
}

impl Flights {
    /// Begins another of so many bytes; `None` where there are enough already.
    pub fn begin(self: &Arc<Self>, max: u32, bytes: usize) -> Option<Flight> {
        let flight = Flight { flights: self.clone(), bytes };
        // Counted first, so that two who ask at once cannot both have the last place.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        (count < max && before.saturating_add(bytes) <= BYTES_IN_FLIGHT).then_some(flight)
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.count.fetch_sub(1, Ordering::Relaxed);
        self.flights.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What became of a copy, or of the wish to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// It was answered whole, with whatever status.
    Answered,
    /// The upstream failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// It was ended from here: its answer was too large, or the worker drains.
    Cut,
    /// It was not sent, since there were enough of them under way, or its upstream had no place for it at once.
    Busy,
    /// It was not made, since the request's body was larger than is mirrored.
    BodyTooLarge,
}

impl Mirrored {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::Failed, Self::TimedOut, Self::Cut, Self::Busy, Self::BodyTooLarge];

    /// The word for the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cut => "cut",
            Self::Busy => "busy",
            Self::BodyTooLarge => "body_too_large",
        }
    }

    /// What it is where the exchange with the mirror ended for this reason.
    pub fn of(reason: Reason) -> Self {
        match reason {
            Reason::Forwarded => Self::Answered,
            Reason::TotalTimeout
            | Reason::TryTimeout
            | Reason::FirstByteTimeout
            | Reason::ConnectTimeout
            | Reason::UpstreamStalled
            | Reason::DeadlineExceeded => Self::TimedOut,
            Reason::UpstreamFull | Reason::QueueFull | Reason::QueueTimeout | Reason::QueueShed => Self::Busy,
            Reason::Draining | Reason::ClientReset | Reason::ClientStalled => Self::Cut,
            _ => Self::Failed,
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The answers were compared.
    Verdict(Verdict),
    /// The mirror did not answer, or not whole.
    Unanswered,
    /// More answers wait for comparison than there may.
    Dropped,
}

impl Compared {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 6] = [
        Self::Verdict(Verdict::Same),
        Self::Verdict(Verdict::Status),
        Self::Verdict(Verdict::Headers),
        Self::Verdict(Verdict::Body),
        Self::Unanswered,
        Self::Dropped,
    ];

    /// The word for the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.label(),
            Self::Unanswered => "unanswered",
            Self::Dropped => "dropped",
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|other| *other == self).unwrap_or(0)
    }
}

/// What is counted of a mirror. Only exchanges that are mirrored touch it.
#[derive(Debug, Default)]
pub struct MirrorSeries {
    mirrored: [AtomicU64; Mirrored::ALL.len()],
    compared: [AtomicU64; Compared::ALL.len()],
}

impl MirrorSeries {
    /// Counts a copy.
    pub fn mirrored(&self, outcome: Mirrored) {
        self.mirrored[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a comparison.
    pub fn compared(&self, result: Compared) {
        self.compared[result.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Each outcome of copies with its count.
    pub fn mirrored_counts(&self) -> Vec<(&'static str, u64)> {
        let count = |outcome: Mirrored| self.mirrored[outcome as usize].load(Ordering::Relaxed);
        Mirrored::ALL.iter().map(|outcome| (outcome.label(), count(*outcome))).collect()
    }

    /// Each result of comparisons with its count.
    pub fn compared_counts(&self) -> Vec<(&'static str, u64)> {
        let count = |result: Compared| self.compared[result.index()].load(Ordering::Relaxed);
        Compared::ALL.iter().map(|result| (result.label(), count(*result))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_IN_FLIGHT, Compared, Flights, MirrorSeries, Mirrored};
    use std::sync::Arc;
    use tollgate_decision::Reason;

    #[test]
    fn copies_under_way_are_bounded_in_number_and_bytes() {
        let flights = Arc::new(Flights::default());
        let one = flights.begin(2, 10).unwrap();
        let two = flights.begin(2, 10).unwrap();
        assert!(flights.begin(2, 10).is_none());
        assert_eq!(flights.count(), 2);
        drop(one);
        assert!(flights.begin(2, BYTES_IN_FLIGHT).is_none(), "too many bytes");
        assert!(flights.begin(2, BYTES_IN_FLIGHT - 10).is_some());
        drop(two);
        assert_eq!(flights.count(), 0);
        assert!(flights.begin(1, BYTES_IN_FLIGHT).is_some());
    }

    #[test]
    fn a_mirror_without_a_place_is_busy_and_not_at_fault() {
        for reason in [Reason::UpstreamFull, Reason::QueueFull, Reason::QueueTimeout, Reason::QueueShed] {
            assert_eq!(Mirrored::of(reason), Mirrored::Busy, "{reason:?}");
        }
        for reason in [Reason::CircuitOpen, Reason::NoEndpoint, Reason::ConnectFailed] {
            assert_eq!(Mirrored::of(reason), Mirrored::Failed, "{reason:?}");
        }
    }

    #[test]
    fn each_outcome_has_its_counter() {
        let series = MirrorSeries::default();
        Mirrored::ALL.iter().for_each(|outcome| series.mirrored(*outcome));
        Compared::ALL.iter().for_each(|result| series.compared(*result));
        assert!(
            series.mirrored_counts().iter().chain(&series.compared_counts()).all(|(_, count)| *count == 1)
        );
    }
}
