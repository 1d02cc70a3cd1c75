//! The access log's record and its JSON form.

use std::net::IpAddr;

use tollgate_decision::Reason;

use crate::trace::{SpanId, TraceId};

/// One ended exchange, as the access log tells it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When it ended, RFC 3339.
    pub time: &'a str,
    /// The request id.
    pub request_id: &'a [u8],
    /// Where the request came from: the peer, or what a trusted proxy said.
    pub client: IpAddr,
    /// Method, path and version of the request, and the host it was for.
    pub request: RequestLine<'a>,
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
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Body bytes received from the client.
    pub bytes_received: u64,
    /// How long the phases took.
    pub timings: Timings,
    /// The trace and the span in it, where known.
    pub trace: Option<(TraceId, SpanId)>,
}

/// The request's first line and host.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The path, without the query, which may hold secrets.
    pub path: &'a [u8],
    /// The host.
    pub host: &'a [u8],
    /// The version, such as `1.1`.
    pub version: &'a str,
}

/// Phase times of an exchange, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Opening the connection to the endpoint; 0 where an idle one was taken.
    pub connect_us: u64,
    /// From the request's first byte to the first byte of the response; 0 where none came.
    pub first_byte_us: u64,
    /// The whole exchange.
    pub total_us: u64,
}

/// Appends the entry as one line of JSON.
pub fn write_json(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(entry.time.as_bytes());
    out.push(b'"');
    text(out, "request_id", entry.request_id);
    text(out, "client.address", entry.client.to_string().as_bytes());
    text(out, "http.request.method", entry.request.method);
    text(out, "url.path", entry.request.path);
    text(out, "server.address", entry.request.host);
    text(out, "network.protocol.version", entry.request.version.as_bytes());
    number(out, "http.response.status_code", u64::from(entry.status));
    text(out, "reason", entry.reason.code().as_bytes());
    text(out, "end", entry.reason.side().label().as_bytes());
    text(out, "route", entry.route.as_bytes());
    text(out, "upstream", entry.upstream.as_bytes());
    text(out, "endpoint", entry.endpoint.as_bytes());
    number(out, "attempts", u64::from(entry.attempts));
    number(out, "bytes_sent", entry.bytes_sent);
    number(out, "bytes_received", entry.bytes_received);
    millis(out, "t.connect", entry.timings.connect_us);
    millis(out, "t.ttfb", entry.timings.first_byte_us);
    millis(out, "t.total", entry.timings.total_us);
    if let Some((trace_id, span_id)) = entry.trace {
        text(out, "trace_id", &trace_id.hex());
        text(out, "span_id", &span_id.hex());
    }
    out.extend_from_slice(b"}\n");
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A string; bytes that are not ASCII or that JSON reserves are escaped, so that a line is always
/// valid JSON whatever a client sent.
fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    key(out, name);
    out.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => out.push(*byte),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    out.extend_from_slice(value.to_string().as_bytes());
}

fn millis(out: &mut Vec<u8>, name: &str, us: u64) {
    key(out, name);
    out.extend_from_slice(format!("{}.{:03}", us / 1000, us % 1000).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_json_whatever_the_client_sent() {
        let entry = Entry {
            time: "2026-01-01T00:00:00.000Z",
            request_id: b"id\"\n",
            client: "::1".parse().unwrap(),
            request: RequestLine { method: b"GET", path: b"/\\\"\xff\0", host: b"h", version: "1.1" },
            status: 200,
            reason: Reason::Forwarded,
            route: "r",
            upstream: "u",
            endpoint: "e:1",
            attempts: 2,
            bytes_sent: 3,
            bytes_received: 0,
            timings: Timings { connect_us: 12, first_byte_us: 1_234, total_us: 2_000_001 },
            trace: TraceId::new(0xab).zip(SpanId::new(1)),
        };
        let mut out = Vec::new();
        write_json(&mut out, &entry);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["url.path"], "/\\\"\u{ff}\0");
        assert_eq!(value["t.ttfb"], 1.234);
        assert_eq!(value["t.total"], 2000.001);
        assert_eq!(value["attempts"], 2);
        assert_eq!(value["trace_id"], format!("{:032x}", 0xab));
        assert_eq!(value["span_id"], "0000000000000001");
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    }
}
