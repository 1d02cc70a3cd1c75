//! A document on trial: put into force until somebody confirms it, and taken back if nobody does or if
//! exchanges fare worse than before.

mod chance;
#[cfg(test)]
mod simulated;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tollgate_decision::Side;
use tollgate_telemetry::histogram::{Sparse, Sum, bounds_of};
use tollgate_telemetry::shard::RouteTraffic;

use crate::process::Current;
use chance::Seen;

/// How often a document on trial is judged.
pub const LOOK: Duration = Duration::from_secs(1);
/// How likely one look may find something worse where nothing is, all its comparisons together. A trial is a
/// sequence of looks, each another occasion for a false alarm: a minute of them stays below one in a thousand.
const CHANCE: f64 = 1e-5;
/// A route is judged by its failures once it has had so many exchanges.
const EXCHANGES_MIN: u64 = 10;
/// Fewer failures than this may be one incident, whatever chance says: failures come in bursts.
const FAILURES: Rise = Rise { hits: 5, by: 0.005, times: 1.5 };
/// Clients that ask for what is not there come and go as they like: a scanner must not take a document back,
/// a path that is rewritten wrongly must.
const REFUSALS: Rise = Rise { hits: 20, by: 0.2, times: 1.5 };
/// The share of requests without a route also rises where the other routes have less to do for a moment, so
/// it has to rise further, and is judged when there was time for that to even out.
const UNROUTED_RISE: Rise = Rise { hits: 20, by: 0.2, times: 4.0 };
const UNROUTED_LOOKS: u32 = 5;
/// How much slower exchanges have to become: that many times, and by that much at least.
const SLOWER_TIMES: f64 = 2.0;
const SLOWER_BY_US: u64 = 20_000;
/// Quantiles that are compared, and how many exchanges each needs, before and since.
const QUANTILES: [(f64, &str, u64); 2] = [(0.9, "p90", 200), (0.99, "p99", 2_000)];

/// What a share must have risen by to count, besides not being chance.
struct Rise {
    hits: u64,
    by: f64,
    times: f64,
}

/// What a route's exchanges came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Ended exchanges.
    pub exchanges: u64,
    /// Of those: answered with 5xx, or ended by a fault that is not the client's.
    pub failed: u64,
    /// Of those: answered with 4xx.
    pub refused: u64,
    /// How long they took.
    pub durations: Sparse,
}

/// Figures by route name; those of requests that no route took have the name [`UNROUTED`].
pub type FiguresByRoute = HashMap<String, Figures>;

/// The name for requests that no route took.
pub const UNROUTED: &str = "(no route)";

/// How a trial stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Running,
    /// Somebody confirmed the document.
    Confirmed,
    /// The document before is about to be in force again, for this reason.
    TakingBack(String),
    /// The document before is in force again, for this reason.
    TakenBack(String),
    /// The document should have been taken back, but stays: why, and why not.
    Stays(String),
}

impl Verdict {
    /// Whether the trial is over.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Running | Self::TakingBack(_))
    }
}

/// A document on trial, or the last one that was.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The document's number.
    pub number: u64,
    /// The number of the document that it is taken back to.
    pub back_to: u64,
    /// When it is taken back unless it is confirmed, in milliseconds since the process started.
    pub until_ms: u64,
    /// How it stands.
    pub verdict: Verdict,
    /// What exchanges came to before.
    pub before: Arc<FiguresByRoute>,
    /// What they came to since.
    pub since: FiguresByRoute,
}

/// What all exchanges have come to so far. Only routes that had any are looked at.
pub fn figures(current: &Current) -> FiguresByRoute {
    let names = current.snapshot.routes.iter().map(|route| route.name.as_str()).chain([UNROUTED]);
    let mut all = FiguresByRoute::new();
    for (index, name) in names.enumerate() {
        let series = current.shards.iter().filter_map(|shard| shard.routes.get(index)?.traffic());
        let mut sum = Sum::default();
        let mut found = None;
        for traffic in series {
            let figures = found.get_or_insert_with(Figures::default);
            add(figures, traffic);
            traffic.durations.add_to(&mut sum);
        }
        if let Some(mut figures) = found {
            figures.durations = sum.sparse();
            all.insert(name.to_owned(), figures);
        }
    }
    all
}

fn add(figures: &mut Figures, traffic: &RouteTraffic) {
    for (outcome, durations) in traffic.outcomes.iter() {
        let count = durations.count();
        let at_fault = outcome.failure.is_some_and(|reason| reason.side() != Side::Client);
        figures.exchanges += count;
        figures.refused += if (400..500).contains(&outcome.status) { count } else { 0 };
        figures.failed +=
            if outcome.status >= 500 && outcome.status != u16::MAX || at_fault { count } else { 0 };
    }
}

/// What came between two looks.
pub fn between(earlier: &FiguresByRoute, later: &FiguresByRoute) -> FiguresByRoute {
    let nothing = Figures::default();
    let difference = |(name, now): (&String, &Figures)| {
        let then = earlier.get(name).unwrap_or(&nothing);
        let figures = Figures {
            exchanges: now.exchanges.saturating_sub(then.exchanges),
            failed: now.failed.saturating_sub(then.failed),
            refused: now.refused.saturating_sub(then.refused),
            durations: now.durations.since(&then.durations),
        };
        (name.clone(), figures)
    };
    later.iter().map(difference).filter(|(_, figures)| figures.exchanges > 0).collect()
}

/// What has become worse since the document was changed, if anything has: the first by name, so that the same
/// figures give the same answer. `looks` is how many there were, this one included.
pub fn worse(before: &FiguresByRoute, since: &FiguresByRoute, looks: u32) -> Option<String> {
    let (total_before, total_since) = (total(before), total(since));
    let mut names: Vec<&String> = since.keys().filter(|name| *name != UNROUTED).collect();
    names.sort();
    // Failures, refusals, and each quantile, of each route; and requests without a route.
    let comparisons = 1 + names.len() * (2 + QUANTILES.len());
    let chance = CHANCE / comparisons as f64;
    let unrouted = |figures: &FiguresByRoute, all: &Figures| Seen {
        hits: figures.get(UNROUTED).map_or(0, |f| f.exchanges),
        all: all.exchanges,
    };
    let [then, now] = [unrouted(before, &total_before), unrouted(since, &total_since)];
    if let Some(rise) = rise(then, now, &UNROUTED_RISE, chance).filter(|_| looks >= UNROUTED_LOOKS) {
        return Some(format!("requests that no route takes: {rise}"));
    }
    names.into_iter().find_map(|name| {
        let (now, then) = (&since[name], before.get(name));
        // A route without a past is measured by all the others.
        let reference = then.unwrap_or(&total_before);
        let failed = |figures: &Figures| Seen { hits: figures.failed, all: figures.exchanges };
        let refused = |figures: &Figures| Seen { hits: figures.refused, all: figures.exchanges };
        let failures = rise(failed(reference), failed(now), &FAILURES, chance);
        failures
            .map(|rise| format!("failures of route {name}: {rise}"))
            .or_else(|| {
                let rise = rise(refused(reference), refused(now), &REFUSALS, chance)?;
                Some(format!("4xx answers of route {name}: {rise}"))
            })
            .or_else(|| Some(format!("route {name}: {}", slower(then?, now, chance)?)))
    })
}

fn total(figures: &FiguresByRoute) -> Figures {
    figures.values().fold(Figures::default(), |sum, one| Figures {
        exchanges: sum.exchanges + one.exchanges,
        failed: sum.failed + one.failed,
        refused: sum.refused + one.refused,
        durations: Sparse::default(),
    })
}

/// How a share has risen, if it has by more than chance explains.
fn rise(then: Seen, now: Seen, least: &Rise, chance: f64) -> Option<String> {
    if now.all < EXCHANGES_MIN || now.hits < least.hits {
        return None;
    }
    let (share, share_before) = (now.share(), then.share());
    let risen = share - share_before > least.by && share > share_before * least.times;
    let percent = |share: f64| share * 100.0;
    (risen && chance::is_rarer(now, then, chance))
        .then(|| format!("{:.1} % of {}, before {:.1} %", percent(share), now.all, percent(share_before)))
}

/// How exchanges became slower, if they did. A quantile that has moved far is not enough, since its own error
/// depends on a distribution that nobody knows: so many exchanges must lie beyond the limit that chance does
/// not explain it, whatever the distribution is.
fn slower(before: &Figures, since: &Figures, chance: f64) -> Option<String> {
    let mut quantiles = QUANTILES.iter().filter(|q| before.exchanges.min(since.exchanges) >= q.2);
    quantiles.find_map(|(share, word, _)| {
        let (then, now) = (before.durations.quantile(*share)?, since.durations.quantile(*share)?);
        let limit = (then as f64 * SLOWER_TIMES).max((then + SLOWER_BY_US) as f64) as u64;
        let beyond = |durations: &Sparse| {
            let slow = durations.counts.iter().filter(|(bucket, _)| bounds_of(*bucket).0 > limit);
            Seen { hits: slow.map(|(_, count)| count).sum(), all: durations.count() }
        };
        let ms = |us: u64| us as f64 / 1000.0;
        (now > limit && chance::is_rarer(beyond(&since.durations), beyond(&before.durations), chance))
            .then(|| format!("{word} {:.1} ms, before {:.1} ms", ms(now), ms(then)))
    })
}

#[cfg(test)]
mod tests {
    use super::{Figures, FiguresByRoute, UNROUTED, between, worse};
    use tollgate_telemetry::Histogram;
    use tollgate_telemetry::histogram::Sum;

    fn figures(exchanges: u64, failed: u64, ms: u64) -> Figures {
        let (histogram, mut sum) = (Histogram::default(), Sum::default());
        (0..exchanges).for_each(|_| histogram.record(ms * 1000));
        histogram.add_to(&mut sum);
        Figures { exchanges, failed, refused: 0, durations: sum.sparse() }
    }

    fn by_route(routes: &[(&str, Figures)]) -> FiguresByRoute {
        routes.iter().map(|(name, figures)| ((*name).to_owned(), figures.clone())).collect()
    }

    #[test]
    fn what_was_as_bad_before_is_not_held_against_the_document() {
        let before = by_route(&[("a", figures(1_000, 100, 5)), (UNROUTED, figures(200, 0, 1))]);
        let since = by_route(&[("a", figures(500, 55, 6)), (UNROUTED, figures(90, 0, 1))]);
        assert_eq!(worse(&before, &since, 9), None);
        assert_eq!(worse(&FiguresByRoute::new(), &by_route(&[("a", figures(500, 0, 5))]), 9), None);
    }

    #[test]
    fn failures_of_one_route_are_found_among_many_that_are_well() {
        let before = by_route(&[("a", figures(1_000, 1, 5)), ("b", figures(1_000_000, 0, 5))]);
        let since = by_route(&[("a", figures(100, 30, 5)), ("b", figures(100_000, 0, 5))]);
        let found = worse(&before, &since, 9).unwrap();
        assert_eq!(found, "failures of route a: 30.0 % of 100, before 0.1 %");
        // Too few to tell.
        assert_eq!(worse(&before, &by_route(&[("a", figures(9, 5, 5))]), 9), None);
        assert_eq!(worse(&before, &by_route(&[("a", figures(1_000, 4, 5))]), 9), None);
    }

    #[test]
    fn a_new_route_that_only_fails_and_requests_that_lose_their_route_are_found() {
        let before = by_route(&[("a", figures(1_000, 0, 5))]);
        let since = by_route(&[("b", figures(50, 50, 5))]);
        assert!(worse(&before, &since, 9).unwrap().starts_with("failures of route b"));
        let since = by_route(&[(UNROUTED, figures(50, 0, 5)), ("a", figures(50, 0, 5))]);
        assert!(worse(&before, &since, 9).unwrap().starts_with("requests that no route takes: 50.0 %"));
    }

    #[test]
    fn a_route_that_became_slow_is_found_and_one_that_always_was_is_not() {
        let before = by_route(&[("a", figures(1_000, 0, 50)), ("b", figures(1_000, 0, 900))]);
        let since = by_route(&[("a", figures(1_000, 0, 60)), ("b", figures(1_000, 0, 1_000))]);
        assert_eq!(worse(&before, &since, 9), None);
        let since = by_route(&[("a", figures(1_000, 0, 200)), ("b", figures(1_000, 0, 900))]);
        assert!(worse(&before, &since, 9).unwrap().starts_with("route a: p90 "));
    }

    #[test]
    fn a_route_whose_requests_find_nothing_any_more_is_found() {
        let refused = |exchanges, refused| Figures { refused, ..figures(exchanges, 0, 5) };
        let before = by_route(&[("a", refused(1_000, 50))]);
        assert_eq!(worse(&before, &by_route(&[("a", refused(100, 20))]), 9), None);
        let found = worse(&before, &by_route(&[("a", refused(100, 90))]), 9).unwrap();
        assert_eq!(found, "4xx answers of route a: 90.0 % of 100, before 5.0 %");
    }

    #[test]
    fn differences_leave_out_what_nobody_asked_for() {
        let earlier = by_route(&[("a", figures(10, 1, 5)), ("b", figures(3, 0, 5))]);
        let later = by_route(&[("a", figures(30, 4, 5)), ("b", figures(3, 0, 5))]);
        let between = between(&earlier, &later);
        assert_eq!(between.len(), 1);
        assert_eq!(
            (between["a"].exchanges, between["a"].failed, between["a"].durations.count()),
            (20, 3, 20)
        );
    }
}
