//! Health: whether an endpoint may be used, what changes it, and the events that tell of it.

pub mod events;
pub mod outlier;

pub use events::{Cause, HealthEvent, HealthEvents};
pub use outlier::OutlierSettings;

use std::fmt;

use tollgate_decision::Reason;

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
    /// Its probes fail.
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
}

impl ProbeHealth {
    pub(crate) fn from_u8(byte: u8) -> Self {
        match byte {
            1 => Self::Up,
            2 => Self::Down,
            _ => Self::Unknown,
        }
    }
}

/// A failed attempt that speaks against its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// No connection was made in time.
    ConnectTimeout,
    /// The connection ended before the response began.
    Reset,
    /// The response did not begin in time.
    FirstByteTimeout,
    /// The response is 502, 503 or 504: it says itself that it cannot serve.
    GatewayStatus(u16),
}

impl Failure {
    /// The failure that a response status stands for. Other 5xx are answers of a working endpoint.
    pub fn from_status(status: u16) -> Option<Self> {
        matches!(status, 502..=504).then_some(Self::GatewayStatus(status))
    }

    /// The failure that the end of an attempt stands for; `None` where the endpoint is not to blame for it.
    pub fn from_reason(reason: Reason) -> Option<Self> {
        match reason {
            Reason::ConnectFailed
            | Reason::UpstreamTlsFailed
            | Reason::UpstreamCertificateRefused
            | Reason::UpstreamAlpnMismatch => Some(Self::Connect),
            Reason::ConnectTimeout => Some(Self::ConnectTimeout),
            Reason::UpstreamClosed => Some(Self::Reset),
            Reason::FirstByteTimeout | Reason::TryTimeout => Some(Self::FirstByteTimeout),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("could not be connected to"),
            Self::ConnectTimeout => f.write_str("did not accept a connection in time"),
            Self::Reset => f.write_str("closed the connection before it answered"),
            Self::FirstByteTimeout => f.write_str("did not begin its answer in time"),
            Self::GatewayStatus(status) => write!(f, "answered {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, ProbeHealth};
    use tollgate_decision::Reason;

    #[test]
    fn only_gateway_statuses_are_failures() {
        let failures: Vec<u16> = (100..600).filter(|s| Failure::from_status(*s).is_some()).collect();
        assert_eq!(failures, [502, 503, 504]);
    }

    #[test]
    fn clients_faults_do_not_speak_against_an_endpoint() {
        use tollgate_decision::Side;
        for reason in Reason::ALL {
            assert!(Failure::from_reason(*reason).is_none() || reason.side() == Side::Upstream, "{reason:?}");
        }
    }

    #[test]
    fn probe_health_survives_its_byte() {
        for health in [ProbeHealth::Unknown, ProbeHealth::Up, ProbeHealth::Down] {
            assert_eq!(ProbeHealth::from_u8(health as u8), health);
        }
    }
}
