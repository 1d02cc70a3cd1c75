//! What goes wrong, and how long it is waited then.

use std::time::Duration;

use super::bench::{Bench, DAY, SHOP, files};
use tollgate_testkit::{Mischief, refusing};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_challenge_that_cannot_be_fetched_says_why_and_is_tried_with_growing_waits() {
    let bench = Bench::new();
    let (nobody, _guard) = refusing();
    bench.server.resolve(SHOP, Some(nobody), None);
    let keeper = bench.start(bench.settings(&[SHOP]));
    for minutes in [1, 2, 4, 8] {
        let (message, next) = keeper.failure();
        assert!(message.contains(SHOP) && message.contains("connection"), "{message}");
        let (wait, full) = (next - bench.now(), SECOND * 60 * minutes);
        assert!(wait <= full && wait >= full * 9 / 10 - SECOND, "{wait:?} of {full:?}");
        let status = keeper.status(SHOP);
        assert_eq!(status.last_error, Some((bench.now(), message)));
        bench.set_now(next + SECOND);
        keeper.ring();
    }
    drop(keeper.failure());
    assert!(!bench.challenges.any());
    bench.server.resolve(SHOP, Some(bench.http), None);
    bench.set_now(bench.now() + DAY);
    keeper.ring();
    assert_eq!(keeper.installed().name, SHOP);
    assert_eq!(keeper.wait(SHOP, |status| status.failures == 0).last_error, None);
    assert_eq!(files(&bench.folder()), ["account.json", "lock", "shop.example.com.pem"]);
}

#[test]
fn one_name_that_fails_does_not_hold_up_the_others() {
    let bench = Bench::new();
    let keeper = bench.start(bench.settings(&["gone.example.com", SHOP]));
    let (message, _) = keeper.failure();
    assert!(message.contains("gone.example.com"), "{message}");
    assert_eq!(keeper.installed().name, SHOP);
}

#[test]
fn a_rate_limit_is_honoured_also_by_the_next_process() {
    let bench = Bench::new();
    bench.server.misbehave(Mischief::RateLimited { retry_after: 100_000 }, 1);
    let keeper = bench.start(bench.settings(&[SHOP]));
    let (message, next) = keeper.failure();
    assert!(message.contains("rateLimited"), "{message}");
    assert_eq!(next, bench.now() + SECOND * 100_000);
    drop(keeper);
    let requests = bench.server.counts().requests;
    let keeper = bench.start(bench.settings(&[SHOP]));
    assert_eq!(keeper.status(SHOP).next_order, next);
    bench.set_now(next - SECOND);
    keeper.ring();
    // An order would have to begin before this one is stopped; there was no request at all.
    drop(keeper);
    assert_eq!(bench.server.counts().requests, requests);
    bench.set_now(next);
    let keeper = bench.start(bench.settings(&[SHOP]));
    assert_eq!(keeper.installed().name, SHOP);
}

#[test]
fn a_directory_that_is_down_is_left_alone_for_all_names() {
    let bench = Bench::new();
    bench.server.resolve("www.example.com", Some(bench.http), None);
    bench.server.misbehave(Mischief::Unavailable { retry_after: 7200 }, 1);
    let keeper = bench.start(bench.settings(&[SHOP, "www.example.com"]));
    let (message, next) = keeper.failure();
    assert!(message.contains("503"), "{message}");
    assert_eq!(next, bench.now() + SECOND * 7200);
    assert_eq!(keeper.status("www.example.com").next_order, next);
    assert_eq!(bench.server.counts().requests, 1);
    bench.set_now(next);
    keeper.ring();
    assert_eq!([keeper.installed().name, keeper.installed().name], [SHOP, "www.example.com"]);
}

#[test]
fn connections_that_break_and_answers_that_do_not_come_are_failures_and_no_more() {
    let bench = Bench::new();
    bench.server.misbehave(Mischief::Hangup, 2);
    let mut settings = bench.settings(&[SHOP]);
    let keeper = bench.start(settings.clone());
    let (message, _) = keeper.failure();
    assert!(message.contains("broke"), "{message}");
    drop(keeper);
    bench.server.behave();
    bench.server.misbehave(Mischief::Silence, 1);
    settings.timeout = Duration::from_millis(200);
    bench.set_now(bench.now() + DAY);
    let keeper = bench.start(settings.clone());
    let (message, _) = keeper.failure();
    assert!(message.contains("in time"), "{message}");
    drop(keeper);
    settings.timeout = tollgate_testkit::PATIENCE;
    bench.set_now(bench.now() + DAY);
    let keeper = bench.start(settings);
    assert_eq!(keeper.installed().name, SHOP);
}

#[test]
fn an_authority_that_is_not_ours_is_not_spoken_to() {
    let bench = Bench::new();
    let other = tollgate_testkit::AcmeServer::start();
    let mut settings = bench.settings(&[SHOP]);
    settings.roots = tollgate_tls::Roots::from_pem(other.root_pem().as_bytes()).unwrap();
    let keeper = bench.start(settings);
    let (message, _) = keeper.failure();
    assert!(message.contains("certificate"), "{message}");
    assert_eq!(bench.server.counts().requests, 0);
}

#[test]
fn orders_that_are_refused_and_certificates_that_are_wrong_are_not_taken() {
    for (mischief, expected) in
        [(Mischief::OrderInvalid, "does not like this order"), (Mischief::WrongKey, "bad certificate")]
    {
        let bench = Bench::new();
        bench.server.misbehave(mischief, 1);
        let keeper = bench.start(bench.settings(&[SHOP]));
        let (message, next) = keeper.failure();
        assert!(message.contains(expected), "{message}");
        assert!(keeper.nothing_installed() && !bench.certificate_file(SHOP).exists());
        bench.set_now(next);
        keeper.ring();
        assert_eq!(keeper.installed().name, SHOP);
    }
}

#[test]
fn an_order_that_is_stopped_on_its_way_leaves_no_answer_behind_and_counts() {
    let bench = Bench::new();
    let silent = tollgate_testkit::Silent::new();
    bench.server.resolve(SHOP, Some(silent.address()), None);
    let keeper = bench.start(bench.settings(&[SHOP]));
    keeper.wait(SHOP, |status| status.is_ordering);
    let begin = std::time::Instant::now();
    while !bench.challenges.any() {
        assert!(begin.elapsed() < tollgate_testkit::PATIENCE);
        std::thread::yield_now();
    }
    drop(keeper);
    assert!(!bench.challenges.any());
    bench.server.resolve(SHOP, Some(bench.http), None);
    let keeper = bench.start(bench.settings(&[SHOP]));
    let status = keeper.status(SHOP);
    assert_eq!(status.failures, 1);
    assert!(status.next_order > bench.now() && status.last_error.unwrap().1.contains("interrupted"));
}
