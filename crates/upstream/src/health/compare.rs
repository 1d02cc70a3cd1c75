//! The rules that compare endpoints by what was counted in an interval. Pure.

use super::settings::{FailurePercentage, OutlierSettings, Rule, SuccessRate};

/// What was counted of one endpoint in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts that ended.
    pub attempts: u32,
    /// Those of them that failed.
    pub failed: u32,
}

impl Counts {
    /// In percent. An endpoint without attempts is never asked.
    fn success_rate(self) -> f64 {
        f64::from(self.attempts.saturating_sub(self.failed)) * 100.0 / f64::from(self.attempts)
    }
}

/// What an endpoint's share of good answers was held against. All shares are in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The rule.
    pub rule: Rule,
    /// What was counted.
    pub counts: Counts,
    /// The endpoint's success rate.
    pub rate: u32,
    /// The mean of the success rates, where they were compared.
    pub mean: Option<u32>,
    /// The success rate below which (or for [`Rule::FailurePercentage`] down to which) an endpoint is ejected.
    pub threshold: u32,
}

/// Who is to be ejected and why: the worst first, as the cap may not allow all of them. `counts` are those of the
/// endpoints that may be used, under numbers of the caller's choosing.
pub fn compare(settings: &OutlierSettings, counts: &[(u32, Counts)]) -> Vec<(u32, Comparison)> {
    let by_rate = settings.success_rate.map(|rule| success_rates(&rule, counts)).unwrap_or_default();
    let by_share = settings.failure_percentage.map(|rule| shares(&rule, counts)).unwrap_or_default();
    let mut found = by_rate;
    for outlier in by_share {
        if found.iter().all(|(endpoint, _)| *endpoint != outlier.0) {
            found.push(outlier);
        }
    }
    found.sort_by_key(|(endpoint, comparison)| (comparison.rate, *endpoint));
    found
}

fn success_rates(rule: &SuccessRate, counts: &[(u32, Counts)]) -> Vec<(u32, Comparison)> {
    let enough = enough(counts, rule.min_requests, rule.min_endpoints);
    let number = enough.len() as f64;
    let rates = || enough.iter().map(|(_, counts)| counts.success_rate());
    let mean = rates().sum::<f64>() / number;
    let variance = rates().map(|rate| (rate - mean) * (rate - mean)).sum::<f64>() / number;
    let below = variance.sqrt() * f64::from(rule.deviations_thousandths) / 1000.0;
    let threshold = mean - below.max(f64::from(rule.margin_basis_points) / 100.0);
    let far = enough.into_iter().filter(|(_, counts)| counts.success_rate() < threshold);
    far.map(|(endpoint, counts)| {
        let comparison = Comparison {
            rule: Rule::SuccessRate,
            counts,
            rate: basis_points(counts.success_rate()),
            mean: Some(basis_points(mean)),
            threshold: basis_points(threshold),
        };
        (endpoint, comparison)
    })
    .collect()
}

fn shares(rule: &FailurePercentage, counts: &[(u32, Counts)]) -> Vec<(u32, Comparison)> {
    let fails = |counts: &Counts| {
        u64::from(counts.failed) * 10_000
            >= u64::from(counts.attempts) * u64::from(rule.threshold_basis_points)
    };
    let enough = enough(counts, rule.min_requests, rule.min_endpoints);
    let far = enough.into_iter().filter(|(_, counts)| fails(counts));
    far.map(|(endpoint, counts)| {
        let comparison = Comparison {
            rule: Rule::FailurePercentage,
            counts,
            rate: basis_points(counts.success_rate()),
            mean: None,
            threshold: 10_000u32.saturating_sub(rule.threshold_basis_points),
        };
        (endpoint, comparison)
    })
    .collect()
}

/// Those with enough attempts, or nobody if they are too few.
fn enough(counts: &[(u32, Counts)], min_requests: u32, min_endpoints: u32) -> Vec<(u32, Counts)> {
    let asked = counts.iter().filter(|(_, counts)| counts.attempts >= min_requests.max(1));
    let asked: Vec<_> = asked.copied().collect();
    if asked.len() < min_endpoints.max(1) as usize { Vec::new() } else { asked }
}

/// Rounded down; what is below nothing is nothing.
fn basis_points(percent: f64) -> u32 {
    (percent * 100.0) as u32
}

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
