//! What is counted of datagrams and the flows that they belong to.

use tollgate_decision::Reason;

use crate::shard::Counter;

/// Why a datagram was not carried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// There was no flow for it, and one that would have been begun ended at once for this reason.
    Refused(Reason),
    /// It was larger than the buffer, or than what the way to its receiver takes.
    TooLarge,
    /// The kernel had no room to send it.
    NoRoom,
    /// The kernel refused to send it, for another reason.
    NotSent,
    /// The listener closes and begins no flow any more.
    Closing,
}

/// The reasons that a flow can be refused for.
const REFUSALS: [Reason; 5] = [
    Reason::FlowTableFull,
    Reason::ClientFlowsFull,
    Reason::NoEndpoint,
    Reason::ConnectFailed,
    Reason::UpstreamFull,
];

impl Dropped {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Refused(REFUSALS[0]),
        Self::Refused(REFUSALS[1]),
        Self::Refused(REFUSALS[2]),
        Self::Refused(REFUSALS[3]),
        Self::Refused(REFUSALS[4]),
        Self::TooLarge,
        Self::NoRoom,
        Self::NotSent,
        Self::Closing,
    ];

    /// The word for labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Refused(reason) => reason.code(),
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::NotSent => "not_sent",
            Self::Closing => "closing",
        }
    }

    fn index(self) -> usize {
        match self {
            // Another reason would be one more way to find no endpoint.
            Self::Refused(reason) => REFUSALS.iter().position(|known| *known == reason).unwrap_or(2),
            Self::TooLarge => 5,
            Self::NoRoom => 6,
            Self::NotSent => 7,
            Self::Closing => 8,
        }
    }
}

/// Datagrams in one direction.
#[derive(Debug, Default)]
pub struct DatagramSeries {
    /// How many were carried on.
    pub count: Counter,
    /// Their bytes, headers aside.
    pub bytes: Counter,
}

impl DatagramSeries {
    /// Counts so many datagrams with so many bytes.
    #[inline]
    pub fn add(&self, count: u64, bytes: u64) {
        self.count.add(count);
        self.bytes.add(bytes);
    }
}

/// What is counted of the flows of a listener, or of those to an upstream.
#[derive(Debug, Default)]
pub struct FlowSeries {
    /// Flows begun.
    pub begun: Counter,
    /// Flows ended.
    pub ended: Counter,
    /// From clients to endpoints.
    pub to_upstream: DatagramSeries,
    /// From endpoints to clients.
    pub to_client: DatagramSeries,
    dropped: [Counter; Dropped::ALL.len()],
}

impl FlowSeries {
    /// Counts datagrams that were not carried on.
    pub fn dropped(&self, why: Dropped, count: u64) {
        self.dropped[why.index()].add(count);
    }

    /// How many were not carried on for this reason.
    pub fn dropped_for(&self, why: Dropped) -> u64 {
        self.dropped[why.index()].get()
    }

    /// How many flows are open.
    pub fn open(&self) -> u64 {
        // The end is read first: what ends in between must not seem to have ended before it began.
        let ended = self.ended.get();
        self.begun.get().saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dropped, FlowSeries};

    #[test]
    fn each_way_to_drop_has_a_counter_and_a_word() {
        let series = FlowSeries::default();
        for (count, why) in (1..).zip(Dropped::ALL) {
            series.dropped(why, count);
        }
        for (count, why) in (1..).zip(Dropped::ALL) {
            assert_eq!(series.dropped_for(why), count, "{why:?}");
            assert_eq!(Dropped::ALL.iter().filter(|other| other.label() == why.label()).count(), 1);
        }
    }
}
