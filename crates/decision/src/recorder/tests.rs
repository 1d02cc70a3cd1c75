use std::sync::Arc;

use super::{Class, Keeper, Kept, Recorder, RecorderSettings};
use crate::reason::Reason;

struct Entry {
    number: u32,
    bytes: usize,
    shared: Vec<(usize, usize)>,
}

impl Kept for Entry {
    fn bytes(&self) -> usize {
        self.bytes
    }
    fn shared(&self) -> impl Iterator<Item = (usize, usize)> {
        self.shared.iter().copied()
    }
}

fn entry(number: u32, bytes: usize) -> Entry {
    Entry { number, bytes, shared: Vec::new() }
}

fn recorder(bytes: usize) -> (Arc<Recorder<Entry>>, Keeper<Entry>) {
    let recorder = Recorder::new(RecorderSettings { bytes, slow_us: 1000, sample: 0.0 }, 1);
    (recorder.clone(), Keeper::new(recorder))
}

fn numbers(recorder: &Recorder<Entry>, class: Class) -> Vec<u32> {
    recorder.all().into_iter().filter(|(c, _)| *c == class).map(|(_, e)| e.number).collect()
}

#[test]
fn a_flood_of_one_cause_leaves_the_others_what_they_have() {
    let (recorder, keeper) = recorder(100_000);
    let (rare, flood) = (Class::Failed(Reason::NoEndpoint), Class::Failed(Reason::NoRoute));
    for number in 0..5 {
        keeper.keep(rare, entry(number, 1000));
        keeper.keep(Class::Slow, entry(number, 1000));
    }
    for number in 0..10_000 {
        keeper.keep(flood, entry(number, 300));
        assert!(recorder.bytes() <= 100_000);
    }
    assert_eq!(numbers(&recorder, rare), [0, 1, 2, 3, 4]);
    assert_eq!(numbers(&recorder, Class::Slow), [0, 1, 2, 3, 4]);
    let kept = numbers(&recorder, flood);
    assert!(kept.len() > 200 && kept.last() == Some(&9_999), "{}", kept.len());
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "the oldest go first");
    assert_eq!((recorder.entries(), recorder.dropped()), (kept.len() as u64 + 10, 0));
}

#[test]
fn what_entries_share_counts_once_and_goes_with_the_last() {
    let (recorder, keeper) = recorder(50_000);
    for number in 0..10 {
        keeper.keep(Class::Sample, Entry { number, bytes: 100, shared: vec![(7, 20_000)] });
    }
    let bytes = recorder.bytes();
    assert!(bytes > 21_000 && bytes < 23_000, "{bytes}");
    // Another of that size does not fit beside it: the ten that share the first must all go.
    keeper.keep(Class::Sample, Entry { number: 10, bytes: 100, shared: vec![(8, 40_000)] });
    assert_eq!(numbers(&recorder, Class::Sample), [10]);
    assert!(recorder.bytes() < 41_000);
    keeper.keep(Class::Sample, Entry { number: 11, bytes: 100, shared: vec![(9, 50_000)] });
    assert_eq!((numbers(&recorder, Class::Sample), recorder.dropped()), (vec![10], 1));
}

#[test]
fn the_worker_does_not_wait_for_a_reader_and_loses_little() {
    let (recorder, keeper) = recorder(1 << 20);
    let reading = recorder.shelves.lock().unwrap();
    for number in 0..40 {
        keeper.keep(Class::Slow, entry(number, 10));
    }
    drop(reading);
    assert_eq!((recorder.entries(), recorder.dropped()), (0, 8));
    keeper.flush();
    assert_eq!(numbers(&recorder, Class::Slow), (8..40).collect::<Vec<_>>());
}

#[test]
fn what_is_kept_follows_the_settings() {
    let (recorder, keeper) = recorder(1 << 20);
    let class = |reason, duration, seed| recorder.class(reason, duration, seed);
    assert_eq!(class(Reason::NoRoute, 5000, 1), Some(Class::Failed(Reason::NoRoute)));
    assert_eq!(class(Reason::Forwarded, 1000, 1), Some(Class::Slow));
    assert!((0..1000).all(|seed| class(Reason::Forwarded, 999, seed).is_none()));
    let sampled = |share| {
        recorder.configure(RecorderSettings { bytes: 1 << 20, slow_us: 1000, sample: share }, 1);
        let seeds = (0..100_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        seeds.filter(|seed| recorder.class(Reason::Forwarded, 0, *seed) == Some(Class::Sample)).count()
    };
    assert_eq!((sampled(0.0), sampled(1.0)), (0, 100_000));
    let one_percent = sampled(0.01);
    assert!((800..1200).contains(&one_percent), "{one_percent}");
    keeper.keep(Class::Slow, entry(1, 10));
    assert!(recorder.is_on());
    recorder.configure(RecorderSettings { bytes: 0, slow_us: 0, sample: 1.0 }, 1);
    assert!(!recorder.is_on());
    assert_eq!((recorder.entries(), recorder.bytes()), (0, 0));
}

/// The seed's upper bits have chosen a side of a split; the sample must hold both sides.
#[test]
fn a_sample_is_independent_of_what_the_seed_has_chosen() {
    let (recorder, _) = recorder(1 << 20);
    recorder.configure(RecorderSettings { bytes: 1 << 20, slow_us: u64::MAX, sample: 0.1 }, 1);
    let seeds = (0..100_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let sampled: Vec<u64> = seeds.filter(|s| recorder.class(Reason::Forwarded, 0, *s).is_some()).collect();
    let upper = sampled.iter().filter(|seed| **seed >> 63 == 1).count();
    assert!(upper.abs_diff(sampled.len() / 2) < sampled.len() / 20, "{upper} of {}", sampled.len());
}
