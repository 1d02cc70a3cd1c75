//! How many exchanges an upstream takes at once, and the order in which those beyond wait.
//!
//! An exchange walks these steps; without caps ([`Upstream::admission`](crate::Upstream::admission) is `None`) none of them:
//!
//! 1. [`Upstream::enter`](crate::Upstream::enter): a [`Permit`] at once, or a place in the queue ([`Waiting`], a future), or a
//!    [`Refused`];
//! 2. [`Upstream::pick`](crate::Upstream::pick), which passes over full endpoints, and
//!    [`Upstream::try_begin`](crate::Upstream::try_begin), which takes a place at the endpoint. Where somebody else was quicker, pick
//!    again, a few times;
//! 3. [`Upstream::seated`](crate::Upstream::seated): the exchange has its place. Where all endpoints are full instead
//!    ([`Vacancy::Full`](crate::Vacancy::Full)): [`Upstream::wait_again`](crate::Upstream::wait_again), which is a step back to 1 but
//!    ahead of all who come later;
//! 4. dropping the [`InFlight`](crate::InFlight) and the [`Permit`] gives the places back, and whoever is next is
//!    woken: for a place at the upstream with that place already its own; for one at an endpoint to pick, while nobody who comes later can pick
//!    before it.
//!
//! A permit is for the exchange with all its attempts; what was taken at an endpoint is for one attempt.
//!
//! While nobody waits, all of this is one atomic operation at each end for the upstream's cap and one for the endpoint's. The lock
//! is touched only by those who wait, and by those who give a place back while somebody waits. The `queue` decides who is next, and knows
//! neither threads nor clocks.

pub mod adaptive;
mod desk;
mod permit;
pub(crate) mod queue;
mod refused;
pub(crate) mod room;
mod service_rate;
mod settings;
pub(crate) mod slots;
mod status;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use adaptive::{AdaptiveSettings, Gradient};
pub(crate) use desk::Desk;
pub use permit::Permit;
pub use refused::{Refused, Waited, Why};
pub use settings::{AdmissionSettings, Class, QueueSettings, Ticket};
pub use status::{AdmissionStatus, WAIT_BOUNDS_MS};
pub use waiting::Waiting;

/// What becomes of an exchange that asks to be admitted.
#[derive(Debug)]
pub enum Entry {
    /// It may go on.
    Admitted(Permit),
    /// It waits for its turn.
    Waiting(Waiting),
    /// It may not.
    Refused(Refused),
}

/// The caps of one upstream, and its queue. Outlives reloads: the upstream of the next document shares the places taken and those
/// who wait, and its settings hold for both from when it is in force.
#[derive(Debug)]
pub struct Admission {
    desk: Arc<Desk>,
    settings: AdmissionSettings,
    caps_endpoints: bool,
}

impl Admission {
    /// Nobody is admitted yet. `caps_endpoints` tells whether any endpoint has a cap.
    pub(crate) fn new(settings: AdmissionSettings, caps_endpoints: bool) -> Self {
        let desk = Arc::new(Desk::new(process_now_us));
        desk.apply(&settings, caps_endpoints);
        Self { desk, settings, caps_endpoints }
    }

    /// The same admission for the next document. Its settings are in force only after [`Admission::apply`].
    pub(crate) fn successor(&self, settings: AdmissionSettings, caps_endpoints: bool) -> Self {
        Self { desk: Arc::clone(&self.desk), settings, caps_endpoints }
    }

    /// Puts the settings in force, after those of a document before.
    pub(crate) fn apply(&self) {
        self.desk.apply(&self.settings, self.caps_endpoints);
    }

    /// Ends all caps: all who wait may go on. For when the next document has none.
    pub(crate) fn lift(&self) {
        self.desk.apply(&AdmissionSettings::default(), false);
    }

    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.desk, &other.desk)
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Whether any endpoint has a cap.
    pub(crate) fn caps_endpoints(&self) -> bool {
        self.caps_endpoints
    }

    /// Notes how long a response took, from which an adaptive cap is found. Skipped where another worker does the same at this
    /// moment: samples are enough.
    pub fn observe(&self, latency_us: u64, now_us: u64) {
        self.desk.observe(latency_us, now_us);
    }

    /// Takes the time from this function (microseconds) instead of from the process, for who runs this code in a time of its own.
    /// For before anybody was admitted; only the first call counts.
    pub fn use_clock(&self, now_us: fn() -> u64) {
        self.desk.use_clock(now_us);
        self.apply();
    }

    /// Figures for metrics and the admin API.
    pub fn status(&self) -> AdmissionStatus {
        self.desk.status()
    }
}

#[cfg(not(test))]
fn process_now_us() -> u64 {
    tollgate_runtime::Clock::new().now_us()
}

/// In tests time is what they say.
#[cfg(test)]
fn process_now_us() -> u64 {
    tests::NOW_US.get()
}
