//! What the document says about overload, and what an exchange brings along when it asks to be admitted.

use super::adaptive::AdaptiveSettings;

/// How many exchanges an upstream takes at once, and what becomes of those beyond. The default is no cap at all, which costs
/// nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionSettings {
    /// Exchanges at once at the whole upstream, over all workers; `None` for any number.
    pub upstream: Option<u32>,
    /// Exchanges at once at each endpoint that has no number of its own ([`Endpoint::capped`](crate::Endpoint::capped));
    /// `None` for any number.
    pub endpoint: Option<u32>,
    /// Finds the upstream's cap from the latency of its responses. Where `upstream` is set too, the lower of both holds.
    pub adaptive: Option<AdaptiveSettings>,
    /// Where exchanges beyond the caps wait; `None` refuses them at once.
    pub queue: Option<QueueSettings>,
}

impl AdmissionSettings {
    /// Whether the upstream as a whole has a cap.
    pub fn caps_upstream(&self) -> bool {
        self.upstream.is_some() || self.adaptive.is_some()
    }
}

/// Where exchanges wait for a place at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many may wait at once. This bounds the memory of the queue: about 200 bytes each.
    pub length: u32,
    /// How long one may wait, in milliseconds.
    pub timeout_ms: u64,
    /// When exchanges of a key have waited longer than this for a whole `interval_ms`, some of them are refused
    /// (CoDel), in milliseconds; `None` refuses none for that.
    pub target_ms: Option<u64>,
    /// For how long waits must be above the target before the first is refused, in milliseconds.
    pub interval_ms: u64,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { length: 1000, timeout_ms: 5000, target_ms: None, interval_ms: 100 }
    }
}

/// How urgent an exchange is. A class goes before all below it, but each class that waits gets a share however many wait
/// above it: of the freed places at least one in ten for `High`, one in fifteen for `Normal`, one in twenty for `Low`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Before all others.
    Critical,
    /// Before normal ones.
    High,
    /// What has no class.
    #[default]
    Normal,
    /// What can wait.
    Low,
}

impl Class {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The word of the document, the log and the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Of how many places that become free the class gets one at least, while one of it waits.
    pub fn floor(self) -> u32 {
        match self {
            Self::Critical => 1,
            Self::High => 10,
            Self::Normal => 15,
            Self::Low => 20,
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// What an exchange brings along when it asks to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// How urgent it is.
    pub class: Class,
    /// Whose it is: exchanges of different keys take turns. 0 for those that have no key, which are one key together.
    pub key: u64,
    /// When its answer is of no use any more, in milliseconds since the process started; `u64::MAX` for never.
    pub deadline_ms: u64,
}

impl Default for Ticket {
    fn default() -> Self {
        Self { class: Class::Normal, key: 0, deadline_ms: u64::MAX }
    }
}
