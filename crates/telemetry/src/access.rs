//! The access log: one record of each exchange that ended, in the form that its destination wants.
//!
//! A document's logs are compiled into a [`LogPlan`]: conditions, sampling and a format as a list of
//! parts. Each worker has a [`LogSink`], which writes lines into blocks without allocating and hands
//! full blocks to the writer threads that [`AccessLogs`] owns.

mod clf;
mod conditions;
mod headers;
mod json;
mod outputs;
mod plan;
mod pretty;
mod query;
mod sink;
mod template;
mod text;

use std::net::IpAddr;

use tollgate_decision::Reason;

pub use conditions::{Conditions, ReasonSet, SideSet};
pub use headers::{Captured, HeaderSet, is_secret_header};
pub use json::write_json;
pub use outputs::{AccessLogs, LogHandle, OpenError, Opened};
pub use plan::{Format, LogPlan, LogRules};
pub use pretty::write_pretty;
pub use query::{QueryRule, around_user};
pub use sink::LogSink;
pub use template::{Template, TemplateError};
pub use text::{Moment, TimeCache};

/// One ended exchange, as a log tells it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When it ended.
    pub time: Moment,
    /// The request id.
    pub request_id: &'a [u8],
    /// Where the request came from: the peer, or what a trusted proxy said.
    pub client: IpAddr,
    /// The request's first line, its host, and what was kept of the heads.
    pub request: RequestLine<'a>,
    /// What is told of a flow of datagrams besides.
    pub flow: Option<FlowLine<'a>>,
    /// The status sent to the client; 0 where none was.
    pub status: u16,
    /// Why the exchange ended.
    pub reason: Reason,
    /// The route's name; empty where none matched.
    pub route: &'a str,
    /// The upstream's name; empty where none was asked.
    pub upstream: &'a str,
    /// The last endpoint tried; empty where none was.
    pub endpoint: &'a str,
    /// How many attempts were made.
    pub attempts: u32,
    /// Body bytes.
    pub bytes: Bytes,
    /// How long the phases took.
    pub timings: Timings,
    /// Its place in a distributed trace, if it has one.
    pub trace: Option<TraceIds>,
    /// The exchange's seed, which sampling is decided by.
    pub seed: u64,
}

impl Entry<'_> {
    /// Whether something went wrong: the reason is a failure, or the status is 500 or more.
    pub fn failed(&self) -> bool {
        self.reason.is_failure() || self.status >= 500
    }
}

/// The request's first line, its host, and what was kept of the heads.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// `tcp` or `udp` for a connection or flow that was carried as it is, which has nothing of the rest but perhaps a
    /// host; empty for a request.
    pub carried: &'static str,
    /// The consumer that it came from; empty for nobody.
    pub consumer: &'a str,
    /// The method; empty where the head could not be read.
    pub method: &'a [u8],
    /// The path as it was matched, without the query, which may hold secrets.
    pub path: &'a [u8],
    /// The host.
    pub host: &'a [u8],
    /// The version, such as `1.1`.
    pub version: &'a str,
    /// The query and the headers that some log wants.
    pub captured: &'a Captured,
}

/// What is told of a flow of datagrams besides.
#[derive(Clone, Copy, Debug)]
pub struct FlowLine<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// The client's port.
    pub port: u16,
    /// How many datagrams were sent to the client.
    pub datagrams_sent: u64,
    /// How many were received from the client.
    pub datagrams_received: u64,
}

/// Body bytes of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes {
    /// Sent to the client.
    pub sent: u64,
    /// Received from the client.
    pub received: u64,
}

/// Phase times of an exchange, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Waiting before further attempts: back-off and retry budget.
    pub queue_us: u64,
    /// Opening the connection to the endpoint; 0 where an idle one was taken.
    pub connect_us: u64,
    /// From the request's head to the first byte of the response; 0 where none came.
    pub first_byte_us: u64,
    /// The whole exchange.
    pub total_us: u64,
}

/// Where an exchange stands in a distributed trace (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace.
    pub trace: [u8; 16],
    /// The span of this exchange.
    pub span: [u8; 8],
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod golden;

/// An exchange that went well, for tests of this crate.
#[cfg(test)]
pub(crate) use golden::entry as sample_entry;
