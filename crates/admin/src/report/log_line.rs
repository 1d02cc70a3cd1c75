//! A line of the live tail: one exchange that has ended, as the JSON access log writes it.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_decision::Reason;
use tollgate_runtime::date;
use tollgate_telemetry::access::{Bytes, Captured, Entry, RequestLine, TimeCache, Timings, write_pretty};

/// A line of the live tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LogLine {
    /// Exchanges that are not told, since the client did not keep up.
    Dropped {
        /// How many.
        #[serde(rename = "tail.dropped")]
        dropped: u64,
    },
    /// An exchange that has ended.
    Exchange(Box<LoggedExchange>),
}

/// An exchange that has ended. What is not known is empty or 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedExchange {
    /// When it ended, RFC 3339.
    pub time: String,
    /// Its request id.
    pub request_id: String,
    /// Where the request came from.
    #[serde(rename = "client.address")]
    pub client: String,
    /// The request.
    #[serde(flatten)]
    pub request: LoggedRequest,
    /// The status that the client got; 0 where it got none.
    #[serde(rename = "http.response.status_code")]
    pub status: u16,
    /// The reason's code.
    pub reason: String,
    /// Who is at fault.
    pub end: String,
    /// The route's name.
    pub route: String,
    /// The upstream's name.
    pub upstream: String,
    /// The endpoint that was tried last.
    pub endpoint: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Body bytes received from the client.
    pub bytes_received: u64,
    /// How long it took.
    #[serde(flatten)]
    pub timings: LoggedTimings,
}

/// The request of an exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedRequest {
    /// `tcp` or `udp` for a connection or flow that was carried as it is; nothing for a request.
    #[serde(rename = "network.transport", default, skip_serializing_if = "String::is_empty")]
    pub carried: String,
    /// The consumer that it came from; nothing for nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub consumer: String,
    /// The method.
    #[serde(rename = "http.request.method")]
    pub method: String,
    /// The path as it was matched, without the query.
    #[serde(rename = "url.path")]
    pub path: String,
    /// The host.
    #[serde(rename = "server.address")]
    pub host: String,
    /// The version, such as `1.1`.
    #[serde(rename = "network.protocol.version")]
    pub version: String,
}

/// Phases of an exchange, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedTimings {
    /// Waiting before further attempts.
    #[serde(rename = "t.queue")]
    pub queue: f64,
    /// Opening the connection to the endpoint.
    #[serde(rename = "t.connect")]
    pub connect: f64,
    /// Until the first byte of the response.
    #[serde(rename = "t.ttfb")]
    pub first_byte: f64,
    /// All of it.
    #[serde(rename = "t.total")]
    pub total: f64,
}

impl LoggedExchange {
    /// The line for people, as a `pretty` access log has it, with its line feed.
    pub fn pretty(&self, colours: bool) -> String {
        let captured = Captured::default();
        let us = |millis: f64| (millis * 1000.0).round() as u64;
        let entry = Entry {
            time: TimeCache::default().at(date::parse_rfc3339(&self.time).unwrap_or_default()),
            request_id: self.request_id.as_bytes(),
            client: self.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            request: RequestLine {
                carried: match self.request.carried.as_str() {
                    "tcp" => "tcp",
                    "udp" => "udp",
                    _ => "",
                },
                consumer: &self.request.consumer,
                method: self.request.method.as_bytes(),
                path: self.request.path.as_bytes(),
                host: self.request.host.as_bytes(),
                // It is not part of the line.
                version: "",
                captured: &captured,
            },
            flow: None,
            status: self.status,
            // A reason that this version does not know is one of a newer one: it is not shown.
            reason: Reason::from_code(&self.reason).unwrap_or(Reason::Forwarded),
            route: &self.route,
            upstream: &self.upstream,
            endpoint: &self.endpoint,
            attempts: self.attempts,
            bytes: Bytes { sent: self.bytes_sent, received: self.bytes_received },
            timings: Timings {
                queue_us: us(self.timings.queue),
                connect_us: us(self.timings.connect),
                first_byte_us: us(self.timings.first_byte),
                total_us: us(self.timings.total),
            },
            trace: None,
            seed: 0,
        };
        let mut line = Vec::new();
        write_pretty(&mut line, &entry, colours);
        String::from_utf8_lossy(&line).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::LogLine;
    use std::time::Duration;
    use tollgate_decision::Reason;
    use tollgate_telemetry::access::{
        Bytes, Captured, Entry, RequestLine, TimeCache, Timings, write_json, write_pretty,
    };

    /// What is read from a line of JSON looks as if it had never been JSON.
    #[test]
    fn a_line_is_as_pretty_as_the_exchange() {
        let captured = Captured::default();
        let mut entry = Entry {
            time: TimeCache::default().at(Duration::from_millis(1_784_111_777_042)),
            request_id: b"0192-ab",
            client: [203, 0, 113, 9].into(),
            request: RequestLine {
                carried: "",
                consumer: "",
                method: b"GET",
                path: b"/a \x1b[31m\"b\\",
                host: b"shop.example",
                version: "1.1",
                captured: &captured,
            },
            flow: None,
            status: 504,
            reason: Reason::FirstByteTimeout,
            route: "shop",
            upstream: "u",
            endpoint: "10.0.0.1:80",
            attempts: 3,
            bytes: Bytes { sent: 5120, received: 7 },
            timings: Timings { queue_us: 1, connect_us: 512, first_byte_us: 11_034, total_us: 12_345_678 },
            trace: None,
            seed: 1,
        };
        for (status, reason) in
            [(504, Reason::FirstByteTimeout), (200, Reason::Forwarded), (0, Reason::ClientClosed)]
        {
            (entry.status, entry.reason) = (status, reason);
            let (mut json, mut pretty) = (Vec::new(), Vec::new());
            write_json(&mut json, &entry);
            for colours in [false, true] {
                pretty.clear();
                write_pretty(&mut pretty, &entry, colours);
                let LogLine::Exchange(read) = serde_json::from_slice(&json).unwrap() else {
                    panic!("{json:?}")
                };
                assert_eq!(read.pretty(colours), String::from_utf8(pretty.clone()).unwrap());
            }
        }
    }

    #[test]
    fn what_was_lost_is_told_apart() {
        let line: LogLine = serde_json::from_str("{\"tail.dropped\":3}\n").unwrap();
        assert_eq!(line, LogLine::Dropped { dropped: 3 });
    }
}
