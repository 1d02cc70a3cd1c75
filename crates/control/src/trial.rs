//! A document on trial: put into force until somebody confirms it, and taken back if nobody does or if
//! exchanges fare worse than before.

use std::collections::HashMap;
use std::time::Duration;

use tollgate_decision::Side;
use tollgate_telemetry::histogram::{Sparse, Sum};
use tollgate_telemetry::shard::RouteTraffic;

use crate::process::Current;

/// How long exchanges are watched before the document is changed.
pub const BASELINE: Duration = Duration::from_secs(5);
/// How often a document on trial is judged.
pub const LOOK: Duration = Duration::from_secs(1);
/// A route is judged by its failures once it has had so many exchanges, and by its latency once it has had
/// ten times as many.
const EXCHANGES_MIN: u64 = 20;
/// How many standard deviations a share has to rise, and by how much at least, before it counts.
const DEVIATIONS: f64 = 4.0;
const RISE_MIN: f64 = 0.01;
/// How much slower exchanges have to become: that many times, and by that much at least.
const SLOWER_TIMES: f64 = 2.0;
const SLOWER_BY_US: u64 = 20_000;

/// What a route's exchanges came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Ended exchanges.
    pub exchanges: u64,
    /// Of those: answered with 5xx, or ended by a fault that is not the client's.
    pub failed: u64,
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
    /// The document before is in force again, for this reason.
    TakenBack(String),
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
    pub before: FiguresByRoute,
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
            durations: now.durations.since(&then.durations),
        };
        (name.clone(), figures)
    };
    later.iter().map(difference).filter(|(_, figures)| figures.exchanges > 0).collect()
}

/// What has become worse since the document was changed, if anything has; the worst first to be found by
/// name, so that the same figures give the same answer.
pub fn worse(before: &FiguresByRoute, since: &FiguresByRoute) -> Option<String> {
    let (total_before, total_since) = (total(before), total(since));
    let count = |figures: &FiguresByRoute| figures.get(UNROUTED).map_or(0, |f| f.exchanges);
    let unrouted = Shares {
        before: (count(before), total_before.exchanges),
        since: (count(since), total_since.exchanges),
    };
    if let Some(rise) = unrouted.rise() {
        return Some(format!("requests that no route takes: {rise}"));
    }
    let mut names: Vec<&String> = since.keys().collect();
    names.sort();
    for name in names {
        let (now, then) = (&since[name], before.get(name));
        // A route without a past is measured by all the others.
        let reference = then.unwrap_or(&total_before);
        let failures =
            Shares { before: (reference.failed, reference.exchanges), since: (now.failed, now.exchanges) };
        if let Some(rise) = failures.rise() {
            return Some(format!("failures of route {name}: {rise}"));
        }
        if let Some(slower) = then.and_then(|then| slower(then, now)) {
            return Some(format!("route {name}: {slower}"));
        }
    }
    None
}

fn total(figures: &FiguresByRoute) -> Figures {
    figures.values().fold(Figures::default(), |sum, one| Figures {
        exchanges: sum.exchanges + one.exchanges,
        failed: sum.failed + one.failed,
        durations: Sparse::default(),
    })
}

/// Two shares: how many of how many.
struct Shares {
    before: (u64, u64),
    since: (u64, u64),
}

impl Shares {
    /// How the share has risen, if it has by more than chance explains (a test of two proportions).
    fn rise(&self) -> Option<String> {
        let (hits, all) = self.since;
        if all < EXCHANGES_MIN {
            return None;
        }
        let (hits, all) = (hits as f64, all as f64);
        // One exchange that never was on each side: no past is no proof that nothing fails.
        let (hits_before, all_before) = (self.before.0 as f64 + 0.5, self.before.1 as f64 + 1.0);
        let (share, share_before) = (hits / all, hits_before / all_before);
        let pooled = (hits + hits_before) / (all + all_before);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / all + 1.0 / all_before)).sqrt();
        let known = if self.before.1 == 0 { 0.0 } else { self.before.0 as f64 / self.before.1 as f64 };
        (share - share_before > (DEVIATIONS * deviation).max(RISE_MIN))
            .then(|| format!("{:.1} % of {all:.0}, before {:.1} %", share * 100.0, known * 100.0))
    }
}

fn slower(before: &Figures, since: &Figures) -> Option<String> {
    let enough = EXCHANGES_MIN * 10;
    if before.exchanges < enough || since.exchanges < enough {
        return None;
    }
    // With fewer exchanges the last percent is a matter of chance.
    let (share, word) =
        if before.exchanges.min(since.exchanges) >= 1_000 { (0.99, "p99") } else { (0.9, "p90") };
    let (then, now) = (before.durations.quantile(share)?, since.durations.quantile(share)?);
    let limit = (then as f64 * SLOWER_TIMES).max((then + SLOWER_BY_US) as f64);
    let ms = |us: u64| us as f64 / 1000.0;
    (now as f64 > limit).then(|| format!("{word} {:.1} ms, before {:.1} ms", ms(now), ms(then)))
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
        Figures { exchanges, failed, durations: sum.sparse() }
    }

    fn by_route(routes: &[(&str, Figures)]) -> FiguresByRoute {
        routes.iter().map(|(name, figures)| ((*name).to_owned(), figures.clone())).collect()
    }

    #[test]
    fn what_was_as_bad_before_is_not_held_against_the_document() {
        let before = by_route(&[("a", figures(1_000, 100, 5)), (UNROUTED, figures(200, 0, 1))]);
        let since = by_route(&[("a", figures(500, 55, 6)), (UNROUTED, figures(90, 0, 1))]);
        assert_eq!(worse(&before, &since), None);
        assert_eq!(worse(&FiguresByRoute::new(), &by_route(&[("a", figures(500, 0, 5))])), None);
    }

    #[test]
    fn failures_of_one_route_are_found_among_many_that_are_well() {
        let before = by_route(&[("a", figures(1_000, 1, 5)), ("b", figures(1_000_000, 0, 5))]);
        let since = by_route(&[("a", figures(100, 30, 5)), ("b", figures(100_000, 0, 5))]);
        let found = worse(&before, &since).unwrap();
        assert_eq!(found, "failures of route a: 30.0 % of 100, before 0.1 %");
        // Too few to tell.
        assert_eq!(worse(&before, &by_route(&[("a", figures(10, 5, 5))])), None);
    }

    #[test]
    fn a_new_route_that_only_fails_and_requests_that_lose_their_route_are_found() {
        let before = by_route(&[("a", figures(1_000, 0, 5))]);
        let since = by_route(&[("b", figures(50, 50, 5))]);
        assert!(worse(&before, &since).unwrap().starts_with("failures of route b"));
        let since = by_route(&[(UNROUTED, figures(50, 0, 5)), ("a", figures(50, 0, 5))]);
        assert!(worse(&before, &since).unwrap().starts_with("requests that no route takes: 50.0 %"));
    }

    #[test]
    fn a_route_that_became_slow_is_found_and_one_that_always_was_is_not() {
        let before = by_route(&[("a", figures(1_000, 0, 50)), ("b", figures(1_000, 0, 900))]);
        let since = by_route(&[("a", figures(1_000, 0, 60)), ("b", figures(1_000, 0, 1_000))]);
        assert_eq!(worse(&before, &since), None);
        let since = by_route(&[("a", figures(1_000, 0, 200)), ("b", figures(1_000, 0, 900))]);
        assert!(worse(&before, &since).unwrap().starts_with("route a: p99 "));
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
