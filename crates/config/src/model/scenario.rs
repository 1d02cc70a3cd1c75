//! Scenarios of simulations: files of their own, which no document refers to.

use super::Priority;
use crate::section::{section, words};
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::table::Table;
use crate::units::{Duration, Factor, Label, Name, Percent, Rate, ShortTime};

section! {
    /// Traffic and endpoints for `tollgate simulate`.
    pub struct Scenario {
        /// The upstream that is simulated; the only one if left out.
        upstream: Option<Located<Name>> = optional;
        /// For how long requests come.
        duration: Duration<1000> = default(Duration::seconds(60));
        /// Requests a second of all callers that have no rate of their own: a rate, or steps in the order of time.
        rate: Option<Many<RateStep>> = optional;
        /// Whether requests come at random (Poisson) or evenly.
        arrivals: ArrivalsWord = default(ArrivalsWord::Random);
        /// Worker threads over which requests are spread.
        workers: Whole<1, 256> = default(Whole::of::<2>());
        /// The share of requests that may be sent twice, as GET and PUT.
        idempotent: Percent = default(Percent::whole(100));
        /// Who sends requests; one caller if left out.
        callers: Table<Label, ScenarioCaller> = default(Table::none());
        /// How endpoints serve, by the name that the document gives them; `default` is for all others.
        endpoints: Table<Label, EndpointModel> = default(Table::none());
        /// What happens.
        events: Vec<ScenarioEvent> = default(Vec::new());
    }
}

words! {
    /// How requests come.
    pub enum ArrivalsWord {
        /// At random, each independently of all others.
        Random = "random" | "poisson";
        /// Evenly spaced.
        Even = "even" | "uniform";
    }
}

section! {
    /// A rate from some time on.
    pub struct RateStep short "rate" {
        /// The rate.
        rate: Rate = required;
        /// From when on.
        at: Located<Duration> = default(Located::nowhere(Duration::seconds(0)));
        /// How long it takes to get there from the rate before, in a straight line.
        over: Duration = default(Duration::seconds(0));
    }
}

section! {
    /// A group of callers that are alike.
    pub struct ScenarioCaller {
        /// What each of them sends. Without, the group has its share of the scenario's `rate`.
        rate: Option<Located<Many<RateStep>>> = optional;
        /// How large that is, relative to the other groups' without a rate.
        share: Whole<1, 1_000_000> = default(Whole::of::<1>());
        /// How many they are. Each has a key of its own, for the turns of the queue and for balancers by key.
        count: Whole<1, 1_000_000> = default(Whole::of::<1>());
        /// How urgent their requests are; as the route says if left out.
        priority: Option<Priority> = optional;
        /// The share of their requests that may be sent twice; the scenario's if left out.
        idempotent: Option<Percent> = optional;
    }
}

section! {
    /// How an endpoint serves. What is left out is as `default` has it.
    pub struct EndpointModel {
        /// How long it works on a request.
        latency: Option<Located<LatencyModel>> = optional;
        /// On how many at once. Those beyond wait at the endpoint.
        capacity: Option<Whole<1, 10_000_000>> = optional;
        /// How many may wait there; those beyond are answered with 503 at once.
        backlog: Option<Whole<0, 10_000_000>> = optional;
        /// The share of requests that it answers with `status`.
        failures: Option<Percent> = optional;
        /// What it answers then.
        status: Option<Whole<400, 599>> = optional;
        /// How long it works on those; as long as on others if left out.
        failure_latency: Option<Located<LatencyModel>> = optional;
        /// How long it takes to connect.
        connect: Option<ShortTime> = optional;
        /// The share of connections that it refuses.
        connect_failures: Option<Percent> = optional;
    }
}

section! {
    /// A distribution of times. A time alone is always the same.
    pub struct LatencyModel short "constant" {
        /// Always the same.
        constant: Option<ShortTime> = optional;
        /// The mean of an exponential distribution.
        mean: Option<ShortTime> = optional;
        /// The median of a log-normal distribution, beside `p99`.
        p50: Option<ShortTime> = optional;
        /// What 99 of a hundred do not exceed.
        p99: Option<ShortTime> = optional;
    }
}

section! {
    /// Something that happens to endpoints.
    pub struct ScenarioEvent {
        /// When.
        at: Located<Duration> = required;
        /// To whom; to all endpoints if left out.
        endpoint: Option<Located<Many<Label>>> = optional;
        /// So many times as slow as at the beginning; 1 ends it.
        slow: Option<Located<Factor>> = optional;
        /// Another capacity.
        capacity: Option<Whole<1, 10_000_000>> = optional;
        /// Another share of failures.
        failures: Option<Percent> = optional;
        /// Another share of refused connections.
        connect_failures: Option<Percent> = optional;
        /// It goes down.
        down: Option<DownWord> = optional;
        /// `true`: it comes back.
        up: Option<Located<bool>> = optional;
    }
}

words! {
    /// How an endpoint is down.
    pub enum DownWord {
        /// Connections end, and new ones are refused: its process has gone.
        Refusing = "refusing" | "refused";
        /// Nothing comes back: its machine or the way to it has gone.
        Silent = "silent";
    }
}
