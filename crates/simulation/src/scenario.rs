//! What is modelled: traffic, endpoints, and what happens to them.

use tollgate_upstream::{BackOff, Class};

use crate::chance::Chance;

/// Traffic and endpoints over a time. All times are in microseconds from the beginning.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// For how long requests come. Those that are under way then may go on for a minute.
    pub duration_us: u64,
    /// Over how many workers requests are spread, each with its own view and turns; at least 1.
    pub workers: u32,
    /// Requests come evenly, and not at random (Poisson).
    pub even_arrivals: bool,
    /// Who sends them.
    pub callers: Vec<Caller>,
    /// The endpoints by their index in the upstream; those beyond are as the default is.
    pub endpoints: Vec<EndpointModel>,
    /// What happens to endpoints, in the order of time.
    pub changes: Vec<Change>,
    /// What all that is random is made from.
    pub seed: u64,
}

/// A group of callers that are alike.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its name in the report.
    pub name: String,
    /// How many they are, each with a key of its own.
    pub count: u32,
    /// How much all of them send together: steps in the order of time; nothing before the first.
    pub rate: Vec<RateStep>,
    /// How urgent their requests are.
    pub class: Class,
    /// The share of their requests that may be sent twice, from 0 to 1.
    pub repeatable: f64,
}

/// From when on how much is sent.
#[derive(Clone, Copy, Debug)]
pub struct RateStep {
    /// From when on.
    pub at_us: u64,
    /// Requests a second.
    pub per_second: f64,
    /// How long it takes to get there from the rate before, in a straight line.
    pub over_us: u64,
}

/// How an endpoint serves.
#[derive(Clone, Debug)]
pub struct EndpointModel {
    /// How long it works on a request.
    pub latency: Latency,
    /// On how many at once; `None` for any number. Those beyond wait at the endpoint, as they came.
    pub capacity: Option<u32>,
    /// How many may wait there; those beyond are answered with 503 at once.
    pub backlog: Option<u32>,
    /// The share of requests that it answers with `status`, from 0 to 1.
    pub failures: f64,
    /// What it answers then.
    pub status: u16,
    /// How long it works on those; `None` for as long as on others.
    pub failure_latency: Option<Latency>,
    /// How long it takes to connect.
    pub connect_us: u64,
    /// The share of connections that it refuses, from 0 to 1.
    pub connect_failures: f64,
}

impl Default for EndpointModel {
    fn default() -> Self {
        Self {
            latency: Latency::Constant { us: 5000 },
            capacity: None,
            backlog: None,
            failures: 0.0,
            status: 503,
            failure_latency: None,
            connect_us: 500,
            connect_failures: 0.0,
        }
    }
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always the same.
    Constant {
        /// In microseconds.
        us: u64,
    },
    /// Exponential: as if the work of a request could end at any moment.
    Exponential {
        /// The mean, in microseconds.
        mean_us: u64,
    },
    /// The logarithms are normal, which is what most services look like: a long tail to one side.
    LogNormal {
        /// The median, in microseconds.
        p50_us: u64,
        /// What 99 of 100 do not exceed, in microseconds; at least the median.
        p99_us: u64,
    },
}

/// How many deviations above the mean the 99th percentile of a normal distribution is.
const DEVIATIONS_P99: f64 = 2.326_347_874_040_841;

impl Latency {
    /// Draws one, in microseconds.
    pub(crate) fn draw(&self, chance: &mut Chance) -> f64 {
        match *self {
            Self::Constant { us } => us as f64,
            Self::Exponential { mean_us } => mean_us as f64 * chance.exponential(),
            Self::LogNormal { p50_us, p99_us } => {
                let spread = (p99_us as f64 / p50_us.max(1) as f64).max(1.0).ln() / DEVIATIONS_P99;
                p50_us as f64 * (spread * chance.normal()).exp()
            }
        }
    }
}

/// Something happens.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at_us: u64,
    /// To which endpoints, by index.
    pub endpoints: Vec<u32>,
    /// What.
    pub to: ChangeTo,
    /// The same in words, for the report.
    pub words: String,
}

/// What becomes of an endpoint. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChangeTo {
    /// So many times as slow as its model, from now on.
    pub slow: Option<f64>,
    /// Another capacity.
    pub capacity: Option<u32>,
    /// Another share of failures.
    pub failures: Option<f64>,
    /// Another share of refused connections.
    pub connect_failures: Option<f64>,
    /// It goes down, or comes back with `Some(None)`.
    pub down: Option<Option<Down>>,
}

/// How an endpoint is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// Its process has gone: connections end, new ones are refused.
    Refusing,
    /// Its machine has gone: nothing comes back, and nothing tells of it.
    Silent,
}

/// What a route says about its requests. Times in milliseconds, `u64::MAX` for no limit.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How many attempts may follow the first.
    pub attempts: u32,
    /// The wait before them.
    pub back_off: BackOff,
    /// Statuses that are tried again, first and last of each range.
    pub retried: Vec<(u16, u16)>,
    /// Time limits.
    pub limits: TimeLimits,
    /// The queue lets callers take turns.
    pub takes_turns: bool,
    /// The balancer gets a key, which is the caller.
    pub balances_by_key: bool,
}

/// Time limits of requests, in milliseconds, `u64::MAX` for none.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// To connect.
    pub connect_ms: u64,
    /// From the request to the response.
    pub first_byte_ms: u64,
    /// For an attempt.
    pub try_ms: u64,
    /// For a request with all its attempts.
    pub total_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            attempts: 1,
            back_off: BackOff::default(),
            retried: Vec::new(),
            limits: TimeLimits {
                connect_ms: 5000,
                first_byte_ms: 30_000,
                try_ms: u64::MAX,
                total_ms: u64::MAX,
            },
            takes_turns: true,
            balances_by_key: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;
    use crate::chance::Chance;

    #[test]
    fn latencies_have_the_quantiles_that_they_were_given() {
        let mut chance = Chance::new(5);
        let mut draw = |latency: Latency| {
            let mut drawn: Vec<f64> = (0..100_000).map(|_| latency.draw(&mut chance)).collect();
            drawn.sort_by(f64::total_cmp);
            [drawn[50_000], drawn[99_000], drawn.iter().sum::<f64>() / 1e5]
        };
        let [p50, p99, _] = draw(Latency::LogNormal { p50_us: 5_000, p99_us: 40_000 });
        assert!((4_900.0..5_100.0).contains(&p50) && (38_000.0..42_000.0).contains(&p99), "{p50} {p99}");
        let [p50, _, mean] = draw(Latency::Exponential { mean_us: 1_000 });
        assert!((680.0..710.0).contains(&p50) && (985.0..1_015.0).contains(&mean), "{p50} {mean}");
        assert_eq!(draw(Latency::Constant { us: 7 })[..2], [7.0, 7.0]);
    }
}
