//! Threads that verify passwords.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tollgate_credentials::password::Stored;

use super::users::Users;

/// How much may be verified at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksSettings {
    /// Threads, each with a check under way. A check may take up to the memory that its hash was made with, 19 MiB by
    /// default.
    pub threads: usize,
    /// Checks that wait for a thread; a further one is refused.
    pub queue: usize,
}

impl Default for ChecksSettings {
    /// Two threads, and about two seconds of work before them.
    fn default() -> Self {
        Self { threads: 2, queue: 128 }
    }
}

/// A small pool of threads that verify passwords, for all methods of the process. Its threads end with it.
pub struct PasswordChecks {
    queue: SyncSender<Job>,
    checked: Arc<AtomicU64>,
    refused: AtomicU64,
}

struct Job {
    what: What,
    password: Vec<u8>,
    done: oneshot::Sender<Checked>,
}

enum What {
    Stored(Box<Stored>),
    /// Nobody has the user's name: the same work for nothing.
    Decoy(Arc<Users>),
}

/// What came of a check.
#[derive(Debug)]
pub(super) enum Checked {
    /// It is the password of this hash.
    Right(Box<Stored>),
    Wrong,
    /// It was not looked at: too many wait already.
    Busy,
}

impl PasswordChecks {
    /// Starts the threads, one at least.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(settings: ChecksSettings) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(settings.queue);
        let (jobs, checked) = (Arc::new(Mutex::new(jobs)), Arc::new(AtomicU64::new(0)));
        for number in 0..settings.threads.max(1) {
            let (jobs, checked) = (jobs.clone(), checked.clone());
            let name = format!("password-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&jobs, &checked))?;
        }
        Ok(Self { queue, checked, refused: AtomicU64::new(0) })
    }

    /// How many passwords were verified, those of unknown users included.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// How many were not, because too many waited.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) async fn verify(&self, stored: Stored, password: Vec<u8>) -> Checked {
        self.run(What::Stored(Box::new(stored)), password).await
    }

    /// Takes the time of a check, and refuses.
    pub(super) async fn refuse(&self, users: Arc<Users>, password: Vec<u8>) -> Checked {
        self.run(What::Decoy(users), password).await
    }

    async fn run(&self, what: What, password: Vec<u8>) -> Checked {
        let (done, wait) = oneshot::channel();
        match self.queue.try_send(Job { what, password, done }) {
            // A check that ended without a word has found nothing to be right.
            Ok(()) => wait.await.unwrap_or(Checked::Wrong),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Checked::Busy
            }
        }
    }
}

#[cfg(test)]
impl PasswordChecks {
    /// A pool whose work is done when the test says so.
    pub(super) fn without_threads(queue: usize) -> (Self, Jobs) {
        let (queue, jobs) = sync_channel(queue);
        let checked = Arc::new(AtomicU64::new(0));
        let jobs = Jobs(Mutex::new(jobs), checked.clone());
        (Self { queue, checked, refused: AtomicU64::new(0) }, jobs)
    }
}

/// What a pool without threads was given.
#[cfg(test)]
pub(super) struct Jobs(Mutex<Receiver<Job>>, Arc<AtomicU64>);

#[cfg(test)]
impl Jobs {
    /// Does what is there.
    pub(super) fn run(&self) {
        let jobs: Vec<_> = self.0.lock().unwrap().try_iter().collect();
        jobs.into_iter().for_each(|job| check(job, &self.1));
    }
}

impl fmt::Debug for PasswordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChecks").field("checked", &self.checked()).finish_non_exhaustive()
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, checked: &AtomicU64) {
    loop {
        // Held while waiting: the others wait for it instead of for a job.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        check(job, checked);
    }
}

fn check(job: Job, checked: &AtomicU64) {
    let Job { what, password, done } = job;
    // Whoever has gone away in the meantime needs no answer.
    if done.is_closed() {
        return;
    }
    // A hash that the library cannot cope with costs its login, not the thread.
    let end = catch_unwind(AssertUnwindSafe(|| match what {
        What::Stored(stored) if stored.verify(&password) => Checked::Right(stored),
        What::Decoy(users) if users.decoy().refuse(&password) => Checked::Wrong,
        What::Stored(_) | What::Decoy(_) => Checked::Wrong,
    }));
    checked.fetch_add(1, Ordering::Relaxed);
    drop(done.send(end.unwrap_or(Checked::Wrong)));
}
