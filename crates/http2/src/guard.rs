//! Guards against floods: budgets, and how a connection ended.
//!
//! What h2 0.4.20 ends by itself: CONTINUATION floods, header lists four times over the limit, rapid resets
//! that arrive with their streams, buffered small and empty DATA, and a thousand stream errors. What it lets
//! pass for ever: PING, SETTINGS, PRIORITY, WINDOW_UPDATE and unknown frames, rapid resets spread over
//! several reads, and the first thousand streams that a client makes it reset. Those have budgets here.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use tollgate_decision::Reason;

use crate::settings::{GuardSettings, Rate};

/// Why a client's connection ended before it was drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The reason: [`Reason::ClientClosed`], [`Reason::ProtocolViolation`] or a guard's.
    pub reason: Reason,
    /// What happened, for logs.
    pub detail: Cow<'static, str>,
}

/// Tells the time in milliseconds from any start.
pub type Now = Rc<dyn Fn() -> u64>;

/// A budget in use.
#[derive(Debug)]
struct Bucket {
    left: u32,
    refilled_ms: u64,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self { left: rate.burst, refilled_ms: 0 }
    }

    /// Takes `cost` at `now_ms`; false when there is not as much.
    fn take(&mut self, rate: Rate, cost: u32, now_ms: u64) -> bool {
        let refill =
            now_ms.saturating_sub(self.refilled_ms).saturating_mul(u64::from(rate.per_second)) / 1000;
        if refill > 0 {
            let refill = u32::try_from(refill).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(refill).min(rate.burst);
            self.refilled_ms = now_ms;
        }
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// What a client did that costs a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    RapidReset,
    ProvokedReset,
    RejectedStream,
    OversizedHead,
    /// A frame without a message, at this cost.
    IdleFrame(u32),
}

impl Offence {
    /// The reason and detail when the budget is used up.
    fn verdict(self) -> (Reason, &'static str) {
        match self {
            Self::RapidReset => (Reason::RapidReset, "streams were reset as soon as they were opened"),
            Self::ProvokedReset => (Reason::ProvokedReset, "streams were made to fail"),
            Self::RejectedStream => (Reason::ProvokedReset, "streams were malformed or over the limit"),
            Self::OversizedHead => (Reason::HeadFlood, "heads had too many or too large fields"),
            Self::IdleFrame(_) => (Reason::FrameFlood, "frames that carry nothing came too quickly"),
        }
    }
}

struct Buckets {
    rapid_resets: Bucket,
    provoked_resets: Bucket,
    rejected_streams: Bucket,
    oversized_heads: Bucket,
    idle_frames: Bucket,
}

/// The guard of one client's connection, shared by its reader and its streams.
pub(crate) struct Guard {
    settings: GuardSettings,
    now: Now,
    buckets: RefCell<Buckets>,
    verdict: Cell<Option<(Reason, &'static str)>>,
    /// The task that drives the connection, woken when a stream finds the offence that is one too many.
    driver: RefCell<Option<Waker>>,
    open_streams: Cell<usize>,
}

impl Guard {
    pub(crate) fn new(settings: GuardSettings, now: Now) -> Self {
        let buckets = Buckets {
            rapid_resets: Bucket::full(settings.rapid_resets),
            provoked_resets: Bucket::full(settings.provoked_resets),
            rejected_streams: Bucket::full(settings.rejected_streams),
            oversized_heads: Bucket::full(settings.oversized_heads),
            idle_frames: Bucket::full(settings.idle_frames),
        };
        Self {
            settings,
            now,
            buckets: RefCell::new(buckets),
            verdict: Cell::new(None),
            driver: RefCell::new(None),
            open_streams: Cell::new(0),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.now)()
    }

    /// Charges an offence; false when its budget is used up, which ends the connection.
    pub(crate) fn charge(&self, offence: Offence) -> bool {
        self.charge_at(offence, self.now_ms())
    }

    pub(crate) fn charge_at(&self, offence: Offence, now_ms: u64) -> bool {
        let mut buckets = self.buckets.borrow_mut();
        let settings = &self.settings;
        let (bucket, rate, cost) = match offence {
            Offence::RapidReset => (&mut buckets.rapid_resets, settings.rapid_resets, 1),
            Offence::ProvokedReset => (&mut buckets.provoked_resets, settings.provoked_resets, 1),
            Offence::RejectedStream => (&mut buckets.rejected_streams, settings.rejected_streams, 1),
            Offence::OversizedHead => (&mut buckets.oversized_heads, settings.oversized_heads, 1),
            Offence::IdleFrame(cost) => (&mut buckets.idle_frames, settings.idle_frames, cost),
        };
        let within = bucket.take(rate, cost, now_ms);
        if !within && self.verdict.get().is_none() {
            self.verdict.set(Some(offence.verdict()));
            if let Some(driver) = self.driver.borrow_mut().take() {
                driver.wake();
            }
        }
        within
    }

    /// Gives back budget for idle frames: a client answers `sent` bytes with window updates and pings.
    /// Sends of a few bytes give nothing, or dribbling would pay for itself.
    pub(crate) fn credit_sent(&self, sent: usize) {
        let credit = (sent / 16).min(4) + sent / 2048;
        let mut buckets = self.buckets.borrow_mut();
        let left = buckets.idle_frames.left.saturating_add(credit as u32);
        buckets.idle_frames.left = left.min(self.settings.idle_frames.burst);
    }

    /// Whether a reset of a stream this old is a rapid one.
    pub(crate) fn is_rapid(&self, age_ms: u64) -> bool {
        age_ms < self.settings.rapid_reset_age_ms
    }

    pub(crate) fn verdict(&self) -> Option<Ended> {
        self.verdict.get().map(|(reason, detail)| Ended { reason, detail: detail.into() })
    }

    pub(crate) fn set_driver(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|d| d.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.open_streams.get()
    }

    pub(crate) fn stream_opened(&self) {
        self.open_streams.set(self.open_streams.get() + 1);
    }

    pub(crate) fn stream_closed(&self) {
        self.open_streams.set(self.open_streams.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_and_comes_back() {
        let rate = Rate { burst: 3, per_second: 10 };
        let mut bucket = Bucket::full(rate);
        assert!((0..3).all(|_| bucket.take(rate, 1, 1000)));
        assert!(!bucket.take(rate, 1, 1000));
        assert!(!bucket.take(rate, 1, 1099));
        assert!(bucket.take(rate, 1, 1100));
        assert!(!bucket.take(rate, 1, 1150));
        // Never more than the burst.
        assert!(bucket.take(rate, 3, 99_000));
        assert!(!bucket.take(rate, 1, 99_000));
    }

    #[test]
    fn the_first_offence_too_many_is_the_verdict() {
        let settings =
            GuardSettings { rapid_resets: Rate { burst: 1, per_second: 0 }, ..GuardSettings::default() };
        let guard = Guard::new(settings, Rc::new(|| 0));
        assert!(guard.charge(Offence::RapidReset));
        assert_eq!(guard.verdict(), None);
        assert!(!guard.charge(Offence::RapidReset));
        while guard.charge(Offence::IdleFrame(1)) {}
        assert_eq!(guard.verdict().unwrap().reason, Reason::RapidReset);
    }

    #[test]
    fn responses_pay_for_window_updates_but_dribbling_does_not() {
        let settings =
            GuardSettings { idle_frames: Rate { burst: 100, per_second: 0 }, ..GuardSettings::default() };
        let guard = Guard::new(settings, Rc::new(|| 0));
        for _ in 0..10_000 {
            guard.credit_sent(16 * 1024);
            assert!(guard.charge(Offence::IdleFrame(2)));
        }
        let mut dribbled = 0;
        while guard.charge(Offence::IdleFrame(1)) {
            guard.credit_sent(1);
            dribbled += 1;
        }
        assert!(dribbled <= 100, "{dribbled}");
    }
}
