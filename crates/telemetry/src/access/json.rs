//! One JSON object a line, its keys those of OpenTelemetry where it has them.

use super::plan::LogRules;
use super::text::{address, decimal, hexadecimal, json, millis};
use super::{Captured, Entry, QueryRule};

/// What most lines fit in.
const USUAL_LINE: usize = 1024;

/// Appends the entry as one line of JSON, as `rules` want it.
pub(super) fn write(out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules) {
    body(out, entry, rules.query);
    let captured = entry.request.captured;
    for header in rules.headers() {
        let before = out.len();
        out.extend_from_slice(header.json_key().as_bytes());
        if header.show(captured, rules.query, |part| json(out, part)) {
            out.push(b'"');
        } else {
            out.truncate(before);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Appends the entry as one line of JSON, without query and headers.
pub fn write_json(out: &mut Vec<u8>, entry: &Entry<'_>) {
    body(out, entry, QueryRule::Hide);
    out.extend_from_slice(b"}\n");
}

/// Everything up to the headers. Each key is written with what stands around it.
fn body(out: &mut Vec<u8>, entry: &Entry<'_>, rule: QueryRule) {
    out.reserve(USUAL_LINE);
    let request = &entry.request;
    out.extend_from_slice(b"{\"time\":\"");
    entry.time.write_rfc3339(out);
    text(out, "\",\"request_id\":\"", entry.request_id);
    out.extend_from_slice(b"\",\"client.address\":\"");
    address(out, entry.client);
    if !request.carried.is_empty() {
        text(out, "\",\"network.transport\":\"", request.carried.as_bytes());
    }
    text(out, "\",\"http.request.method\":\"", request.method);
    text(out, "\",\"url.path\":\"", request.path);
    query(out, request.captured, rule);
    text(out, "\",\"server.address\":\"", request.host);
    text(out, "\",\"network.protocol.version\":\"", request.version.as_bytes());
    number(out, "\",\"http.response.status_code\":", u64::from(entry.status));
    text(out, ",\"reason\":\"", entry.reason.code().as_bytes());
    text(out, "\",\"end\":\"", entry.reason.side().label().as_bytes());
    if !request.consumer.is_empty() {
        text(out, "\",\"consumer\":\"", request.consumer.as_bytes());
    }
    text(out, "\",\"route\":\"", entry.route.as_bytes());
    text(out, "\",\"upstream\":\"", entry.upstream.as_bytes());
    text(out, "\",\"endpoint\":\"", entry.endpoint.as_bytes());
    number(out, "\",\"attempts\":", u64::from(entry.attempts));
    number(out, ",\"bytes_sent\":", entry.bytes.sent);
    number(out, ",\"bytes_received\":", entry.bytes.received);
    if let Some(flow) = &entry.flow {
        text(out, ",\"listener\":\"", flow.listener.as_bytes());
        number(out, "\",\"client.port\":", u64::from(flow.port));
        number(out, ",\"datagrams_sent\":", flow.datagrams_sent);
        number(out, ",\"datagrams_received\":", flow.datagrams_received);
    }
    let timings = &entry.timings;
    for (key, us) in [
        (",\"t.queue\":", timings.queue_us),
        (",\"t.connect\":", timings.connect_us),
        (",\"t.ttfb\":", timings.first_byte_us),
        (",\"t.total\":", timings.total_us),
    ] {
        out.extend_from_slice(key.as_bytes());
        millis(out, us);
    }
    if let Some(ids) = &entry.trace {
        out.extend_from_slice(b",\"trace_id\":\"");
        hexadecimal(out, &ids.trace);
        out.extend_from_slice(b"\",\"span_id\":\"");
        hexadecimal(out, &ids.span);
        out.push(b'"');
    }
}

fn query(out: &mut Vec<u8>, captured: &Captured, rule: QueryRule) {
    if let Some(query) = captured.query().filter(|_| rule != QueryRule::Hide) {
        out.extend_from_slice(b"\",\"url.query\":\"");
        rule.show(query, |part| json(out, part));
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    json(out, value);
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    out.extend_from_slice(key.as_bytes());
    decimal(out, value);
}
