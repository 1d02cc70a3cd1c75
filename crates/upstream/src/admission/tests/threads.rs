//! Many threads at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use super::{AdmissionSettings, QueueSettings, capped, upstream};
use crate::admission::{Class, Entry, Permit, Ticket, Waiting};
use crate::balancers::{Pick, PickKey};
use crate::random::Random;
use crate::upstream::Upstream;
use crate::view::View;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Far longer than anything here takes: who waits that long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

fn block_on(waiting: Waiting) -> Permit {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut waiting = pin!(waiting);
    let began = std::time::Instant::now();
    loop {
        if let Poll::Ready(result) = waiting.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result.expect("no time passes, and the queue is long enough");
        }
        assert!(began.elapsed() < FORGOTTEN, "a wake-up was lost");
        std::thread::park_timeout(FORGOTTEN);
    }
}

/// Those inside now, and the most there ever were.
#[derive(Default)]
struct Inside {
    now: AtomicU32,
    most: AtomicU32,
}

impl Inside {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn exchange(upstream: &Upstream, random: &mut Random, inside: &[Inside], whole: &Inside) {
    let mut view = View::default();
    view.refresh(upstream, 0);
    let ticket =
        Ticket { class: Class::ALL[random.below(4) as usize], key: random.below(3), ..Ticket::default() };
    let mut entry = upstream.enter(&view, 0, || ticket).unwrap();
    loop {
        let mut permit = match entry {
            Entry::Admitted(permit) => permit,
            // Some give up at once.
            Entry::Waiting(_) if random.below(8) == 0 => return,
            Entry::Waiting(waiting) => block_on(waiting),
            Entry::Refused(refused) => panic!("{refused}"),
        };
        let begun = (0..3).find_map(|_| {
            let key = PickKey { turn: random.next(), seed: random.next(), ..PickKey::default() };
            match upstream.pick(&view, &key) {
                Pick::Endpoint(endpoint) => upstream.try_begin(endpoint).map(|begun| (endpoint, begun)),
                Pick::None(_) => None,
            }
        });
        if let Some((endpoint, begun)) = begun {
            upstream.seated(&mut permit, &view);
            whole.enter();
            inside[endpoint as usize].enter();
            if random.below(4) == 0 {
                std::thread::yield_now();
            }
            inside[endpoint as usize].leave();
            whole.leave();
            drop(begun);
            return;
        }
        entry = upstream.wait_again(permit, &view, 0, || ticket);
    }
}

fn race(admission: AdmissionSettings, caps: &[Option<u32>], balancer: usize, seed: u64) {
    let whole_cap = admission.upstream.unwrap_or(u32::MAX);
    let upstream = upstream(balancer, caps, admission);
    let inside: Vec<Inside> = caps.iter().map(|_| Inside::default()).collect();
    let whole = Inside::default();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (upstream, inside, whole) = (&upstream, &inside, &whole);
            scope.spawn(move || {
                let mut random = Random::new(seed ^ thread << 32);
                (0..1500).for_each(|_| exchange(upstream, &mut random, inside, whole));
            });
        }
    });
    let status = upstream.admission().unwrap().status();
    assert_eq!((status.taken, status.waiting), (0, [0; 4]), "seed {seed}");
    assert_eq!(upstream.in_flight(), 0, "seed {seed}");
    assert!(whole.most.load(Ordering::SeqCst) <= whole_cap, "seed {seed}");
    for (inside, cap) in inside.iter().zip(caps) {
        let most = inside.most.load(Ordering::SeqCst);
        assert!(most <= cap.unwrap_or(u32::MAX), "seed {seed}: {most} of {cap:?}");
    }
}

#[test]
fn the_cap_of_an_upstream_is_never_passed_and_nobody_is_forgotten() {
    for seed in 0..6 {
        race(capped(1 + seed as u32 % 3, Some(QueueSettings::default())), &[None, None], 0, seed);
    }
}

#[test]
fn the_caps_of_endpoints_are_never_passed_and_nobody_is_forgotten() {
    for seed in 0..6 {
        let admission =
            AdmissionSettings { queue: Some(QueueSettings::default()), ..AdmissionSettings::default() };
        race(admission, &[Some(1), Some(2)], seed as usize % 4, seed);
    }
}

#[test]
fn both_caps_hold_together() {
    for seed in 0..6 {
        race(
            capped(3, Some(QueueSettings::default())),
            &[Some(1), Some(1), Some(2)],
            seed as usize % 4,
            seed,
        );
    }
}
