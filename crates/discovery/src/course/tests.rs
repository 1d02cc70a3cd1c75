use std::sync::Arc;

use tollgate_runtime::Random;

use super::{Course, Look, OnEmpty, Rules};
use crate::found::Found;

const RULES: Rules = Rules {
    soonest_ms: 1_000,
    latest_ms: 60_000,
    retry_first_ms: 1_000,
    retry_latest_ms: 30_000,
    on_empty: OnEmpty::Keep,
    max: 5,
};

fn found(n: u8) -> Found {
    Found { name: "x:1".into(), address: ([192, 0, 2, n], 1).into(), weight: 1, priority: 0 }
}

fn list(numbers: &[u8], fresh_ms: u64) -> Look {
    let found = numbers.iter().map(|n| found(*n)).collect();
    Look::List { found, fresh_ms: Some(fresh_ms), problem: None }
}

fn numbers(list: &Arc<[Found]>) -> Vec<u8> {
    list.iter()
        .map(|found| match found.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => unreachable!(),
        })
        .collect()
}

#[test]
fn a_rotated_answer_is_no_change() {
    let mut course = Course::new(RULES, 1);
    let first = course.take(list(&[1, 2, 3], 5_000), 0);
    assert_eq!(numbers(&first.list.unwrap()), [1, 2, 3]);
    assert!(first.line.unwrap().starts_with("has 3 endpoints now"));
    for rotated in [[2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let step = course.take(list(&rotated, 5_000), 9);
        assert_eq!((step.list, step.line), (None, None));
    }
    let step = course.take(list(&[3, 4], 5_000), 10);
    assert_eq!(numbers(&step.list.unwrap()), [3, 4]);
    assert_eq!(step.line.unwrap(), "has 2 endpoints now: +192.0.2.4:1 -192.0.2.1:1 -192.0.2.2:1");
}

#[test]
fn what_cannot_be_learned_changes_nothing_and_is_told_once() {
    let mut course = Course::new(RULES, 1);
    let _ = course.take(list(&[1, 2], 5_000), 100);
    let lines: Vec<_> = (0..9).map(|n| course.take(Look::Failed("timed out".into()), 200 + n).line).collect();
    assert_eq!(lines[0].as_deref(), Some("timed out; the 2 endpoints that it had stay"));
    assert!(lines[1..].iter().all(Option::is_none));
    assert!(course.take(Look::Failed("refused".into()), 300).line.is_some(), "another reason is told");
    assert_eq!(numbers(course.list().unwrap()), [1, 2]);
    assert_eq!((course.failures(), course.good_ms()), (10, Some(100)));
    assert_eq!(course.problem().map(|p| &**p), Some("refused"));
    let step = course.take(list(&[2, 1], 5_000), 400);
    assert_eq!((step.list, step.line.as_deref()), (None, Some("answers again, with the same endpoints")));
    assert_eq!((course.problem(), course.good_ms()), (None, Some(400)));
}

#[test]
fn nothing_is_kept_or_removed_after_three_in_a_row() {
    let nothing = || Look::Nothing("no such name".into());
    let mut keeps = Course::new(RULES, 1);
    let _ = keeps.take(list(&[1], 5_000), 0);
    assert!((0..50).all(|n| keeps.take(nothing(), n).list.is_none()));
    assert_eq!(keeps.list().unwrap().len(), 1);

    let mut removes = Course::new(Rules { on_empty: OnEmpty::Remove, ..RULES }, 1);
    // Nothing from the start is nothing to remove.
    assert!((0..5).all(|n| removes.take(nothing(), n).list.is_none()));
    let _ = removes.take(list(&[1], 5_000), 10);
    let _ = removes.take(nothing(), 11);
    let _ = removes.take(nothing(), 12);
    // A failure between says nothing about the name.
    let _ = removes.take(Look::Failed("timed out".into()), 13);
    assert!(removes.take(nothing(), 14).list.is_none());
    assert!(removes.take(nothing(), 15).list.is_none());
    let step = removes.take(nothing(), 16);
    assert_eq!(step.list.unwrap().len(), 0);
    assert_eq!(step.line.unwrap(), "has no endpoints now: -192.0.2.1:1");
    assert!(removes.take(nothing(), 17).line.is_none());
}

#[test]
fn an_empty_list_that_is_meant_is_taken_at_once() {
    let mut course = Course::new(RULES, 1);
    let _ = course.take(list(&[1, 2], 5_000), 0);
    assert_eq!(course.take(list(&[], 5_000), 1).list.unwrap().len(), 0);
}

#[test]
fn a_file_that_stays_unusable_stays_told_of() {
    let mut course = Course::new(RULES, 1);
    let _ = course.take(list(&[1], 5_000), 0);
    let _ = course.take(Look::Failed("not a list".into()), 1);
    let _ = course.take(Look::Unchanged, 2);
    assert_eq!((course.problem().is_some(), course.good_ms()), (true, Some(0)));
    let _ = course.take(list(&[1], 5_000), 3);
    let _ = course.take(Look::Unchanged, 4);
    assert_eq!((course.problem().is_some(), course.good_ms()), (false, Some(4)));
}

#[test]
fn times_stay_within_their_bounds() {
    for seed in 0..5_000 {
        let mut random = Random::from_seed(seed);
        let rules = Rules { soonest_ms: random.next_u64() % 5_000, ..RULES };
        let mut course = Course::new(rules, seed);
        let (mut now, mut failing) = (0, 0u32);
        for _ in 0..40 {
            let fresh = match random.next_u64() % 3 {
                0 => 0,
                1 => random.next_u64() % 100_000,
                _ => random.next_u64(),
            };
            let is_failure = random.next_u64().is_multiple_of(3);
            let look = if is_failure { Look::Failed("x".into()) } else { list(&[1], fresh) };
            let _ = course.take(look, now);
            let wait = course.due_ms() - now;
            if is_failure {
                failing += 1;
                let most = (1_000 << (failing - 1).min(10)).min(30_000);
                assert!((most / 2..=most).contains(&wait), "seed {seed}: {wait} after {failing} failures");
            } else {
                failing = 0;
                let wanted = fresh.clamp(rules.soonest_ms, rules.latest_ms);
                let range = wanted..=wanted + wanted / 10;
                assert!(range.contains(&wait), "seed {seed}: {wait} for {fresh}");
            }
            now += wait;
        }
    }
}

#[test]
fn sources_that_began_together_drift_apart() {
    let due = |seed| {
        let mut course = Course::new(RULES, seed);
        let _ = course.take(list(&[1], 60_000), 0);
        course.due_ms()
    };
    let mut times: Vec<_> = (0..1_000).map(due).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 800, "{}", times.len());
}

/// Whatever looks find: the list is the last one that was good, and is told when it changes and only then.
#[test]
fn the_last_good_list_stays_whatever_happens() {
    for seed in 0..5_000 {
        let mut random = Random::from_seed(seed);
        let on_empty = if seed % 2 == 0 { OnEmpty::Keep } else { OnEmpty::Remove };
        let mut course = Course::new(Rules { on_empty, ..RULES }, seed);
        let (mut expected, mut empties): (Option<Vec<u8>>, u32) = (None, 0);
        for now in 0..60 {
            let before = course.list().cloned();
            let step = match random.next_u64() % 5 {
                0 => {
                    empties = 0;
                    course.take(Look::Failed("x".into()), now)
                }
                1 | 2 => {
                    empties += 1;
                    if on_empty == OnEmpty::Remove && empties >= 3 && expected.is_some() {
                        expected = Some(Vec::new());
                    }
                    course.take(Look::Nothing("x".into()), now)
                }
                3 => course.take(Look::Unchanged, now),
                _ => {
                    let mut numbers: Vec<u8> =
                        (0..random.next_u64() % 9).map(|_| 1 + (random.next_u64() % 6) as u8).collect();
                    let look = list(&numbers, random.next_u64() % 90_000);
                    numbers.sort_unstable();
                    numbers.dedup();
                    numbers.truncate(RULES.max);
                    if !numbers.is_empty() {
                        empties = 0;
                    }
                    expected = Some(numbers);
                    course.take(look, now)
                }
            };
            assert_eq!(course.list().map(numbers), expected, "seed {seed}");
            assert_eq!(step.list.is_some(), course.list() != before.as_ref(), "seed {seed}");
            assert!(step.list.is_none() || step.line.is_some(), "seed {seed}: a change is told");
        }
    }
}
