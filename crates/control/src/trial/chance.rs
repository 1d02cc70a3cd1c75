//! Whether chance explains what was seen.

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub hits: u64,
    pub all: u64,
}

impl Seen {
    /// The share; 0 where there was nothing.
    pub fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.hits as f64 / self.all as f64 }
    }
}

/// What is believed of a share that nobody has seen yet: that it is small. As if half a hit in ten had been
/// seen. With a past it weighs next to nothing; without one, ten failures out of ten are still no chance.
const HITS_BELIEVED: f64 = 0.5;
const MISSES_BELIEVED: f64 = 9.5;

/// Whether so many hits or more are rarer than `limit`, if the share is still what it was before.
///
/// The tail of the beta-binomial distribution, that is what is to be expected after what was seen before. Unlike
/// a comparison of two shares by their deviations it holds for small numbers and shares near 0 too, where all
/// that matters here happens: one failure of 20 after one of 1,000 is four deviations, and happens every day.
pub fn is_rarer(now: Seen, before: Seen, limit: f64) -> bool {
    let (hits, all) = (now.hits.min(now.all) as f64, now.all as f64);
    let alpha = before.hits as f64 + HITS_BELIEVED;
    let beta = before.all.saturating_sub(before.hits) as f64 + MISSES_BELIEVED;
    if hits <= all * alpha / (alpha + beta) {
        return false;
    }
    let choose = ln_gamma(all + 1.0) - ln_gamma(hits + 1.0) - ln_gamma(all - hits + 1.0);
    let mut term = (choose + ln_beta(hits + alpha, all - hits + beta) - ln_beta(alpha, beta)).exp();
    let (mut tail, mut at) = (0.0, hits);
    // Beyond the mean the terms fall, so the sum has passed the limit soon or will not.
    while at <= all && tail < limit && term > limit * 1e-9 {
        tail += term;
        term *= (all - at) / (at + 1.0) * (at + alpha) / (all - at - 1.0 + beta);
        at += 1.0;
    }
    tail < limit
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// The logarithm of the gamma function for what is above 0: Stirling's series, from 10 on, where three terms
/// are right to ten digits; below that by its recurrence.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0_f64);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::{Seen, is_rarer, ln_gamma};

    fn seen(hits: u64, all: u64) -> Seen {
        Seen { hits, all }
    }

    #[test]
    fn the_gamma_function_is_the_known_one() {
        for (x, expected) in
            [(0.5, 0.572_364_942_9), (1.0, 0.0), (5.0, 24_f64.ln()), (101.0, 363.739_375_555_6)]
        {
            assert!((ln_gamma(x) - expected).abs() < 1e-8, "{x}: {}", ln_gamma(x));
        }
    }

    #[test]
    fn what_happens_every_day_is_not_rare_and_what_does_not_is() {
        assert!(!is_rarer(seen(1, 20), seen(1, 1_000), 1e-5));
        assert!(!is_rarer(seen(10, 1_000), seen(10, 1_000), 1e-5));
        assert!(!is_rarer(seen(0, 0), seen(0, 0), 1e-5));
        assert!(is_rarer(seen(10, 10), seen(0, 0), 1e-5));
        assert!(is_rarer(seen(5, 10), seen(0, 1_000), 1e-5));
        assert!(is_rarer(seen(50, 1_000), seen(10, 1_000), 1e-5));
        assert!(is_rarer(seen(500_000, 1_000_000_000), seen(400_000, 1_000_000_000), 1e-5));
        assert!(!is_rarer(seen(400_100, 1_000_000_000), seen(400_000, 1_000_000_000), 1e-5));
    }

    /// The tail as a sum from its definition, by multiplication alone.
    #[test]
    fn the_tail_is_the_sum_of_its_terms() {
        for (now, before) in [((7_u32, 30_u32), (2_u32, 60_u32)), ((3, 12), (0, 5)), ((12, 12), (1, 40))] {
            let (alpha, beta) = (f64::from(before.0) + 0.5, f64::from(before.1 - before.0) + 9.5);
            let rising =
                |from: f64, steps: u32| (0..steps).map(|step| from + f64::from(step)).product::<f64>();
            let choose = |n: u32, k: u32| rising(f64::from(n - k) + 1.0, k) / rising(1.0, k);
            let term = |k: u32| {
                choose(now.1, k) * rising(alpha, k) * rising(beta, now.1 - k) / rising(alpha + beta, now.1)
            };
            let tail: f64 = (now.0..=now.1).map(term).sum();
            let ask = |limit| {
                let [now, before] = [now, before].map(|(hits, all)| seen(hits.into(), all.into()));
                is_rarer(now, before, limit)
            };
            assert!(ask(tail * 1.000_001) && !ask(tail * 0.999_999), "{now:?} after {before:?}: {tail}");
        }
    }
}
