//! What became of an exchange that asked to be admitted and was not, and of one that waited.

use std::fmt;

use tollgate_decision::Reason;

/// Why an exchange was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// There is no place, and the upstream has no queue.
    NoQueue,
    /// The queue is full, and of those that wait none is of a less urgent class or of a key that waits more often.
    QueueFull,
    /// It would wait longer than it may, as quickly as places become free now.
    WaitTooLong,
    /// It waited in a full queue, its key the most often there, and gave its place there to a newcomer.
    PushedOut,
    /// Exchanges of its key have been waiting for too long for a while, and it is one of those refused until
    /// that ends (CoDel).
    Shed,
    /// It waited as long as it may.
    TimedOut,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NoQueue, Self::QueueFull, Self::WaitTooLong, Self::PushedOut, Self::Shed, Self::TimedOut];

    /// The word of the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoQueue => "no_queue",
            Self::QueueFull => "queue_full",
            Self::WaitTooLong => "wait_too_long",
            Self::PushedOut => "pushed_out",
            Self::Shed => "shed",
            Self::TimedOut => "timed_out",
        }
    }

    /// What the reason alone does not say.
    pub fn detail(self) -> Option<&'static str> {
        match self {
            Self::NoQueue | Self::QueueFull | Self::Shed => None,
            Self::WaitTooLong => Some(
                "the request would wait for the upstream longer than it may, as quickly as places become free now",
            ),
            Self::PushedOut => Some(
                "the request gave its place in the full queue to one of a key that waits less often, or to one that is more urgent",
            ),
            Self::TimedOut => Some("the request waited for the upstream as long as it may"),
        }
    }

    /// The reason for the answer that Tollgate makes.
    pub fn reason(self) -> Reason {
        match self {
            Self::NoQueue => Reason::UpstreamFull,
            Self::QueueFull | Self::PushedOut => Reason::QueueFull,
            Self::WaitTooLong | Self::TimedOut => Reason::QueueTimeout,
            Self::Shed => Reason::QueueShed,
        }
    }
}

/// How an exchange met the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// How many were to be served before it when it came, by the order of the queue then.
    pub position: u32,
    /// How many waited when it came.
    pub length: u32,
    /// How long it waited, in microseconds.
    pub waited_us: u64,
    /// How long it was expected to wait when it came, in microseconds; `None` where that was not known yet.
    pub estimated_us: Option<u64>,
}

/// An exchange was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// When it may come again, in seconds, 1 to 60: how long it would wait if it came now.
    pub retry_after_s: u32,
    /// How it met the queue.
    pub waited: Waited,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waited { position, length, waited_us, estimated_us } = self.waited;
        match self.why {
            Why::NoQueue => return f.write_str("all places are taken, and there is no queue"),
            Why::QueueFull => write!(f, "{length} wait, which is all that may")?,
            Why::WaitTooLong => {
                let seconds = estimated_us.unwrap_or(0) as f64 / 1e6;
                write!(f, "{position} of {length} would go before it, which takes about {seconds:.1}s")?;
            }
            Why::PushedOut => {
                f.write_str("it gave its place in the full queue to one of a key that waits less often")?
            }
            Why::Shed => f.write_str("exchanges of its key have been waiting for too long for a while")?,
            Why::TimedOut => f.write_str("it waited as long as it may")?,
        }
        if waited_us > 0 {
            write!(f, "; it waited {} ms, {position} of {length} before it when it came", waited_us / 1000)?;
        }
        Ok(())
    }
}
