//! Failures in a row: three counts that are one number. Pure.

use super::failure::{Failure, Origin};
use super::settings::{OutlierSettings, Rule};

/// How many failures there were in a row, by what they count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) any: u16,
    pub(crate) gateway: u16,
    pub(crate) local: u16,
}

impl Rows {
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { any: bits as u16, gateway: (bits >> 16) as u16, local: (bits >> 32) as u16 }
    }

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.any) | u64::from(self.gateway) << 16 | u64::from(self.local) << 32
    }

    /// After one more failure. An answer, whatever it is, ends a row of none.
    pub(crate) fn after(self, failure: Failure, settings: &OutlierSettings) -> Self {
        let more = |count: u16| count.saturating_add(1);
        match failure.origin() {
            Origin::Local if settings.has(Rule::ConsecutiveLocalFailures) => {
                Self { local: more(self.local), ..self }
            }
            Origin::Local => {
                Self { any: more(self.any), gateway: more(self.gateway), local: more(self.local) }
            }
            Origin::Gateway => Self { any: more(self.any), gateway: more(self.gateway), local: 0 },
            Origin::Server => Self { any: more(self.any), gateway: 0, local: 0 },
        }
    }

    /// The rule that ejects by now, with how many in a row: of several the one that says most.
    pub(crate) fn outlier(self, settings: &OutlierSettings) -> Option<(Rule, u32)> {
        let rules = [
            (Rule::ConsecutiveLocalFailures, settings.consecutive_local_failures, self.local),
            (Rule::ConsecutiveGatewayFailures, settings.consecutive_gateway_failures, self.gateway),
            (Rule::Consecutive5xx, settings.consecutive_5xx, self.any),
        ];
        let reached = |(_, limit, count): &(Rule, u32, u16)| *limit > 0 && u32::from(*count) >= *limit;
        rules.into_iter().find(reached).map(|(rule, _, count)| (rule, u32::from(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::{OutlierSettings, Rows, Rule};
    use crate::health::Failure;
    use crate::random::Random;

    #[test]
    fn rows_are_what_looking_back_finds() {
        let failures = [None, Some(Failure::Connect), Some(Failure::Status(503)), Some(Failure::Status(500))];
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let split = random.below(2) as u32 * 3;
            let settings = OutlierSettings {
                consecutive_5xx: random.below(6) as u32,
                consecutive_gateway_failures: random.below(6) as u32,
                consecutive_local_failures: split,
                ..OutlierSettings::default()
            };
            let mut past: Vec<Option<Failure>> = Vec::new();
            let mut rows = Rows::default();
            for step in 0..100 {
                let next = failures[random.below(4) as usize];
                past.push(next);
                rows = next.map_or(Rows::default(), |failure| rows.after(failure, &settings));
                rows = Rows::from_bits(rows.to_bits());
                // Where local failures are told apart, the other rows do not see them.
                let seen = past.iter().rev().filter(|p| split == 0 || **p != Some(Failure::Connect));
                let any = seen.clone().take_while(|p| p.is_some()).count();
                let gateway = seen.take_while(|p| !matches!(p, None | Some(Failure::Status(500)))).count();
                let local = past.iter().rev().take_while(|p| **p == Some(Failure::Connect)).count();
                let expected = Rows { any: any as u16, gateway: gateway as u16, local: local as u16 };
                assert_eq!(rows, expected, "seed {seed} step {step}");
                let reached = |limit: u32, count: usize| limit > 0 && count >= limit as usize;
                let rule = match () {
                    () if reached(split, local) => Some(Rule::ConsecutiveLocalFailures),
                    () if reached(settings.consecutive_gateway_failures, gateway) => {
                        Some(Rule::ConsecutiveGatewayFailures)
                    }
                    () if reached(settings.consecutive_5xx, any) => Some(Rule::Consecutive5xx),
                    () => None,
                };
                assert_eq!(rows.outlier(&settings).map(|(rule, _)| rule), rule, "seed {seed} step {step}");
            }
        }
    }

    #[test]
    fn counts_end_at_what_they_can_hold() {
        let full = Rows { any: u16::MAX, gateway: u16::MAX, local: u16::MAX };
        assert_eq!(full.after(Failure::Connect, &OutlierSettings::default()), full);
    }
}
