use super::{BUCKETS, Histogram, Sparse, Sum, bucket_of, middle_of};
use proptest::prelude::*;
use tollgate_runtime::Random;

fn sum_of(durations: &[u64]) -> Sum {
    let histogram = Histogram::default();
    durations.iter().for_each(|d| histogram.record(*d));
    let mut sum = Sum::default();
    histogram.add_to(&mut sum);
    sum
}

/// A number in [0, 1).
fn unit(random: &mut Random) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Durations as services have them, and as they should not.
fn draw(distribution: usize, random: &mut Random) -> u64 {
    let u = unit(random);
    match distribution {
        // Uniform up to a second.
        0 => (u * 1e6) as u64,
        // Exponential with a mean of 3 ms.
        1 => (-3_000.0 * (1.0 - u).ln()) as u64,
        // Pareto: a long tail from 200 µs on, up to hours.
        2 => (200.0 / (1.0 - u).powf(1.2)) as u64,
        // Two humps: hits of a cache and misses.
        3 if u < 0.9 => 80 + (unit(random) * 40.0) as u64,
        3 => 45_000 + (unit(random) * 10_000.0) as u64,
        // Always the same.
        4 => 12_345,
        // Log-uniform over everything from 1 µs to 10 hours.
        _ => (u * (3.6e10_f64).ln()).exp() as u64,
    }
}

#[test]
fn quantiles_are_right_to_one_percent() {
    for distribution in 0..6 {
        for seed in 0..40 {
            let mut random = Random::from_seed(seed);
            let count = 1 + (random.next_u64() % 5_000) as usize;
            let mut durations: Vec<u64> = (0..count).map(|_| draw(distribution, &mut random)).collect();
            let sum = sum_of(&durations);
            durations.sort_unstable();
            assert_eq!(sum.count(), count as u64);
            assert_eq!(sum.sum_us, durations.iter().sum::<u64>());
            for q in [0.0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let rank = ((q * count as f64).ceil() as usize).clamp(1, count);
                let (truth, told) = (durations[rank - 1], sum.quantile(q).unwrap());
                assert!(
                    truth.abs_diff(told) as f64 <= truth as f64 / 100.0,
                    "distribution {distribution}, seed {seed}, q {q}: {told} instead of {truth}"
                );
                assert_eq!(sum.sparse().quantile(q), Some(told));
            }
        }
    }
}

#[test]
fn two_exports_tell_what_happened_between() {
    let histogram = Histogram::default();
    let export = || {
        let mut sum = Sum::default();
        histogram.add_to(&mut sum);
        sum.sparse()
    };
    (0..1_000).for_each(|_| histogram.record(100));
    let before = export();
    assert_eq!(before.since(&Sparse::default()), before);
    (0..10).for_each(|_| histogram.record(50_000));
    histogram.record(100);
    let between = export().since(&before);
    assert_eq!((between.count(), between.sum_us), (11, 500_100));
    assert!(between.quantile(0.5).unwrap().abs_diff(50_000) < 500, "{between:?}");
    assert_eq!(export().since(&export()).quantile(0.5), None);
    let text = serde_json::to_string(&between).unwrap();
    assert_eq!(serde_json::from_str::<Sparse>(&text).unwrap(), between);
}

#[test]
fn an_export_can_be_added_and_a_strange_one_does_no_harm() {
    let mut sum = sum_of(&[7, 1_000]);
    sum.add(&sum_of(&[7]).sparse());
    sum.add(&Sparse { sum_us: u64::MAX, counts: vec![(u16::MAX, 5), (7, u64::MAX)] });
    assert_eq!(sum.sparse().counts[0], (7, u64::MAX));
    assert_eq!(sum.sum_us, u64::MAX);
    let strange = Sparse { sum_us: 1, counts: vec![(u16::MAX, u64::MAX), (3, u64::MAX)] };
    assert!(strange.quantile(1.0).is_some());
    assert_eq!(strange.since(&strange).count(), 0);
}

#[test]
fn memory_is_taken_by_the_doubling() {
    let histogram = Histogram::default();
    let chunks = || histogram.chunks.iter().filter(|c| c.get().is_some()).count();
    assert!(size_of::<Histogram>() <= 512);
    (100..100_000).for_each(|d| histogram.record(d));
    assert_eq!(chunks(), 11);
    (0..64).for_each(|bits| histogram.record(1 << bits));
    assert_eq!(chunks() * size_of::<super::Chunk>(), 31 * 512);
}

proptest! {
    #[test]
    fn buckets_rise_with_durations_and_hold_their_middle(bits in 0u32..64, low in any::<u64>()) {
        let duration = (1_u64 << bits) | (low & ((1 << bits) - 1));
        let bucket = bucket_of(duration);
        prop_assert!(bucket < BUCKETS);
        prop_assert!(bucket <= bucket_of(duration.saturating_add(1)));
        prop_assert_eq!(bucket_of(middle_of(bucket)), bucket);
    }
}

#[test]
fn a_bucket_begins_where_the_one_before_it_ends() {
    let mut end = Some(0);
    for bucket in 0..(super::CHUNKS * super::STEPS) as u16 {
        let (from, to) = super::bounds_of(bucket);
        assert_eq!(Some(from), end, "bucket {bucket}");
        assert_eq!(super::bucket_of(from), usize::from(bucket));
        assert!(to.is_none_or(|to| super::bucket_of(to - 1) == usize::from(bucket)), "bucket {bucket}");
        end = to;
    }
    assert_eq!(end, None);
}
