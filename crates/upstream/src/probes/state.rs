//! From single outcomes to a verdict. Pure.

use crate::health::ProbeHealth;

/// How many outcomes in a row make a verdict; 0 counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed probes that bring an endpoint up again.
    pub rise: u32,
    /// Failed probes that take it down.
    pub fall: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { rise: 2, fall: 3 }
    }
}

/// How soon an endpoint is probed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Its verdict stands.
    Usual,
    /// Its verdict may be about to change.
    Fast,
    /// It is down, and its probes agree.
    Slow,
}

/// What the outcomes so far say of one endpoint. A fresh endpoint is unknown (and used) until `fall` probes
/// in a row failed, or awaited (and not used); its first passed one counts at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeState {
    health: ProbeHealth,
    /// Outcomes in a row that speak against the verdict.
    against: u32,
}

impl ProbeState {
    /// The state of an endpoint that was probed before.
    pub fn resume(health: ProbeHealth) -> Self {
        Self { health, against: 0 }
    }

    /// Takes in an outcome. The new verdict, if it changes the old one.
    pub fn observe(&mut self, passed: bool, thresholds: Thresholds) -> Option<ProbeHealth> {
        let (verdict, needed) = match (self.health, passed) {
            (ProbeHealth::Unknown | ProbeHealth::Awaited, true) => (ProbeHealth::Up, 1),
            (ProbeHealth::Down, true) => (ProbeHealth::Up, thresholds.rise),
            (ProbeHealth::Unknown | ProbeHealth::Up, false) => (ProbeHealth::Down, thresholds.fall),
            (ProbeHealth::Up, true) | (ProbeHealth::Down | ProbeHealth::Awaited, false) => {
                self.against = 0;
                return None;
            }
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        *self = Self::resume(verdict);
        Some(verdict)
    }

    /// How the time to the next probe is found: whether the latest outcomes speak against the verdict, or it stands.
    pub fn pace(&self) -> Pace {
        match self.health {
            _ if self.against > 0 => Pace::Fast,
            ProbeHealth::Down => Pace::Slow,
            ProbeHealth::Unknown | ProbeHealth::Up | ProbeHealth::Awaited => Pace::Usual,
        }
    }

    /// The verdict so far.
    pub fn health(&self) -> ProbeHealth {
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, ProbeState, Thresholds};
    use crate::health::ProbeHealth::{self, Awaited, Down, Unknown, Up};
    use crate::random::Random;

    /// Outcomes as `+` and `-`; what is expected after each as `?`, `a`, `u` and `d`, large (or `!`) where probes come fast.
    fn walk(start: ProbeHealth, outcomes: &str) -> String {
        let mut state = ProbeState::resume(start);
        let step = |outcome| {
            let before = state.health();
            let verdict = state.observe(outcome == '+', Thresholds { rise: 2, fall: 3 });
            assert_eq!(verdict.is_some(), before != state.health());
            let letter = match state.health() {
                Unknown => '?',
                Awaited => 'a',
                Up => 'u',
                Down => 'd',
            };
            match state.pace() {
                Pace::Fast if letter == '?' => '!',
                Pace::Fast => letter.to_ascii_uppercase(),
                Pace::Slow => {
                    assert_eq!(letter, 'd');
                    letter
                }
                Pace::Usual => letter,
            }
        };
        outcomes.chars().map(step).collect()
    }

    #[test]
    fn verdicts_follow_outcomes() {
        assert_eq!(walk(Unknown, "+--+---+-++"), "uUUuUUdDdDu");
        assert_eq!(walk(Unknown, "--+"), "!!u");
        assert_eq!(walk(Unknown, "---+"), "!!dD");
        assert_eq!(walk(Down, "+-+-++"), "DdDdDu");
        assert_eq!(walk(Up, "--+--+---"), "UUuUUuUUd");
        assert_eq!(walk(Awaited, "-----+--"), "aaaaauUU");
    }

    #[test]
    fn a_verdict_needs_its_number_of_outcomes_in_a_row() {
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let thresholds = Thresholds { rise: random.below(5) as u32, fall: random.below(5) as u32 };
            let mut state = ProbeState::default();
            let (mut row, mut last) = (0, true);
            for step in 0..200 {
                let passed = random.below(2) == 0;
                row = if passed == last { row + 1 } else { 1 };
                last = passed;
                let before = state.health();
                let needed = if passed { thresholds.rise } else { thresholds.fall };
                let expected = match (before, passed) {
                    (Unknown, true) => Some(Up),
                    (Down, true) if row >= needed => Some(Up),
                    (Unknown | Up, false) if row >= needed => Some(Down),
                    _ => None,
                };
                assert_eq!(state.observe(passed, thresholds), expected, "seed {seed} step {step}");
            }
        }
    }
}
