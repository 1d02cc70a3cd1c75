use super::{Comparison, Counts, compare};
use crate::health::settings::{FailurePercentage, OutlierSettings, Rule, SuccessRate};
use crate::random::Random;

fn counts(all: &[(u32, u32)]) -> Vec<(u32, Counts)> {
    (0..).zip(all.iter().map(|(attempts, failed)| Counts { attempts: *attempts, failed: *failed })).collect()
}

fn rates(rule: SuccessRate) -> OutlierSettings {
    OutlierSettings { success_rate: Some(rule), ..OutlierSettings::default() }
}

fn found(settings: &OutlierSettings, all: &[(u32, u32)]) -> Vec<(u32, Rule)> {
    compare(settings, &counts(all))
        .into_iter()
        .map(|(endpoint, comparison)| (endpoint, comparison.rule))
        .collect()
}

#[test]
fn one_far_below_the_others_is_found_and_its_figures_tell_why() {
    let settings = rates(SuccessRate::default());
    let all = [(100, 0), (200, 0), (100, 50), (100, 0), (1000, 0)];
    let expected = Comparison {
        rule: Rule::SuccessRate,
        counts: Counts { attempts: 100, failed: 50 },
        rate: 5000,
        mean: Some(9000),
        // The deviation is 20 %.
        threshold: 5200,
    };
    assert_eq!(compare(&settings, &counts(&all)), [(2, expected)]);
}

#[test]
fn too_few_requests_or_endpoints_find_nobody() {
    let settings = rates(SuccessRate::default());
    assert_eq!(found(&settings, &[(100, 0), (100, 0), (100, 100), (100, 0)]), []);
    assert_eq!(found(&settings, &[(100, 0), (100, 0), (100, 100), (100, 0), (99, 0)]), []);
    assert_eq!(found(&settings, &[]), []);
    let none = SuccessRate { min_endpoints: 0, min_requests: 0, ..SuccessRate::default() };
    assert_eq!(found(&rates(none), &[(0, 0), (0, 0)]), []);
}

#[test]
fn a_single_failure_among_five_is_within_the_margin() {
    let all = [(100, 0), (100, 0), (100, 1), (100, 0), (100, 0)];
    assert_eq!(found(&rates(SuccessRate::default()), &all), []);
    // Without a margin it is as with Envoy.
    let without = SuccessRate { margin_basis_points: 0, ..SuccessRate::default() };
    assert_eq!(found(&rates(without), &all), [(2, Rule::SuccessRate)]);
}

#[test]
fn the_worst_comes_first_and_nobody_twice() {
    let settings = OutlierSettings {
        success_rate: Some(SuccessRate { deviations_thousandths: 500, ..SuccessRate::default() }),
        failure_percentage: Some(FailurePercentage { threshold_basis_points: 9000, ..Default::default() }),
        ..OutlierSettings::default()
    };
    let all = [(100, 95), (100, 0), (100, 99), (100, 0), (60, 60), (100, 0), (100, 0), (100, 0)];
    let expected = [(4, Rule::FailurePercentage), (2, Rule::SuccessRate), (0, Rule::SuccessRate)];
    assert_eq!(found(&settings, &all), expected);
}

/// The rules as they are told, with sums over all pairs instead of a mean: n²σ² = n·Σx² − (Σx)², in whole numbers where
/// all endpoints have equally many attempts.
fn by_whole_numbers(rule: &SuccessRate, attempts: i128, failed: &[i128]) -> Vec<(u32, i128)> {
    let n = failed.len() as i128;
    if n < i128::from(rule.min_endpoints.max(1)) || attempts < i128::from(rule.min_requests.max(1)) {
        return Vec::new();
    }
    let sum: i128 = failed.iter().sum();
    let squares: i128 = failed.iter().map(|x| x * x).sum();
    let spread = n * squares - sum * sum;
    let factor = i128::from(rule.deviations_thousandths);
    let margin = i128::from(rule.margin_basis_points);
    let far = |x: i128| {
        // How much more it failed than the mean, times n.
        let above = n * x - sum;
        let by_deviation = (above * 1000).pow(2) - factor * factor * spread;
        let by_margin = above * 10_000 - margin * n * attempts;
        (above > 0).then_some(by_deviation.min(by_margin))
    };
    (0..).zip(failed).filter_map(|(endpoint, x)| Some((endpoint, far(*x)?))).collect()
}

#[test]
fn success_rates_agree_with_whole_numbers() {
    let mut ejected = 0;
    for seed in 0..5000 {
        let mut random = Random::new(seed);
        let rule = SuccessRate {
            deviations_thousandths: random.below(3000) as u32,
            margin_basis_points: random.below(500) as u32,
            min_endpoints: random.below(8) as u32,
            min_requests: random.below(150) as u32,
        };
        let attempts = random.below(300);
        let usual = random.below(attempts + 1);
        let odd = |random: &mut Random| if random.below(4) == 0 { attempts } else { usual };
        let failed: Vec<u64> = (0..random.below(20))
            .map(|_| {
                let most = odd(&mut random);
                random.below(most + 1)
            })
            .collect();
        let all: Vec<_> = failed.iter().map(|failed| (attempts as u32, *failed as u32)).collect();
        let found = found(&rates(rule), &all);
        let failed: Vec<i128> = failed.into_iter().map(i128::from).collect();
        for (endpoint, far) in by_whole_numbers(&rule, i128::from(attempts), &failed) {
            let is_found = found.contains(&(endpoint, Rule::SuccessRate));
            // On the line itself, rounding decides.
            assert!(far == 0 || is_found == (far > 0), "seed {seed} endpoint {endpoint}: {far}");
        }
        ejected += found.len();
    }
    assert!(ejected > 1000, "the test tests nothing: {ejected}");
}

#[test]
fn shares_of_failures_agree_with_a_plain_reading() {
    for seed in 0..5000 {
        let mut random = Random::new(seed);
        let rule = FailurePercentage {
            threshold_basis_points: random.below(10_001) as u32,
            min_endpoints: random.below(8) as u32,
            min_requests: random.below(150) as u32,
        };
        let settings = OutlierSettings { failure_percentage: Some(rule), ..OutlierSettings::default() };
        let all: Vec<(u32, u32)> = (0..random.below(20))
            .map(|_| {
                let attempts = random.below(200);
                (attempts as u32, random.below(attempts + 1) as u32)
            })
            .collect();
        let asked = |attempts: u32| attempts > 0 && attempts >= rule.min_requests;
        let enough = all.iter().filter(|(attempts, _)| asked(*attempts)).count();
        let mut expected: Vec<u32> = (0..)
            .zip(&all)
            .filter(|(_, (attempts, failed))| {
                enough >= rule.min_endpoints.max(1) as usize
                    && asked(*attempts)
                    && failed * 10_000 >= attempts * rule.threshold_basis_points
            })
            .map(|(endpoint, _)| endpoint)
            .collect();
        let mut found: Vec<u32> = found(&settings, &all).into_iter().map(|(endpoint, _)| endpoint).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "seed {seed}");
    }
}
