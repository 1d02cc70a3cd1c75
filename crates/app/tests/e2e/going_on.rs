//! Requests that go on beside what a test does, of which none may fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tollgate_testkit::{PATIENCE, Tollgate};

use crate::get;

/// How many clients there are.
const CLIENTS: usize = 4;

/// The requests that were answered so far.
#[derive(Default)]
pub(crate) struct GoingOn {
    over: AtomicBool,
    answered: AtomicUsize,
    failed: AtomicUsize,
}

impl GoingOn {
    /// Waits until so many more were answered.
    pub(crate) fn wait_for_more(&self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        let began = Instant::now();
        while self.answered.load(Ordering::Relaxed) < goal {
            assert!(began.elapsed() < PATIENCE, "requests do not go on");
            std::thread::yield_now();
        }
    }

    fn ask(&self, tollgate: &Tollgate) {
        let mut client = tollgate.connect();
        while !self.over.load(Ordering::Relaxed) {
            let ok = client.request(get("/")).status == 200;
            (if ok { &self.answered } else { &self.failed }).fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends the requests, also where the work beside them fails.
struct End<'a>(&'a GoingOn);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Does something while requests go on, and holds that none of them failed.
pub(crate) fn without_a_failure(tollgate: &Tollgate, work: impl FnOnce(&GoingOn)) {
    let load = GoingOn::default();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.ask(tollgate));
        }
        let _end = End(&load);
        work(&load);
    });
    assert_eq!(load.failed.into_inner(), 0);
}
