//! The circuit breaker: an upstream that fails too often is spared for a while, so that it can recover and callers are not kept
//! waiting for nothing.
//!
//! Closed, it counts; open, it refuses; half-open, it lets a bounded number of trials pass. Outlier detection takes out single
//! endpoints, the breaker is for what they have in common. It is a failed or slow exchange that opens it, never one that
//! went well.
//!
//! While closed an exchange costs one load ([`Breaker::allow`]) and, if it goes well, one addition ([`Breaker::report`]). The lock is
//! touched only by changes of state and by trials.

mod event;
mod settings;
mod window;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use event::{BreakerEvent, Circuit, Turn};
pub use settings::{BreakerSettings, SlowSettings};
pub use window::Counts;
use window::Window;

use crate::health::events::HealthEvents;

/// How an exchange ended, as far as the upstream is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was not, or with an error of the upstream's.
    Failure,
}

/// Whether an exchange may go to the upstream.
#[derive(Debug)]
pub enum Leave {
    /// It may; its end is told with [`Breaker::report`].
    Go,
    /// It may, to try the upstream; its end is told with [`Trial::report`].
    Trial(Trial),
    /// It may not.
    Open {
        /// When it may come again, in milliseconds from now.
        retry_after_ms: u64,
    },
}

/// The circuit breaker of one upstream. Clones are the same breaker.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    upstream: Arc<str>,
    settings: BreakerSettings,
    /// [`CLOSED`], [`HALF_OPEN`], or open until so many milliseconds (as 2 more than that).
    state: AtomicU64,
    window: Window,
    opened: Mutex<Opened>,
    refused: AtomicU64,
    events: HealthEvents,
}

const CLOSED: u64 = 0;
const HALF_OPEN: u64 = 1;
/// What an exchange that finds all trials taken is told to wait.
const TRIALS_TAKEN_MS: u64 = 1000;

/// What is known while not closed.
#[derive(Debug, Default)]
struct Opened {
    /// How often it opened since it was closed.
    openings: u32,
    /// Rises with each change, so that trials of before are known.
    round: u64,
    trying: u32,
    succeeded: u32,
}

/// Figures of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    /// What it does with exchanges.
    pub circuit: Circuit,
    /// What the window holds.
    pub counts: Counts,
    /// For how much longer it is open, in milliseconds.
    pub open_for_ms: u64,
    /// How many exchanges it refused, or would have refused.
    pub refused: u64,
    /// Whether it only tells what it would have done.
    pub shadow: bool,
}

impl Breaker {
    /// A closed one. `events` hears of its changes.
    pub fn new(settings: BreakerSettings, upstream: Arc<str>, events: HealthEvents) -> Self {
        Self(Arc::new(Shared {
            upstream,
            window: Window::new(settings.window_ms),
            settings,
            state: AtomicU64::new(CLOSED),
            opened: Mutex::default(),
            refused: AtomicU64::new(0),
            events,
        }))
    }

    /// What it was made with.
    pub fn settings(&self) -> &BreakerSettings {
        &self.0.settings
    }

    /// Whether an exchange may go to the upstream. One load while closed.
    #[inline]
    pub fn allow(&self, now_ms: u64) -> Leave {
        match self.0.state.load(Ordering::Relaxed) {
            CLOSED => Leave::Go,
            _ => self.allow_opened(now_ms),
        }
    }

    #[cold]
    fn allow_opened(&self, now_ms: u64) -> Leave {
        let state = self.0.state.load(Ordering::Relaxed);
        if state > HALF_OPEN && now_ms < state - 2 {
            return self.refuse(state - 2 - now_ms);
        }
        let mut opened = self.opened();
        // Again, now that nobody else changes it.
        match self.0.state.load(Ordering::Relaxed) {
            CLOSED => return Leave::Go,
            HALF_OPEN => {}
            state if now_ms < state - 2 => return self.refuse(state - 2 - now_ms),
            _ => {
                opened.round += 1;
                (opened.trying, opened.succeeded) = (0, 0);
                self.turn(HALF_OPEN, Turn::TriesAgain, now_ms);
            }
        }
        if opened.trying + opened.succeeded >= self.0.settings.trials {
            return self.refuse(TRIALS_TAKEN_MS);
        }
        opened.trying += 1;
        Leave::Trial(Trial { breaker: self.clone(), round: opened.round, told: false })
    }

    fn refuse(&self, retry_after_ms: u64) -> Leave {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        if self.0.settings.shadow { Leave::Go } else { Leave::Open { retry_after_ms } }
    }

    /// How an exchange ended that was allowed to [`Leave::Go`]. One addition if it went well.
    #[inline]
    pub fn report(&self, outcome: Outcome, latency_us: u64, now_ms: u64) {
        let (failed, slow) = (outcome == Outcome::Failure, self.is_slow(latency_us));
        if failed || slow {
            self.went_badly(failed, slow, now_ms);
        } else {
            self.0.window.good(now_ms);
        }
    }

    fn is_slow(&self, latency_us: u64) -> bool {
        self.0.settings.slow.is_some_and(|slow| latency_us > slow.over_ms.saturating_mul(1000))
    }

    #[cold]
    fn went_badly(&self, failed: bool, slow: bool, now_ms: u64) {
        self.0.window.bad(failed, slow, now_ms);
        if self.0.state.load(Ordering::Relaxed) != CLOSED || !self.is_too_much(self.0.window.counts(now_ms)) {
            return;
        }
        let mut opened = self.opened();
        if self.0.state.load(Ordering::Relaxed) != CLOSED {
            return;
        }
        let counts = self.0.window.counts(now_ms);
        opened.openings = 0;
        let for_ms = self.open(&mut opened);
        self.turn(now_ms + for_ms + 2, Turn::Tripped { counts, for_ms }, now_ms);
    }

    fn is_too_much(&self, counts: Counts) -> bool {
        let settings = &self.0.settings;
        let reaches = |part: u64, share: u32| share > 0 && part * 10_000 >= counts.total * u64::from(share);
        counts.total >= u64::from(settings.min_requests)
            && (reaches(counts.failed, settings.error_basis_points)
                || settings.slow.is_some_and(|slow| reaches(counts.slow, slow.basis_points)))
    }

    /// Counts an opening. For how long, in milliseconds.
    fn open(&self, opened: &mut Opened) -> u64 {
        let doubled = 1u64.checked_shl(opened.openings).unwrap_or(u64::MAX);
        opened.openings = opened.openings.saturating_add(1);
        opened.round += 1;
        self.0.settings.open_ms.saturating_mul(doubled).min(self.0.settings.max_open_ms)
    }

    fn tried(&self, round: u64, went_well: Option<bool>, now_ms: u64) {
        let mut opened = self.opened();
        if opened.round != round || self.0.state.load(Ordering::Relaxed) != HALF_OPEN {
            return;
        }
        opened.trying -= 1;
        match went_well {
            None => {}
            Some(false) => {
                let for_ms = self.open(&mut opened);
                let turn = Turn::TrialFailed { openings: opened.openings, for_ms };
                self.turn(now_ms.saturating_add(for_ms).saturating_add(2), turn, now_ms);
            }
            Some(true) => {
                opened.succeeded += 1;
                if opened.succeeded >= self.0.settings.trials {
                    opened.round += 1;
                    self.0.window.clear();
                    self.turn(CLOSED, Turn::Recovered { trials: opened.succeeded }, now_ms);
                }
            }
        }
    }

    fn turn(&self, state: u64, turn: Turn, at_ms: u64) {
        self.0.state.store(state, Ordering::Relaxed);
        let (upstream, shadow) = (Arc::clone(&self.0.upstream), self.0.settings.shadow);
        self.0.events.send(BreakerEvent { upstream, turn, shadow, at_ms }.into());
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Figures for metrics and the admin API.
    pub fn status(&self, now_ms: u64) -> BreakerStatus {
        let state = self.0.state.load(Ordering::Relaxed);
        let circuit = match state {
            CLOSED => Circuit::Closed,
            HALF_OPEN => Circuit::HalfOpen,
            _ => Circuit::Open,
        };
        BreakerStatus {
            circuit,
            counts: self.0.window.counts(now_ms),
            open_for_ms: state.saturating_sub(2).saturating_sub(now_ms),
            refused: self.0.refused.load(Ordering::Relaxed),
            shadow: self.0.settings.shadow,
        }
    }
}

/// An exchange that tries the upstream. Dropped without a report it says nothing, and another may try.
#[derive(Debug)]
pub struct Trial {
    breaker: Breaker,
    round: u64,
    told: bool,
}

impl Trial {
    /// How it ended.
    pub fn report(mut self, outcome: Outcome, latency_us: u64, now_ms: u64) {
        self.told = true;
        let went_well = outcome == Outcome::Success && !self.breaker.is_slow(latency_us);
        self.breaker.tried(self.round, Some(went_well), now_ms);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.tried(self.round, None, 0);
        }
    }
}
