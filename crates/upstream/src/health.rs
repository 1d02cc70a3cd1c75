//! Health: whether an endpoint may be used, what changes it, and the events that tell of it.

pub mod compare;
pub mod events;
mod failure;
pub(crate) mod outlier;
mod rows;
pub mod settings;
mod tally;

pub use compare::{Comparison, Counts};
pub use events::{Cause, EjectionCause, HealthEvent, HealthEvents, UpstreamEvent, Why};
pub use failure::Failure;
pub use settings::{FailurePercentage, OutlierSettings, Rule, SuccessRate};

/// Whether an endpoint may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    Usable,
    /// Outlier detection took it out for a while.
    Ejected {
        /// When it may be used again, in milliseconds since the process started.
        until_ms: u64,
    },
    /// Its probes fail, or the first that passes is waited for.
    Down,
}

impl Health {
    /// The word for logs and labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Ejected { .. } => "ejected",
            Self::Down => "down",
        }
    }
}

/// What the probes of an endpoint say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ProbeHealth {
    /// No verdict yet, or no probes: it counts as usable.
    #[default]
    Unknown = 0,
    /// They pass.
    Up = 1,
    /// They fail.
    Down = 2,
    /// No verdict yet, and it is not to be used before one: the first probe that passes brings it up.
    Awaited = 3,
}

impl ProbeHealth {
    /// Whether it keeps the endpoint out.
    pub fn is_out(self) -> bool {
        matches!(self, Self::Down | Self::Awaited)
    }

    pub(crate) fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Up,
            2 => Self::Down,
            3 => Self::Awaited,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProbeHealth;

    #[test]
    fn probe_health_survives_its_byte() {
        for health in [ProbeHealth::Unknown, ProbeHealth::Up, ProbeHealth::Down, ProbeHealth::Awaited] {
            assert_eq!(ProbeHealth::from_u8(health as u8), health);
        }
    }
}
