//! The worker's side of a recorder.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, TryLockError};

use super::{Class, Kept, Recorder, Shelves};

/// How many entries wait while somebody reads.
const WAITING_MAX: usize = 32;

/// Puts entries into a recorder without ever waiting for its readers: what cannot be put in now is put in with
/// the next or at the next [`Keeper::flush`]; beyond a few it is lost and counted.
#[derive(Debug)]
pub struct Keeper<E> {
    recorder: Arc<Recorder<E>>,
    waiting: RefCell<VecDeque<(Class, E)>>,
}

impl<E: Kept> Keeper<E> {
    /// The only keeper of a recorder.
    pub fn new(recorder: Arc<Recorder<E>>) -> Self {
        Self { recorder, waiting: RefCell::default() }
    }

    /// The recorder.
    #[inline]
    pub fn recorder(&self) -> &Recorder<E> {
        &self.recorder
    }

    /// Keeps an entry.
    pub fn keep(&self, class: Class, entry: E) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= WAITING_MAX {
            // The oldest goes: who reads has come for those before it.
            waiting.pop_front();
            self.recorder.drop_one();
        }
        waiting.push_back((class, entry));
        drop(waiting);
        self.flush();
    }

    /// Puts in what waits, if nobody is reading. To be called now and then.
    pub fn flush(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return;
        }
        let mut shelves: std::sync::MutexGuard<'_, Shelves<E>> = match self.recorder.shelves.try_lock() {
            Ok(shelves) => shelves,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let budget = self.recorder.budget.load(std::sync::atomic::Ordering::Relaxed);
        for (class, entry) in waiting.drain(..) {
            if !shelves.put(class, entry, budget) {
                self.recorder.drop_one();
            }
        }
        self.recorder.count(&shelves);
    }
}
