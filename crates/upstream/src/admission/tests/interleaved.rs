//! All that can happen, in thousands of random orders, on one thread: who was told nothing is not asked, so that a lost
//! wake-up is one who never comes on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::{AdmissionSettings, NOW_US, QueueSettings, upstream};
use crate::admission::{Class, Entry, Permit, Refused, Ticket, Waiting};
use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::InFlight;
use crate::random::Random;
use crate::upstream::Upstream;
use crate::view::{Vacancy, View};

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Where one exchange is.
enum Step {
    Waits(Pin<Box<Waiting>>, Arc<Flag>),
    Picks(Permit),
    Runs(Permit, InFlight, u32),
}

struct World {
    random: Random,
    upstream: Upstream,
    caps: Vec<Option<u32>>,
    cap: u32,
    tasks: Vec<Step>,
    ended: u32,
    refused: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut cap = |of| (random.below(3) > 0).then(|| 1 + random.below(of) as u32);
        let whole = cap(5);
        let caps: Vec<_> = (0..3).map(|_| cap(2)).collect();
        let queue = QueueSettings {
            length: 1 + random.below(12) as u32,
            target_ms: (random.below(3) == 0).then_some(5),
            timeout_ms: 1 + random.below(500),
            ..QueueSettings::default()
        };
        // One cap at least.
        let whole = whole.or_else(|| caps.iter().all(Option::is_none).then_some(2));
        let admission =
            AdmissionSettings { upstream: whole, queue: Some(queue), ..AdmissionSettings::default() };
        let upstream = upstream(random.below(BALANCERS.len() as u64) as usize, &caps, admission);
        let cap = whole.unwrap_or(u32::MAX);
        Self { random, upstream, caps, cap, tasks: Vec::new(), ended: 0, refused: 0 }
    }

    fn view(&self) -> View {
        let mut view = View::default();
        view.refresh(&self.upstream, NOW_US.get() / 1000);
        view
    }

    fn entered(&mut self, entry: Entry) {
        match entry {
            Entry::Admitted(permit) => self.tasks.push(Step::Picks(permit)),
            // Asked once, so that it can be woken.
            Entry::Waiting(waiting) => {
                let flag = Arc::new(Flag(AtomicBool::new(true)));
                self.tasks.push(Step::Waits(Box::pin(waiting), flag));
            }
            Entry::Refused(refused) => self.refuse(&refused),
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        assert!((1..=60).contains(&refused.retry_after_s), "{refused:?}");
        self.refused += 1;
    }

    fn comes(&mut self) {
        let class = Class::ALL[self.random.below(4) as usize];
        let ticket = Ticket { class, key: self.random.below(4), ..Ticket::default() };
        let entry = self.upstream.enter(&self.view(), NOW_US.get(), || ticket);
        self.entered(entry.unwrap());
    }

    /// Takes one task a step on; whether it could go.
    fn step(&mut self, task: usize) -> bool {
        match self.tasks.swap_remove(task) {
            Step::Waits(mut waiting, flag) => {
                let over = waiting.until_ms() * 1000 <= NOW_US.get();
                if flag.0.swap(false, Ordering::SeqCst) {
                    let waker = Waker::from(Arc::clone(&flag));
                    match waiting.as_mut().poll(&mut Context::from_waker(&waker)) {
                        Poll::Ready(Ok(permit)) => self.tasks.push(Step::Picks(permit)),
                        Poll::Ready(Err(refused)) => self.refuse(&refused),
                        Poll::Pending => self.tasks.push(Step::Waits(waiting, flag)),
                    }
                    true
                } else if over {
                    match Pin::into_inner(waiting).time_out(NOW_US.get()) {
                        Ok(permit) => self.tasks.push(Step::Picks(permit)),
                        Err(refused) => self.refuse(&refused),
                    }
                    true
                } else {
                    self.tasks.push(Step::Waits(waiting, flag));
                    false
                }
            }
            Step::Picks(permit) => {
                self.pick(permit);
                true
            }
            Step::Runs(permit, in_flight, _) => {
                match self.random.below(4) {
                    // A retry: the permit is kept, the endpoint's place is not.
                    0 => {
                        drop(in_flight);
                        self.tasks.push(Step::Picks(permit));
                    }
                    1 => {
                        drop(permit);
                        drop(in_flight);
                    }
                    _ => {
                        drop(in_flight);
                        drop(permit);
                    }
                }
                self.ended += 1;
                true
            }
        }
    }

    fn pick(&mut self, mut permit: Permit) {
        let view = self.view();
        let key = PickKey { turn: self.random.next(), seed: self.random.next(), ..PickKey::default() };
        match self.upstream.pick(&view, &key) {
            Pick::Endpoint(endpoint) => {
                let begun = self.upstream.try_begin(endpoint).expect("nobody came between");
                self.upstream.seated(&mut permit, &view);
                self.tasks.push(Step::Runs(permit, begun, endpoint));
            }
            Pick::None(Vacancy::Full) => {
                let entry = self.upstream.wait_again(permit, &view, NOW_US.get(), Ticket::default);
                self.entered(entry);
            }
            // All drained: it is over.
            Pick::None(_) => self.ended += 1,
        }
    }

    fn check(&self) {
        let status = self.upstream.admission().unwrap().status();
        let mut at = [0; 3];
        let mut permits = 0;
        for task in &self.tasks {
            if let Step::Runs(_, _, endpoint) = task {
                at[*endpoint as usize] += 1;
            }
            permits += u32::from(!matches!(task, Step::Waits(..)));
        }
        assert!(permits <= self.cap, "{permits} of {}", self.cap);
        assert!(self.cap == u32::MAX || status.taken <= self.cap);
        for (at, cap) in at.iter().zip(&self.caps) {
            assert!(*at <= cap.unwrap_or(u32::MAX), "{at} of {cap:?}");
        }
        // While nobody is about to pick, nobody waits for what is free.
        let about_to = |task: &Step| match task {
            Step::Waits(_, flag) => flag.0.load(Ordering::SeqCst),
            Step::Picks(_) => true,
            Step::Runs(..) => false,
        };
        if status.waiting.iter().sum::<u32>() > 0 && !self.tasks.iter().any(about_to) {
            let is_free = |endpoint: &u32| !self.upstream.endpoint(*endpoint).unwrap().is_full();
            let has_room = self.view().members().iter().any(is_free);
            assert!(permits == self.cap || !has_room, "somebody waits for a place that is free");
        }
    }

    fn event(&mut self) {
        NOW_US.set(NOW_US.get() + self.random.below(20_000));
        let task = self.random.below(self.tasks.len().max(1) as u64) as usize;
        match self.random.below(20) {
            0..8 => self.comes(),
            8 if !self.tasks.is_empty() => drop(self.tasks.swap_remove(task)),
            9 => {
                let (endpoint, drained) = (self.random.below(3) as u32, self.random.below(2) == 0);
                self.upstream.set_drained(endpoint, drained);
            }
            _ if !self.tasks.is_empty() => {
                self.step(task);
            }
            _ => {}
        }
    }

    /// Nobody comes any more, and no time passes: all must come to their end by what the others do.
    fn settle(&mut self) {
        for endpoint in 0..3 {
            self.upstream.set_drained(endpoint, false);
        }
        let mut idle = 0;
        while !self.tasks.is_empty() {
            let task = self.random.below(self.tasks.len() as u64) as usize;
            idle = if self.step(task) { 0 } else { idle + 1 };
            self.check();
            assert!(idle < 500, "{} are stuck", self.tasks.len());
        }
        let status = self.upstream.admission().unwrap().status();
        assert_eq!((status.taken, status.waiting, self.upstream.in_flight()), (0, [0; 4], 0));
    }
}

#[test]
fn nobody_is_forgotten_and_no_cap_is_passed_in_any_order() {
    let (mut ended, mut refused) = (0, 0);
    for seed in 0..4000 {
        NOW_US.set(0);
        let run = std::panic::AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            for _ in 0..150 {
                world.event();
                world.check();
            }
            world.settle();
            (world.ended, world.refused)
        });
        let Ok(counts) = std::panic::catch_unwind(run) else { panic!("seed {seed}") };
        (ended, refused) = (ended + counts.0, refused + counts.1);
    }
    NOW_US.set(0);
    assert!(ended > 50_000 && refused > 1000, "{ended} ended, {refused} refused");
}
