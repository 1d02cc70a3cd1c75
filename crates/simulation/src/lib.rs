//! What an upstream does under a traffic and with endpoints that are made up: the balancer, the queue, the circuit breaker, outlier
//! detection, the retry budget and the back-off are those that serve, and only time, endpoints and clients are modelled.
//!
//! [`run`] takes an [`Upstream`](tollgate_upstream::Upstream) as a document makes it, the [`Rules`] of a route, and a [`Scenario`];
//! it gives a [`Report`]. Time is a heap of events, there are no threads, and all that is random comes from one seed: the same
//! arguments give the same report.
//!
//! A request walks what an exchange walks: breaker, admission, pick, attempt, time limits, report, retry. What is not modelled:
//! bodies (a response is whole with its first byte), clients that go away, and what a route does besides trying again
//! (holding, hedging, going elsewhere).

mod arrivals;
mod chance;
mod clock;
mod engine;
mod events;
mod origin;
mod page;
mod probing;
mod report;
mod request;
mod scenario;
mod table;
mod tallies;

#[cfg(test)]
mod tests;

pub use engine::{Given, run};
pub use report::{Report, Row};
pub use scenario::{
    Caller, Change, ChangeTo, Down, EndpointModel, Latency, RateStep, Rules, Scenario, TimeLimits,
};
