//! When to do what: a function of the time, of what is held and of what went wrong. No I/O.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_runtime::Random;

pub use crate::failure::{Failure, Scope};

/// The wait after a first failure; it doubles with each further one.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(60);
/// The same where it is not about one certificate. That counts against no limit of the directory, and often it is a
/// network that is not up yet.
pub const BACK_OFF_MIN_OF_ALL: Duration = Duration::from_secs(5);
/// The longest wait that we choose ourselves.
pub const BACK_OFF_MAX: Duration = DAY;
/// The longest wait that a directory can ask for. Its limits count over a week at most.
pub const ASKED_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The longest wait that we chose ourselves and that outlives a restart: who mended something and starts
/// anew should not wait a day, and who crashes and starts anew should not ask each time.
pub const RESTARTED_MAX: Duration = Duration::from_secs(600);
/// How soon to ask again for renewal information that could not be had (RFC 9773 section 4.3.3).
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);
/// Bounds of how soon to ask again for renewal information that was had.
const ASK_MIN: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// From when until when a certificate is good, as times since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: Duration,
    /// Not after.
    pub until: Duration,
}

impl Validity {
    fn life(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }

    /// When a third of its life is left.
    pub fn two_thirds(&self) -> Duration {
        self.from + self.life() * 2 / 3
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Order this certificate, and tell [`Schedule::obtained`] or [`Schedule::failed`].
    Order(usize),
    /// Ask for renewal information of this certificate, and tell [`Schedule::suggested`],
    /// [`Schedule::not_suggested`] or [`Schedule::failed`].
    AskRenewal(usize),
    /// Nothing before this time since 1970.
    WaitUntil(Duration),
    /// Nothing: there are no certificates to look after.
    Nothing,
}

/// Failures in a row, and when to try again. Kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tries {
    /// How many failed since the last success.
    pub failures: u32,
    /// Not before this time since 1970.
    pub next: Duration,
    /// Whether the directory asked for that wait.
    pub is_asked: bool,
    /// When the last one failed, since 1970, and why.
    pub last_error: Option<(Duration, String)>,
}

impl Tries {
    /// Counts a failure. The wait grows with the failures and is at least what was asked for.
    fn fail(&mut self, now: Duration, failure: &Failure, random: &mut Random) {
        self.failures = self.failures.saturating_add(1);
        let first = match failure.scope {
            Scope::Certificate => BACK_OFF_MIN,
            Scope::Everything => BACK_OFF_MIN_OF_ALL,
        };
        let doubled = first.saturating_mul(1 << (self.failures - 1).min(16));
        // Up to a tenth less, so that who failed together does not come back together.
        let own = doubled.min(BACK_OFF_MAX);
        let own = own - share(own / 10, random);
        let asked = failure.retry_after.unwrap_or_default().min(ASKED_MAX);
        self.is_asked = asked > own;
        self.next = now + own.max(asked);
        self.last_error = Some((now, failure.message.clone()));
    }

    /// As they were kept, at a start.
    fn restored(mut self, now: Duration) -> Self {
        self.next = self.next.min(now + if self.is_asked { ASKED_MAX } else { RESTARTED_MAX });
        self
    }
}

/// A certificate that is there.
#[derive(Clone, Copy, Debug)]
struct Held {
    validity: Validity,
    renew_at: Duration,
    /// What the directory suggested.
    window: Option<(Duration, Duration)>,
    /// When to ask what it suggests.
    ask_at: Duration,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    held: Option<Held>,
    tries: Tries,
}

impl Entry {
    /// When the certificate is to be ordered, as far as it concerns this one.
    fn due(&self) -> Duration {
        self.held.map_or(Duration::ZERO, |held| held.renew_at).max(self.tries.next)
    }
}

/// What is planned for a certificate, to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its validity, where there is one.
    pub validity: Option<Validity>,
    /// When it is ordered next, since 1970. May lie in the past: then it is its turn soon.
    pub next_order: Duration,
    /// Failures since the last success.
    pub failures: u32,
    /// When the last order failed, since 1970, and why.
    pub last_error: Option<(Duration, String)>,
}

/// The plan for a number of certificates, known by their place.
#[derive(Clone, Debug)]
pub struct Schedule {
    entries: Vec<Entry>,
    /// What concerns all of them.
    everything: Tries,
    /// Somebody else is at it until then.
    pause: Duration,
    random: Random,
}

impl Schedule {
    /// A plan for so many certificates, none of them there yet.
    pub fn new(certificates: usize, random: Random) -> Self {
        Self {
            entries: vec![Entry::default(); certificates],
            everything: Tries::default(),
            pause: Duration::ZERO,
            random,
        }
    }

    /// What to do now. Certificates that are missing come first, then those that end first.
    pub fn next(&self, now: Duration) -> Action {
        let open = self.everything.next.max(self.pause);
        let orders = self.entries.iter().enumerate().map(|(at, entry)| (at, entry.due().max(open)));
        let asks = self.entries.iter().enumerate();
        let asks = asks.filter_map(|(at, entry)| Some((at, entry.held?.ask_at.max(open))));
        let end = |at: &usize| self.entries[*at].held.map(|held| held.validity.until);
        let due = orders.clone().filter(|(_, time)| *time <= now).map(|(at, _)| at).min_by_key(end);
        if let Some(at) = due {
            return Action::Order(at);
        }
        if let Some((at, _)) = asks.clone().find(|(_, time)| *time <= now) {
            return Action::AskRenewal(at);
        }
        let times = orders.chain(asks).map(|(_, time)| time);
        times.min().map_or(Action::Nothing, Action::WaitUntil)
    }

    /// Whether a certificate with this validity would have to be renewed already.
    pub fn is_worn(validity: Validity, now: Duration) -> bool {
        validity.two_thirds() <= now
    }

    /// A certificate is there: found on disk, or just obtained.
    pub fn obtained(&mut self, at: usize, validity: Validity, now: Duration) {
        // Some time later than two thirds, so that what was obtained together is not renewed together.
        let renew_at = validity.two_thirds() + share(validity.life() / 50, &mut self.random);
        self.entries[at].held = Some(Held { validity, renew_at, window: None, ask_at: now });
        self.entries[at].tries = Tries::default();
        self.everything = Tries::default();
    }

    /// A certificate is there, but is to be replaced at once: it lacks a name.
    pub fn insufficient(&mut self, at: usize, validity: Validity) {
        let never = Duration::MAX;
        let held = Held { validity, renew_at: Duration::ZERO, window: None, ask_at: never };
        self.entries[at].held = Some(held);
    }

    /// What was kept of earlier failures of a certificate. To be told behind [`Schedule::obtained`].
    pub fn restore(&mut self, at: usize, tries: Tries, now: Duration) {
        self.entries[at].tries = tries.restored(now);
    }

    /// What was kept of earlier failures that concern all.
    pub fn restore_everything(&mut self, tries: Tries, now: Duration) {
        self.everything = tries.restored(now);
    }

    /// What was to be done for a certificate failed.
    pub fn failed(&mut self, at: usize, now: Duration, failure: &Failure) {
        let entry = &mut self.entries[at].tries;
        match failure.scope {
            Scope::Certificate => {
                entry.fail(now, failure, &mut self.random);
                // The directory works, else this would have failed otherwise.
                self.everything = Tries::default();
            }
            Scope::Everything => {
                self.everything.fail(now, failure, &mut self.random);
                entry.last_error = Some((now, failure.message.clone()));
            }
        }
    }

    /// What to keep while an order runs: its failures as they are if it never ends.
    pub fn if_interrupted(&self, at: usize, now: Duration) -> Tries {
        let mut tries = self.entries[at].tries.clone();
        tries.fail(now, &Failure::of_certificate("it was interrupted"), &mut self.random.clone());
        tries
    }

    /// The directory suggests to renew in this window (times since 1970), and wants to be asked again in
    /// `again`. RFC 9773 section 4.2. True when that changed the plan.
    pub fn suggested(
        &mut self,
        at: usize,
        now: Duration,
        window: (Duration, Duration),
        again: Duration,
    ) -> bool {
        let random = &mut self.random;
        let Some(held) = &mut self.entries[at].held else { return false };
        held.ask_at = now + again.clamp(ASK_MIN, DAY);
        if window.1 <= window.0 || held.window == Some(window) {
            return false;
        }
        held.window = Some(window);
        let wanted = window.0 + share(window.1 - window.0, random);
        // Whatever is suggested, there has to be time for a few failures.
        let latest = held.validity.until.saturating_sub(held.validity.life() / 20);
        held.renew_at = wanted.min(latest);
        true
    }

    /// The directory suggests nothing.
    pub fn not_suggested(&mut self, at: usize, now: Duration) {
        if let Some(held) = &mut self.entries[at].held {
            held.ask_at = now + ASK_AGAIN;
        }
    }

    /// Another process is at it: nothing before this time.
    pub fn pause_until(&mut self, until: Duration) {
        self.pause = until;
    }

    /// The failures of a certificate, to be kept.
    pub fn tries(&self, at: usize) -> &Tries {
        &self.entries[at].tries
    }

    /// The failures that concern all, to be kept.
    pub fn everything(&self) -> &Tries {
        &self.everything
    }

    /// What is planned for a certificate.
    pub fn planned(&self, at: usize) -> Planned {
        let entry = &self.entries[at];
        Planned {
            validity: entry.held.map(|held| held.validity),
            next_order: entry.due().max(self.everything.next).max(self.pause),
            failures: entry.tries.failures.max(self.everything.failures),
            last_error: entry.tries.last_error.clone(),
        }
    }
}

/// A random part of a time.
fn share(whole: Duration, random: &mut Random) -> Duration {
    let part = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    whole.mul_f64(part)
}
