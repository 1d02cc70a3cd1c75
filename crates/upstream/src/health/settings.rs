//! When and for how long outlier detection ejects.

use crate::random::Random;

/// A rule that ejects endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Server errors and failed attempts in a row.
    Consecutive5xx,
    /// 502, 503, 504 and failed attempts in a row.
    ConsecutiveGatewayFailures,
    /// Attempts without any answer in a row.
    ConsecutiveLocalFailures,
    /// A success rate far below that of the others.
    SuccessRate,
    /// A share of failures above a fixed one.
    FailurePercentage,
}

impl Rule {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// All rules.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailures,
        Self::ConsecutiveLocalFailures,
        Self::SuccessRate,
        Self::FailurePercentage,
    ];

    /// Its key in the document, which is its word in metrics and events.
    pub fn label(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailures => "consecutive_gateway_failures",
            Self::ConsecutiveLocalFailures => "consecutive_local_failures",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
        }
    }
}

/// The rule that compares each endpoint's success rate with the mean of all: ejected is what is below the mean by more
/// than so many standard deviations. Off by default, other than in Envoy, for two reasons. The usual five endpoints
/// with the usual 1.9 deviations eject for a single failure in an interval where the others had none (one odd value
/// among n is always √(n−1) deviations away); hence the margin. And counting costs an atomic addition an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// How many standard deviations below the mean, in thousandths.
    pub deviations_thousandths: u32,
    /// Nothing that is this close to the mean is ejected, in hundredths of a percent.
    pub margin_basis_points: u32,
    /// Endpoints with enough requests that it takes.
    pub min_endpoints: u32,
    /// Requests in an interval that an endpoint needs to be looked at.
    pub min_requests: u32,
}

impl Default for SuccessRate {
    /// Envoy's, and a margin of 1 %.
    fn default() -> Self {
        Self { deviations_thousandths: 1900, margin_basis_points: 100, min_endpoints: 5, min_requests: 100 }
    }
}

/// The rule that ejects endpoints of whose attempts at least this share failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    /// The share, in hundredths of a percent.
    pub threshold_basis_points: u32,
    /// Endpoints with enough requests that it takes.
    pub min_endpoints: u32,
    /// Requests in an interval that an endpoint needs to be looked at.
    pub min_requests: u32,
}

impl Default for FailurePercentage {
    /// Envoy's.
    fn default() -> Self {
        Self { threshold_basis_points: 8500, min_endpoints: 5, min_requests: 50 }
    }
}

/// When and for how long endpoints are ejected. What the document leaves out is as here, and a test holds both
/// together. The defaults are Envoy's but for these:
///
/// - The first ejection lasts 10 s instead of 30 s: an endpoint that only restarted should not be missed for long, and
///   one that stays sick is out longer each time.
/// - Half of the endpoints may be out instead of a tenth. A failed connection says enough of its endpoint that a second
///   dead one of ten should go as well; half is enough left that requests which make every endpoint fail take out none
///   that is needed.
/// - 10 % of jitter instead of none, so that endpoints come back one by one.
/// - Success rates are not compared; see [`SuccessRate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierSettings {
    /// Server errors (500 to 599) and failed attempts in a row that eject; 0: never.
    pub consecutive_5xx: u32,
    /// Of these only 502, 503, 504 and failed attempts, in a row; 0: never.
    pub consecutive_gateway_failures: u32,
    /// Attempts without any answer in a row; 0: never. Where it is set, these no longer count for the other two.
    pub consecutive_local_failures: u32,
    /// Compares success rates.
    pub success_rate: Option<SuccessRate>,
    /// Looks at shares of failures.
    pub failure_percentage: Option<FailurePercentage>,
    /// Time over which the last two rules count, in milliseconds.
    pub interval_ms: u64,
    /// How long the first ejection lasts, in milliseconds. The n-th lasts n times as long; n falls by one for each such
    /// time in good health.
    pub base_ejection_ms: u64,
    /// How long an ejection lasts at most, in milliseconds, before the random part.
    pub max_ejection_ms: u64,
    /// Up to this share of its time is added to an ejection at random, in percent.
    pub jitter_percent: u32,
    /// How many of the endpoints with weight may be ejected at once, in percent. At least one may be, if
    /// there are two or more; never all. 0 means none.
    pub max_ejected_percent: u32,
    /// Nothing is ejected: what would be is told and counted.
    pub shadow: bool,
}

impl Default for OutlierSettings {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failures: 0,
            consecutive_local_failures: 0,
            success_rate: None,
            failure_percentage: None,
            interval_ms: 10_000,
            base_ejection_ms: 10_000,
            max_ejection_ms: 300_000,
            jitter_percent: 10,
            max_ejected_percent: 50,
            shadow: false,
        }
    }
}

impl OutlierSettings {
    /// No rule is on.
    pub const fn off() -> Self {
        Self {
            consecutive_5xx: 0,
            consecutive_gateway_failures: 0,
            consecutive_local_failures: 0,
            success_rate: None,
            failure_percentage: None,
            interval_ms: 10_000,
            base_ejection_ms: 10_000,
            max_ejection_ms: 300_000,
            jitter_percent: 10,
            max_ejected_percent: 0,
            shadow: false,
        }
    }

    /// Whether a rule is on.
    pub fn has(&self, rule: Rule) -> bool {
        match rule {
            Rule::Consecutive5xx => self.consecutive_5xx > 0,
            Rule::ConsecutiveGatewayFailures => self.consecutive_gateway_failures > 0,
            Rule::ConsecutiveLocalFailures => self.consecutive_local_failures > 0,
            Rule::SuccessRate => self.success_rate.is_some(),
            Rule::FailurePercentage => self.failure_percentage.is_some(),
        }
    }

    /// Whether any rule looks at what was counted in an interval. Only then anything is counted.
    pub fn compares(&self) -> bool {
        self.has(Rule::SuccessRate) || self.has(Rule::FailurePercentage)
    }

    /// Whether any rule may keep an endpoint out.
    pub(crate) fn ejects(&self) -> bool {
        !self.shadow && self.max_ejected_percent > 0 && Rule::ALL.iter().any(|rule| self.has(*rule))
    }

    /// How many of `endpoints` (those with weight) may be ejected at once.
    pub(crate) fn most_ejected(&self, endpoints: usize) -> u32 {
        if endpoints < 2 || self.max_ejected_percent == 0 {
            return 0;
        }
        let share = endpoints.saturating_mul(self.max_ejected_percent as usize) / 100;
        share.clamp(1, endpoints - 1) as u32
    }

    pub(crate) fn length_ms(&self, ejections: u32, seed: u64) -> u64 {
        let length_ms =
            self.base_ejection_ms.saturating_mul(u64::from(ejections)).min(self.max_ejection_ms).max(1);
        let most_added_ms = length_ms.saturating_mul(u64::from(self.jitter_percent)) / 100;
        length_ms.saturating_add(Random::new(seed).below(most_added_ms.saturating_add(1)))
    }
}
