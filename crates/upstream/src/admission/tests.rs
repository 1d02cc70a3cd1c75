//! Threads and orders of events: nobody is lost, and no cap is passed.

mod interleaved;
mod threads;

use std::cell::Cell;

use super::{Admission, AdmissionSettings, Entry, QueueSettings, Ticket, Waiting, Why};
use crate::balancers::BALANCERS;
use crate::endpoint::Endpoint;
use crate::health::HealthEvents;
use crate::upstream::{Upstream, UpstreamSettings};

thread_local! {
    /// What time it is, in microseconds.
    pub(super) static NOW_US: Cell<u64> = const { Cell::new(0) };
}

fn upstream(balancer: usize, caps: &[Option<u32>], admission: AdmissionSettings) -> Upstream {
    let address = "127.0.0.1:80".parse().unwrap();
    let endpoint =
        |(number, cap): (usize, &Option<u32>)| Endpoint::new(format!("e{number}"), address, 1).capped(*cap);
    let endpoints = caps.iter().enumerate().map(endpoint).collect();
    let settings = UpstreamSettings { admission, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, BALANCERS[balancer].standard(), settings, HealthEvents::unheard())
}

fn capped(upstream: u32, queue: Option<QueueSettings>) -> AdmissionSettings {
    AdmissionSettings { upstream: Some(upstream), queue, ..AdmissionSettings::default() }
}

fn enter(admission: &Admission) -> Entry {
    admission.desk().enter(NOW_US.get(), Ticket::default, || true)
}

fn waiting(admission: &Admission) -> Waiting {
    match enter(admission) {
        Entry::Waiting(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_upstream_without_caps_is_not_asked() {
    let upstream = upstream(0, &[None, None], AdmissionSettings::default());
    assert!(upstream.admission().is_none());
    assert!(upstream.try_begin(1).is_some() && upstream.try_begin(2).is_none());
}

#[test]
fn without_a_queue_what_is_too_much_is_refused_at_once() {
    let admission = Admission::new(capped(2, None), false);
    let (first, second) = (enter(&admission), enter(&admission));
    assert!(matches!((&first, &second), (Entry::Admitted(_), Entry::Admitted(_))));
    assert!(matches!(enter(&admission), Entry::Refused(refused) if refused.why == Why::NoQueue));
    drop(first);
    assert!(matches!(enter(&admission), Entry::Admitted(_)));
    assert_eq!(admission.status().refused[Why::NoQueue as usize], 1);
}

#[test]
fn a_place_that_was_handed_over_and_not_taken_goes_to_the_next() {
    let admission = Admission::new(capped(1, Some(QueueSettings::default())), false);
    let held = enter(&admission);
    let (first, second) = (waiting(&admission), waiting(&admission));
    drop(held);
    // The first has the place now, and gives up.
    drop(first);
    NOW_US.set(3_000_000);
    let permit = second.time_out(NOW_US.get()).unwrap();
    assert_eq!((permit.waited().position, permit.waited().length), (1, 1));
    assert_eq!(admission.status().taken, 1);
    drop(permit);
    let status = admission.status();
    assert_eq!((status.taken, status.waiting, status.waits.iter().sum::<u64>()), (0, [0; 4], 2));
    NOW_US.set(0);
}

#[test]
fn who_waited_as_long_as_it_may_is_refused_by_its_own_timer_or_by_the_next_place() {
    let settings = QueueSettings { timeout_ms: 100, ..QueueSettings::default() };
    let admission = Admission::new(capped(1, Some(settings)), false);
    let held = enter(&admission);
    let (first, second) = (waiting(&admission), waiting(&admission));
    assert_eq!(first.until_ms(), 100);
    NOW_US.set(100_000);
    let refused = first.time_out(100_000).unwrap_err();
    assert_eq!((refused.why, refused.waited.waited_us), (Why::TimedOut, 100_000));
    drop(held);
    assert_eq!(second.time_out(100_000).unwrap_err().why, Why::TimedOut);
    assert_eq!((admission.status().taken, admission.status().refused[Why::TimedOut as usize]), (0, 2));
    NOW_US.set(0);
}

#[test]
fn settings_of_the_next_document_hold_for_those_who_wait() {
    let first = upstream(0, &[None], capped(1, Some(QueueSettings::default())));
    let held: Vec<_> = (0..4).map(|_| enter(first.admission().unwrap())).collect();
    let next = upstream(0, &[None], capped(3, Some(QueueSettings::default()))).following(&first);
    assert_eq!(first.admission().unwrap().status().waiting, [0, 0, 3, 0], "only looked at so far");
    next.catch_up(&first, 0);
    assert_eq!(next.admission().unwrap().status().waiting, [0, 0, 1, 0]);
    assert_eq!(next.admission().unwrap().status().taken, 3);
    let last = upstream(0, &[None], AdmissionSettings::default()).following(&next);
    last.catch_up(&next, 0);
    assert_eq!(first.admission().unwrap().status().waiting, [0; 4]);
    drop(held);
    assert_eq!(first.admission().unwrap().status().taken, 0);
}
