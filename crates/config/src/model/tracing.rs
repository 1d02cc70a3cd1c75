//! Traces of exchanges.

use crate::section::section;
use crate::setting::Whole;
use crate::source::Located;
use crate::table::Table;
use crate::units::{CollectorUrl, Duration, HeaderName, Percent, Secret, Size};

section! {
    /// Traces: each exchange and each of its attempts is a span, which is sent to a collector (OpenTelemetry,
    /// OTLP over HTTP). Upstreams are told of them by `traceparent` and `tracestate` (W3C Trace Context).
    pub struct Tracing {
        /// The collector: `http://collector:4318`. Without a path, `/v1/traces` is added.
        otlp: Located<CollectorUrl> = required;
        /// The share of the traces begun here that is recorded.
        sample: Percent = default(Percent::whole(10));
        /// Whether a request that brings a trace is recorded if its sender recorded it, and else not. If false,
        /// `sample` decides about those too.
        by_parent: bool = default(true);
        /// More headers for the collector, such as a key.
        headers: Table<HeaderName, Secret> = default(Table::none());
        /// What Tollgate is called in traces.
        service_name: String = default("tollgate".to_owned());
        /// Spans that are sent at once, at the most.
        batch: Whole<64, 65_536> = default(Whole::of::<512>());
        /// The longest that a span waits for others to be sent with.
        interval: Duration<1> = default(Duration::seconds(2));
        /// Spans that may wait for the collector, in bytes of memory. What does not fit is dropped and counted.
        queue: Size<65_536, 1_073_741_824> = default(Size::kib(8 * 1024));
        /// How long the collector may take to answer.
        timeout: Duration<1> = default(Duration::seconds(10));
    }
}
