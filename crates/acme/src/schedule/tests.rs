use super::{
    ASKED_MAX, Action, BACK_OFF_MAX, BACK_OFF_MIN, BACK_OFF_MIN_OF_ALL, DAY, Failure, RESTARTED_MAX,
    Schedule, Tries, Validity,
};
use std::time::Duration;
use tollgate_runtime::Random;

const NOW: Duration = Duration::from_secs(1_700_000_000);
const LIFE: Duration = Duration::from_secs(90 * 86_400);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn schedule(certificates: usize) -> Schedule {
    Schedule::new(certificates, Random::from_seed(1))
}

fn valid(from: Duration) -> Validity {
    Validity { from, until: from + LIFE }
}

/// The certificate is there, and its renewal information was asked for just now.
fn settled(schedule: &mut Schedule, at: usize, from: Duration) {
    schedule.obtained(at, valid(from), NOW);
    schedule.not_suggested(at, NOW);
}

/// When it is time to order, if nothing else happens: renewal information is asked for and not had.
fn next_order(schedule: &mut Schedule, mut now: Duration) -> (usize, Duration) {
    loop {
        match schedule.next(now) {
            Action::Order(at) => return (at, now),
            Action::AskRenewal(at) => schedule.not_suggested(at, now),
            Action::WaitUntil(time) => {
                assert!(time > now, "waits until the past");
                now = time;
            }
            Action::Nothing => panic!("nothing to do"),
        }
    }
}

#[test]
fn nothing_to_look_after_is_nothing_to_do() {
    assert_eq!(schedule(0).next(NOW), Action::Nothing);
}

#[test]
fn what_is_missing_is_ordered_first_then_what_ends_first() {
    let mut schedule = schedule(4);
    schedule.obtained(0, valid(NOW - LIFE * 3 / 4), NOW);
    schedule.obtained(1, valid(NOW - LIFE), NOW);
    let mut order = Vec::new();
    while let Action::Order(at) = schedule.next(NOW) {
        order.push(at);
        settled(&mut schedule, at, NOW);
    }
    assert_eq!(order, [2, 3, 1, 0]);
}

#[test]
fn renewal_is_at_two_thirds_of_life_and_not_for_all_at_once() {
    let (mut seen, mut earliest, mut latest) =
        (std::collections::BTreeSet::new(), Duration::MAX, Duration::ZERO);
    for seed in 0..200 {
        let mut schedule = Schedule::new(1, Random::from_seed(seed));
        settled(&mut schedule, 0, NOW);
        let (_, time) = next_order(&mut schedule, NOW);
        let after = time - NOW;
        assert!(after >= LIFE * 2 / 3 && after < LIFE * 69 / 100, "seed {seed}: {after:?}");
        (earliest, latest) = (earliest.min(after), latest.max(after));
        seen.insert(after);
    }
    assert!(seen.len() > 190 && latest - earliest > LIFE / 100, "{} {:?}", seen.len(), latest - earliest);
}

#[test]
fn renewal_information_is_asked_at_once_and_then_now_and_then() {
    let mut schedule = schedule(1);
    schedule.obtained(0, valid(NOW), NOW);
    assert_eq!(schedule.next(NOW), Action::AskRenewal(0));
    let window = (NOW + DAY, NOW + DAY * 2);
    assert!(schedule.suggested(0, NOW, window, seconds(7200)));
    let planned = schedule.planned(0).next_order;
    assert!(window.0 <= planned && planned <= window.1);
    assert_eq!(schedule.next(NOW), Action::WaitUntil(NOW + seconds(7200)));
    assert_eq!(schedule.next(NOW + seconds(7200)), Action::AskRenewal(0));
    assert!(!schedule.suggested(0, NOW, window, Duration::ZERO), "the same window changes nothing");
    assert_eq!(schedule.planned(0).next_order, planned);
    assert_eq!(schedule.next(NOW), Action::WaitUntil(NOW + seconds(60)), "not more than once a minute");
    assert!(!schedule.suggested(0, NOW, (NOW, NOW), DAY * 30), "an empty window is none");
    assert_eq!(schedule.planned(0).next_order, planned);
    assert_eq!(schedule.next(NOW), Action::WaitUntil(NOW + DAY), "at least once a day");
}

#[test]
fn a_suggested_window_in_the_past_means_now_and_one_behind_the_end_is_not_believed() {
    let mut schedule = schedule(1);
    settled(&mut schedule, 0, NOW);
    assert!(schedule.suggested(0, NOW, (NOW - DAY, NOW - DAY / 2), DAY));
    assert_eq!(schedule.next(NOW), Action::Order(0));
    assert!(schedule.suggested(0, NOW, (NOW + LIFE * 2, NOW + LIFE * 3), DAY));
    assert_eq!(schedule.planned(0).next_order, NOW + LIFE - LIFE / 20);
}

#[test]
fn failures_double_the_wait_from_a_minute_to_a_day() {
    let mut schedule = schedule(1);
    let (mut now, mut waits) = (NOW, Vec::new());
    for _ in 0..40 {
        schedule.failed(0, now, &Failure::of_certificate("no"));
        let (_, next) = next_order(&mut schedule, now);
        waits.push(next - now);
        now = next;
    }
    for (turn, wait) in waits.iter().enumerate() {
        let full = (BACK_OFF_MIN * (1 << turn.min(11))).min(BACK_OFF_MAX);
        assert!(*wait <= full && *wait >= full * 9 / 10, "{turn}: {wait:?} of {full:?}");
    }
    assert_eq!(schedule.planned(0).failures, 40);
    schedule.obtained(0, valid(now), now);
    assert_eq!((schedule.planned(0).failures, schedule.planned(0).last_error), (0, None));
}

#[test]
fn a_directory_that_is_down_is_asked_again_sooner_than_a_name_that_is_refused() {
    let (mut schedule, mut now) = (schedule(1), NOW);
    for turn in 0..20 {
        schedule.failed(0, now, &Failure::of_everything("down"));
        let Action::WaitUntil(next) = schedule.next(now) else { panic!("{schedule:?}") };
        let full = (BACK_OFF_MIN_OF_ALL * (1 << turn)).min(BACK_OFF_MAX);
        assert!(next - now <= full && next - now >= full * 9 / 10, "{turn}: {:?} of {full:?}", next - now);
        now = next;
    }
}

#[test]
fn one_that_fails_does_not_keep_others_waiting_unless_it_is_the_directory() {
    let mut schedule = schedule(2);
    schedule.failed(0, NOW, &Failure::of_certificate("no"));
    assert_eq!(schedule.next(NOW), Action::Order(1));
    schedule.failed(1, NOW, &Failure::of_everything("down"));
    let Action::WaitUntil(first) = schedule.next(NOW) else { panic!("{schedule:?}") };
    assert!(first > NOW && first <= NOW + BACK_OFF_MIN);
    assert_eq!(schedule.next(NOW + BACK_OFF_MIN), Action::Order(0), "the first in the settings again");
    assert_eq!(schedule.planned(1).last_error, Some((NOW, "down".into())));
}

#[test]
fn what_the_directory_asks_for_is_honoured_within_reason() {
    for (asked, waits) in [(10, None), (7200, Some(seconds(7200))), (u64::MAX, Some(ASKED_MAX))] {
        for of in [Failure::of_certificate, Failure::of_everything] {
            let mut schedule = schedule(1);
            schedule.failed(0, NOW, &of("wait").with_retry_after(Some(seconds(asked))));
            let (_, next) = next_order(&mut schedule, NOW);
            match waits {
                Some(wait) => assert_eq!(next - NOW, wait),
                None => assert!(next - NOW >= seconds(10)),
            }
        }
    }
}

#[test]
fn a_restart_shortens_our_own_waits_but_not_those_that_were_asked_for() {
    let kept = |failure: &Failure| {
        let mut schedule = schedule(1);
        (0..20).for_each(|_| schedule.failed(0, NOW, failure));
        schedule.tries(0).clone()
    };
    let after = |tries: Tries, now: Duration| {
        let mut schedule = schedule(1);
        schedule.restore(0, tries, now);
        assert_eq!(schedule.planned(0).failures, 20);
        next_order(&mut schedule, now).1 - now
    };
    let own = kept(&Failure::of_certificate("no"));
    assert_eq!(after(own, NOW), RESTARTED_MAX);
    let asked = kept(&Failure::of_certificate("no").with_retry_after(Some(DAY * 2)));
    assert_eq!(after(asked.clone(), NOW), DAY * 2);
    // A clock that was set back must not keep it waiting for years.
    assert_eq!(after(asked, NOW - LIFE * 40), ASKED_MAX);
}

#[test]
fn another_process_is_waited_for() {
    let mut schedule = schedule(1);
    schedule.pause_until(NOW + seconds(15));
    assert_eq!(schedule.next(NOW), Action::WaitUntil(NOW + seconds(15)));
    assert_eq!(schedule.next(NOW + seconds(15)), Action::Order(0));
}

#[test]
fn a_certificate_that_lacks_a_name_is_ordered_again() {
    let mut schedule = schedule(1);
    schedule.insufficient(0, valid(NOW));
    assert_eq!(schedule.next(NOW), Action::Order(0));
    assert_eq!(schedule.planned(0).validity, Some(valid(NOW)));
    schedule.failed(0, NOW, &Failure::of_certificate("no"));
    assert!(matches!(schedule.next(NOW), Action::WaitUntil(_)));
}

#[test]
fn whatever_happens_time_goes_on_and_no_certificate_is_forgotten() {
    for seed in 0..100u64 {
        let mut random = Random::from_seed(seed);
        let mut schedule = Schedule::new(1 + random.next_u64() as usize % 5, Random::from_seed(seed));
        let (mut now, mut orders, mut still) = (NOW, 0, 0);
        for _ in 0..4000 {
            still += 1;
            match schedule.next(now) {
                Action::Nothing => panic!("seed {seed}: nothing to do"),
                Action::WaitUntil(time) => {
                    assert!(time > now && time - now <= LIFE.max(ASKED_MAX), "seed {seed}: {time:?} {now:?}");
                    (now, still) = (time, 0);
                }
                Action::AskRenewal(at) => match random.next_u64() % 3 {
                    0 => schedule.not_suggested(at, now),
                    1 => schedule.failed(at, now, &Failure::of_everything("down")),
                    _ => {
                        let start = now + seconds(random.next_u64() % 10_000_000);
                        let _ = schedule.suggested(at, now, (start, start + DAY), DAY);
                    }
                },
                Action::Order(at) => {
                    orders += 1;
                    let asked = Some(seconds(random.next_u64() % 100_000)).filter(|s| s.as_secs() % 2 == 0);
                    match random.next_u64() % 4 {
                        0 => schedule.failed(at, now, &Failure::of_certificate("no").with_retry_after(asked)),
                        1 => schedule.failed(at, now, &Failure::of_everything("no").with_retry_after(asked)),
                        _ => schedule.obtained(at, valid(now), now),
                    }
                }
            }
            assert!(still < 20, "seed {seed}: time stands still");
        }
        assert!(orders > 10, "seed {seed}: {orders} orders");
    }
}
