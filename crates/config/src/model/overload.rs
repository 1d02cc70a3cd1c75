//! Overload: how many requests an upstream takes at once, who waits, and when it is spared.

use super::LimitKey;
use crate::section::{section, words};
use crate::setting::{Toggle, Whole};
use crate::source::Located;
use crate::units::{Duration, Percent};

section! {
    /// What becomes of requests beyond what an upstream can serve.
    pub struct Overload {
        /// How many requests at once; any number if left out.
        concurrency: Option<Located<Box<Concurrency>>> = optional;
        /// Where requests wait beyond that number. Left out, they are refused at once.
        queue: Option<Located<Box<WaitingQueue>>> = optional;
        /// Spares the upstream while it fails too often. Never if left out.
        circuit_breaker: Option<Located<Box<CircuitBreaker>>> = optional;
    }
}

section! {
    /// How many requests at once. A number alone is the one of the whole upstream.
    pub struct Concurrency short "upstream" {
        /// Requests at once at all endpoints together; any number if left out.
        upstream: Option<Whole<1, 10_000_000>> = optional;
        /// Requests at once at each endpoint that has no `max_requests`; any number if left out.
        endpoint: Option<Whole<1, 10_000_000>> = optional;
        /// Finds the number of the upstream from the latency of its responses: `true`, or the long form. Where
        /// `upstream` is set too, that is the highest.
        adaptive: Option<Located<Toggle<AdaptiveConcurrency>>> = optional;
    }
}

section! {
    /// Finding out how many requests at once an upstream can take: fewer as soon as they take longer than they would alone.
    pub struct AdaptiveConcurrency {
        /// The lowest number, which is also the one while the least latency is measured.
        min: Whole<1, 100_000> = default(Whole::of::<3>());
        /// The highest number.
        max: Whole<1, 1_000_000> = default(Whole::of::<1000>());
        /// From one measurement of the least latency to the next, up to a tenth more at random.
        measure_every: Duration<1000> = default(Duration::seconds(60));
        /// By how much latency may be above the least.
        tolerance: Percent = default(Percent::whole(25));
    }
}

section! {
    /// Where requests wait that find all places at the upstream taken.
    pub struct WaitingQueue {
        /// How many may wait at once.
        length: Whole<1, 1_000_000> = default(Whole::of::<1000>());
        /// How long one may wait.
        timeout: Duration<1> = default(Duration::seconds(5));
        /// Whose requests take turns with whose, so that nobody pays for another's flood; all are served in the order in which
        /// they came where it is `route`.
        by: Located<LimitKey> = default(Located::nowhere(LimitKey::Of(super::KeyWord::Consumer)));
        /// When requests of a key have waited longer than this for a whole `interval`, some of them are refused until that ends
        /// (CoDel, RFC 8289). None are if left out.
        target: Option<Located<Duration<1>>> = optional;
        /// For how long waits must be above `target` before the first is refused.
        interval: Duration<1> = default(Duration::millis(100));
    }
}

section! {
    /// Sparing an upstream that fails too often.
    pub struct CircuitBreaker {
        /// The share of failures (no connection, no response, 5xx of a gateway) that opens the circuit.
        error_rate: Percent = default(Percent::whole(50));
        /// Slow responses that open it too.
        slow: Option<Located<SlowResponses>> = optional;
        /// Requests in the window below which it never opens.
        min_requests: Whole<1, 1_000_000> = default(Whole::of::<20>());
        /// How far back is looked.
        window: Duration<100> = default(Duration::seconds(10));
        /// How long it stays open the first time; twice as long each time that the trials fail.
        open_for: Duration<1> = default(Duration::seconds(30));
        /// How long at most.
        max_open_for: Duration<1> = default(Duration::seconds(300));
        /// Requests that try the upstream afterwards: so many at once at most, and so many must go well until it closes.
        trials: Whole<1, 10_000> = default(Whole::of::<5>());
        /// Whether it only tells what it would have done.
        shadow: bool = default(false);
    }
}

section! {
    /// When slow responses open a circuit.
    pub struct SlowResponses {
        /// A response is slow that takes longer, from the beginning of the attempt to its first byte.
        over: Duration<1> = required;
        /// The share of slow ones that opens the circuit.
        rate: Percent = default(Percent::whole(50));
    }
}

words! {
    /// How urgent requests are, where they wait for an upstream.
    pub enum Priority {
        /// Before all others.
        Critical = "critical";
        /// Before normal ones.
        High = "high";
        /// As most are.
        Normal = "normal";
        /// After all others; still at least one in twenty places that become free is theirs.
        Low = "low";
    }
}
