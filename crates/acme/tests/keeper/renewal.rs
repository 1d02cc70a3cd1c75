//! Renewals, in steps of time.

use std::time::Duration;

use super::bench::{Bench, DAY, SHOP};
use tollgate_acme::Event;

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
    let bench = Bench::new();
    let keeper = bench.start(bench.settings(&[SHOP]));
    let first = keeper.installed();
    let begin = bench.now();
    let planned = keeper.wait(SHOP, |status| !status.is_ordering && status.valid_until.is_some()).next_order;
    assert!(planned >= begin + DAY * 60 && planned < begin + DAY * 62);
    // Just before its time nothing is ordered: the certificate below is of the later time.
    bench.set_now(planned - Duration::from_secs(2));
    keeper.ring();
    assert_eq!(bench.server.counts().orders, 1);
    bench.set_now(planned + Duration::from_secs(1));
    keeper.ring();
    let second = keeper.installed();
    assert_ne!(first.pem, second.pem);
    assert_eq!(second.until, bench.now() + DAY * 90);
    let counts = bench.server.counts();
    assert_eq!((counts.accounts, counts.orders, counts.certificates), (1, 2, 2));
    assert_eq!(counts.open_orders_max, 1);
    assert_eq!(std::fs::read_to_string(bench.certificate_file(SHOP)).unwrap(), second.pem);
}

#[test]
fn certificates_that_live_for_seconds_are_renewed_in_seconds() {
    let bench = Bench::new();
    bench.server.set_lifetime(Duration::from_secs(30));
    let keeper = bench.start(bench.settings(&[SHOP]));
    for turn in 0..4 {
        assert_eq!(keeper.installed().until, bench.now() + Duration::from_secs(30), "turn {turn}");
        bench.set_now(bench.now() + Duration::from_secs(21));
        keeper.ring();
    }
}

#[test]
fn the_directory_may_want_it_sooner_and_learns_what_is_replaced() {
    let bench = Bench::new();
    let window = (bench.now() + DAY * 10, bench.now() + DAY * 11);
    bench.server.suggest(Some(window));
    let keeper = bench.start(bench.settings(&[SHOP]));
    drop(keeper.installed());
    let event = keeper.event("it is rescheduled", |event| matches!(event, Event::Rescheduled { .. }));
    let Event::Rescheduled { next, .. } = event else { panic!("{event:?}") };
    assert!(window.0 <= next && next <= window.1, "{next:?}");
    assert_eq!(bench.server.counts().replacements, 0);
    bench.server.suggest(Some((window.0 + DAY * 30, window.1 + DAY * 30)));
    bench.set_now(next + Duration::from_secs(1));
    keeper.ring();
    drop(keeper.installed());
    let counts = bench.server.counts();
    assert_eq!((counts.orders, counts.replacements), (2, 1), "{:?}", counts.problems);
    assert!(counts.renewal_questions >= 1);
}
