//! What is counted of TLS handshakes.

use tollgate_decision::Reason;

use crate::shard::Counter;

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaken {
    /// There is a connection.
    Agreed {
        /// TLS 1.3; else it is TLS 1.2.
        is_tls13: bool,
        /// An earlier session was resumed.
        resumed: bool,
    },
    /// There is none, for this reason.
    Failed(Reason),
}

/// The reasons that a handshake can fail for.
const FAILURES: [Reason; 7] = [
    Reason::TlsHandshakeFailed,
    Reason::TlsHandshakeTimeout,
    Reason::NotTls,
    Reason::NoCertificate,
    Reason::AlpnMismatch,
    Reason::ClientCertificateMissing,
    Reason::ClientCertificateRefused,
];

impl Shaken {
    /// All, in the order in which they are told.
    pub fn all() -> impl Iterator<Item = Self> {
        let agreed = [(true, false), (true, true), (false, false), (false, true)];
        let agreed = agreed.into_iter().map(|(is_tls13, resumed)| Self::Agreed { is_tls13, resumed });
        agreed.chain(FAILURES.into_iter().map(Self::Failed))
    }

    /// The values of the labels `result`, `version` and `resumed`; a failure has only the first.
    pub fn labels(self) -> [&'static str; 3] {
        match self {
            Self::Agreed { is_tls13, resumed } => {
                ["ok", if is_tls13 { "1.3" } else { "1.2" }, if resumed { "true" } else { "false" }]
            }
            Self::Failed(reason) => [reason.code(), "", ""],
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Agreed { is_tls13, resumed } => usize::from(!is_tls13) * 2 + usize::from(resumed),
            // Another reason would be one more way to fail.
            Self::Failed(reason) => {
                4 + FAILURES.iter().position(|known| *known == reason).unwrap_or_default()
            }
        }
    }
}

/// What is counted of a listener's TLS handshakes.
#[derive(Debug, Default)]
pub struct HandshakeSeries {
    ended: [Counter; 4 + FAILURES.len()],
}

impl HandshakeSeries {
    /// Counts one that has ended.
    pub fn count(&self, shaken: Shaken) {
        self.ended[shaken.index()].add(1);
    }

    /// How many ended like this.
    pub fn ended(&self, shaken: Shaken) -> u64 {
        self.ended[shaken.index()].get()
    }
}

#[cfg(test)]
mod tests {
    use super::{HandshakeSeries, Shaken};

    #[test]
    fn each_way_to_end_has_a_counter_and_labels_of_its_own() {
        let series = HandshakeSeries::default();
        for (count, shaken) in (1..).zip(Shaken::all()) {
            (0..count).for_each(|_| series.count(shaken));
        }
        for (count, shaken) in (1..).zip(Shaken::all()) {
            assert_eq!(series.ended(shaken), count, "{shaken:?}");
            assert_eq!(Shaken::all().filter(|other| other.labels() == shaken.labels()).count(), 1);
        }
        assert_eq!(Shaken::all().count(), series.ended.len());
    }
}
