//! What takes endpoints out and brings them back: probes, and failures of real traffic.

use super::GrpcProbe;
use crate::section::{choice, section, words};
use crate::setting::{Many, Toggle, Whole};
use crate::source::Located;
use crate::table::Table;
use crate::units::{
    Duration, Factor, HeaderName, HostPattern, MethodName, PathPattern, Percent, Regex, Secret, Size,
    StatusRange,
};

section! {
    /// Probes of endpoints.
    pub struct Health {
        /// What is probed.
        probe: Probe = choice;
        /// From one probe of an endpoint to its next.
        every: Duration<1> = default(Duration::seconds(5));
        /// The same from the first outcome that speaks against an endpoint's state until it has changed or not; as `every` if
        /// left out.
        fast: Option<Duration<1>> = optional;
        /// The same while an endpoint is down; as `every` if left out.
        slow: Option<Duration<1>> = optional;
        /// These times are so much longer or shorter at random, so that endpoints are not all probed at once.
        jitter: Percent = default(Percent::whole(10));
        /// How long a probe may take.
        timeout: Duration<1> = default(Duration::seconds(2));
        /// Successes in a row that bring an endpoint back.
        rise: Whole<1, 1000> = default(Whole::of::<2>());
        /// Failures in a row that take an endpoint out.
        fall: Whole<1, 1000> = default(Whole::of::<3>());
        /// The port that is probed; the endpoint's own if left out.
        port: Option<Whole<1, 65_535>> = optional;
        /// What a new endpoint is before its first probe.
        start: Start = default(Start::Up);
    }
}

words! {
    /// What a new endpoint is before its first probe.
    pub enum Start {
        /// It is used until `fall` probes in a row have failed.
        Up = "up";
        /// It is not used before a probe has passed.
        Down = "down";
    }
}

choice! {
    /// What is probed.
    pub enum Probe {
        /// An HTTP request; a path is enough where the defaults fit: `path: /healthz`.
        Http("http" | "path"): HttpProbe;
        /// A call of the gRPC health protocol: `grpc: {}`.
        Grpc("grpc"): GrpcProbe;
        /// A TCP connection, closed as soon as it is open.
        Tcp("tcp"): TcpProbe;
    }
}

section! {
    /// A probe by an HTTP request. Redirects are not followed.
    pub struct HttpProbe short "path" {
        /// The path to ask for.
        path: PathPattern = required;
        /// The `Host` of the request; the endpoint's address if left out.
        host: Option<HostPattern> = optional;
        /// More headers of the request.
        headers: Table<HeaderName, Secret> = default(Table::none());
        /// The answer of a healthy endpoint; a list of statuses is enough: `expect: [200, 204]`.
        expect ("expect" | "statuses"): Located<Expected> = default(Located::nowhere(Expected::standard()));
        /// The method of the request.
        method: MethodName = default(MethodName::get());
    }
}

section! {
    /// The answer of a healthy endpoint.
    pub struct Expected short "statuses" {
        /// Its status is one of these.
        statuses: Many<StatusRange> = default(Many(vec![StatusRange::from(200, 399)]));
        /// Its body holds this.
        body: Option<Located<BodyMatch>> = optional;
        /// How much of the body is looked at.
        within: Size<1, 1_048_576> = default(Size::kib(64));
    }
}

impl Expected {
    /// All defaults.
    pub(crate) fn standard() -> Self {
        Self { statuses: Many(vec![StatusRange::from(200, 399)]), body: None, within: Size::kib(64) }
    }
}

choice! {
    /// What a body holds, somewhere. A text alone must be there as it is.
    pub enum BodyMatch short Text {
        /// This text, case included.
        Text("text"): String;
        /// What a regular expression matches. It is one of bytes; `(?i)` makes it blind to the case of letters.
        Regex("regex"): Regex;
    }
}

section! {
    /// A probe by opening a TCP connection: `tcp: {}`.
    pub struct TcpProbe {
        /// Whether the handshake of TLS must succeed too, as for requests. For upstreams with `tls`.
        tls: bool = default(false);
    }
}

section! {
    /// Taking out endpoints that fail on real traffic.
    pub struct Ejection {
        /// Failures in a row (no connection, no response in time, any 5xx) that take an endpoint out; 0: never.
        consecutive_5xx ("consecutive_5xx" | "consecutive_failures"): Whole<0, 10_000> = default(Whole::of::<5>());
        /// The same, of which no other 5xx than 502, 503 and 504 are; 0: never.
        consecutive_gateway_failures: Whole<0, 10_000> = default(Whole::of::<0>());
        /// The same for attempts without any answer; 0: never. If it is set, these no longer count for the other two.
        consecutive_local_failures: Whole<0, 10_000> = default(Whole::of::<0>());
        /// Takes out endpoints whose success rate is far below that of the others: `true`, or the long form.
        success_rate: Toggle<SuccessRateRule> = default(Toggle::Off);
        /// Takes out endpoints of whose attempts a large share fails: `true`, the share, or the long form.
        failure_percentage: Toggle<FailurePercentageRule> = default(Toggle::Off);
        /// The time over which the last two count.
        interval: Duration<100> = default(Duration::seconds(10));
        /// How long the first time; each further time in a row one `base` longer.
        base: Duration<1> = default(Duration::seconds(10));
        /// How long at most.
        max: Duration<1> = default(Duration::seconds(300));
        /// Up to so much of its time is added to an ejection at random, so that endpoints come back one by one.
        jitter: Percent = default(Percent::whole(10));
        /// The share of the endpoints that may be out for this reason at the same time. One always may be, if there are two
        /// or more; never all.
        max_percent: Percent = default(Percent::whole(50));
        /// Takes nothing out, but tells and counts what would be.
        shadow: bool = default(false);
    }
}

impl Ejection {
    /// All defaults.
    pub(crate) fn standard() -> Self {
        Self {
            consecutive_5xx: Whole::of::<5>(),
            consecutive_gateway_failures: Whole::of::<0>(),
            consecutive_local_failures: Whole::of::<0>(),
            success_rate: Toggle::Off,
            failure_percentage: Toggle::Off,
            interval: Duration::seconds(10),
            base: Duration::seconds(10),
            max: Duration::seconds(300),
            jitter: Percent::whole(10),
            max_percent: Percent::whole(50),
            shadow: false,
        }
    }
}

section! {
    /// Taking out endpoints whose success rate is far below that of the others.
    pub struct SuccessRateRule short "stdev" {
        /// How many standard deviations below the mean is too far.
        stdev: Factor = default(Factor::thousandths(1900));
        /// What is this close to the mean is never taken out.
        margin: Percent = default(Percent::whole(1));
        /// It takes so many endpoints with enough requests.
        min_endpoints: Whole<1, 65_535> = default(Whole::of::<5>());
        /// Enough are so many requests in an interval.
        min_requests: Whole<1, 1_000_000> = default(Whole::of::<100>());
    }
}

section! {
    /// Taking out endpoints of whose attempts a large share fails.
    pub struct FailurePercentageRule short "threshold" {
        /// The share.
        threshold: Percent = default(Percent::whole(85));
        /// It takes so many endpoints with enough requests.
        min_endpoints: Whole<1, 65_535> = default(Whole::of::<5>());
        /// Enough are so many requests in an interval.
        min_requests: Whole<1, 1_000_000> = default(Whole::of::<50>());
    }
}

#[cfg(test)]
mod tests {
    use super::{Ejection, Expected};
    use crate::diagnostic::Diagnostics;
    use crate::setting::{Decoder, Setting};
    use crate::source::{MemoryFiles, Sources};
    use crate::tree::Node;

    fn empty<T: Setting>() -> Option<T> {
        let (diagnostics, sources) = (&mut Diagnostics::default(), &mut Sources::default());
        T::decode(&Node::EMPTY, &mut Decoder { diagnostics, sources, files: &MemoryFiles::default() })
    }

    #[test]
    fn what_is_standard_is_what_an_empty_section_gives() {
        assert_eq!(empty(), Some(Ejection::standard()));
        assert_eq!(empty(), Some(Expected::standard()));
    }
}
