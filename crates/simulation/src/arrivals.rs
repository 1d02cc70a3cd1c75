//! When the requests of a group of callers come.

use crate::chance::Chance;
use crate::scenario::RateStep;

/// A part of the time in which the rate goes in a straight line.
#[derive(Clone, Copy, Debug)]
struct Part {
    from_us: f64,
    to_us: f64,
    /// Requests a microsecond at both ends.
    rates: [f64; 2],
}

/// Gives the times of arrivals, rising.
#[derive(Debug)]
pub(crate) struct Arrivals {
    parts: Vec<Part>,
    at_us: f64,
    even: bool,
}

impl Arrivals {
    /// Until `until_us`.
    pub(crate) fn new(steps: &[RateStep], until_us: u64, even: bool) -> Self {
        let (mut parts, mut rate, mut from_us) = (Vec::new(), 0.0, 0.0);
        for (number, step) in steps.iter().enumerate() {
            let next_us = steps.get(number + 1).map_or(until_us, |next| next.at_us.min(until_us)) as f64;
            let start_us = (step.at_us as f64).min(next_us);
            parts.push(Part { from_us, to_us: start_us, rates: [rate, rate] });
            let goal = step.per_second / 1e6;
            let reached_us = (start_us + step.over_us as f64).min(next_us);
            // A ramp that the next step cuts off does not reach its goal.
            let part = if step.over_us == 0 { 1.0 } else { (reached_us - start_us) / step.over_us as f64 };
            let reached = rate + (goal - rate) * part;
            parts.push(Part { from_us: start_us, to_us: reached_us, rates: [rate, reached] });
            (rate, from_us) = (reached, reached_us);
        }
        parts.push(Part { from_us, to_us: until_us as f64, rates: [rate, rate] });
        parts.retain(|part| part.to_us > part.from_us);
        parts.reverse();
        Self { parts, at_us: 0.0, even }
    }

    /// The next one; `None` once the time is over. Exact also where the rate rises or falls: the expected number of
    /// arrivals from one to the next is drawn (or 1), and the time found in which so many are expected.
    pub(crate) fn next(&mut self, chance: &mut Chance) -> Option<u64> {
        let mut expected = if self.even { 1.0 } else { chance.exponential() };
        loop {
            let part = *self.parts.last()?;
            let at_us = self.at_us.max(part.from_us);
            let slope = (part.rates[1] - part.rates[0]) / (part.to_us - part.from_us);
            let rate = part.rates[0] + slope * (at_us - part.from_us);
            let left_us = part.to_us - at_us;
            let in_part = rate * left_us + slope * left_us * left_us / 2.0;
            if in_part > expected {
                // The root of `rate · t + slope · t² / 2 = expected`, in the form that also stands where the slope is 0.
                let root = (rate * rate + 2.0 * slope * expected).max(0.0).sqrt();
                self.at_us = at_us + (2.0 * expected / (rate + root)).min(left_us);
                return Some(self.at_us as u64);
            }
            expected -= in_part;
            self.parts.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arrivals;
    use crate::chance::Chance;
    use crate::scenario::RateStep;

    const SECOND: u64 = 1_000_000;

    fn step(at: u64, per_second: f64, over: u64) -> RateStep {
        RateStep { at_us: at * SECOND, per_second, over_us: over * SECOND }
    }

    fn by_second(steps: &[RateStep], seconds: u64, even: bool) -> Vec<u64> {
        let (mut chance, mut counts) = (Chance::new(1), vec![0; seconds as usize]);
        let mut arrivals = Arrivals::new(steps, seconds * SECOND, even);
        let mut last = 0;
        while let Some(at) = arrivals.next(&mut chance) {
            assert!(at >= last);
            last = at;
            counts[(at / SECOND) as usize] += 1;
        }
        counts
    }

    #[test]
    fn they_come_as_often_as_is_said() {
        let counts = by_second(&[step(0, 1000.0, 0), step(2, 3000.0, 2), step(5, 0.0, 0)], 7, true);
        let expected = [1000, 1000, 1500, 2500, 3000, 0, 0];
        assert!(
            counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(expected) <= 1),
            "{counts:?}"
        );
        let counts = by_second(&[step(1, 10_000.0, 0)], 3, false);
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(by_second(&[], 3, false), [0, 0, 0]);
    }

    #[test]
    fn a_ramp_that_is_cut_off_goes_on_from_where_it_was() {
        let counts = by_second(&[step(0, 4000.0, 4), step(2, 2000.0, 0)], 3, true);
        assert!(
            counts.iter().zip([500, 1500, 2000]).all(|(count, expected)| count.abs_diff(expected) <= 1),
            "{counts:?}"
        );
    }
}
