//! Why endpoints are not used, and why nobody is there.

use std::fmt;

use tollgate_decision::Reason;

/// Why an endpoint is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// The upstream has it no more. Not used in a panic either.
    Removed,
    /// It has other labels than the route asks for.
    OtherLabels,
    /// The operator has drained it. Not used in a panic either.
    Drained,
    /// Its weight is 0.
    WeightZero,
    /// Its probes fail.
    ProbeDown,
    /// Outlier detection took it out.
    Ejected {
        /// When it may be used again, in milliseconds since the process started.
        until_ms: u64,
    },
    /// It is a backup, and the tiers before its own suffice.
    Standby,
    /// It is in another zone, and the endpoints of Tollgate's own suffice.
    OtherZone,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed from the upstream"),
            Self::OtherLabels => f.write_str("it has other labels than the route asks for"),
            Self::Drained => f.write_str("drained by the operator"),
            Self::WeightZero => f.write_str("its weight is 0"),
            Self::ProbeDown => f.write_str("its probes fail"),
            Self::Ejected { until_ms } => {
                write!(f, "ejected until {:.1}s after start", *until_ms as f64 / 1000.0)
            }
            Self::Standby => f.write_str("a backup, and the tier before it suffices"),
            Self::OtherZone => f.write_str("in another zone, and the own zone suffices"),
        }
    }
}

impl Exclusion {
    /// Whether it is meant: the endpoint is out whatever its health, and whatever that of the others.
    pub fn is_meant(self) -> bool {
        matches!(self, Self::Removed | Self::OtherLabels | Self::Drained | Self::WeightZero)
    }

    /// Whether the endpoint could be used, and others are preferred.
    pub fn is_spare(self) -> bool {
        matches!(self, Self::Standby | Self::OtherZone)
    }
}

/// Why no endpoint can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// The upstream has no endpoints, or none any more.
    NoEndpoints,
    /// None of its endpoints has the labels that the route asks for.
    NoLabels,
    /// All endpoints have weight 0.
    NoWeight,
    /// All endpoints with weight are drained by the operator.
    Drained,
    /// All other endpoints are down or ejected, and the panic threshold is 0.
    NoneUsable,
    /// All endpoints that may be used have as many exchanges as they may.
    Full,
}

impl Vacancy {
    /// Why none of the endpoints with these exclusions can be picked.
    pub(super) fn of(exclusions: impl Iterator<Item = Option<Exclusion>> + Clone) -> Self {
        let mut present = exclusions.filter(|e| *e != Some(Exclusion::Removed)).peekable();
        let mut asked_for = present.clone().filter(|e| *e != Some(Exclusion::OtherLabels)).peekable();
        if asked_for.peek().is_none() {
            return if present.peek().is_none() { Self::NoEndpoints } else { Self::NoLabels };
        }
        let (mut weightless, mut meant) = (true, true);
        for exclusion in asked_for {
            weightless &= exclusion == Some(Exclusion::WeightZero);
            meant &= exclusion.is_some_and(Exclusion::is_meant);
        }
        match (weightless, meant) {
            (true, _) => Self::NoWeight,
            (false, true) => Self::Drained,
            (false, false) => Self::NoneUsable,
        }
    }

    /// The reason for the answer that Tollgate makes.
    pub fn reason(self) -> Reason {
        match self {
            Self::Full => Reason::UpstreamFull,
            _ => Reason::NoEndpoint,
        }
    }

    /// What the reason and the state of each endpoint do not say.
    pub fn detail(self) -> Option<&'static str> {
        (self == Self::NoLabels).then_some("no endpoint has these labels")
    }
}

impl fmt::Display for Vacancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEndpoints => "the upstream has no endpoints",
            Self::NoLabels => "no endpoint has these labels",
            Self::NoWeight => "all endpoints have weight 0",
            Self::Drained => "all endpoints with weight are drained by the operator",
            Self::NoneUsable => "all endpoints are down or ejected",
            Self::Full => "all endpoints that may be used have as many exchanges as they may",
        })
    }
}
