//! Telling the access logs of an exchange: what they want of its heads, and the entry at its end.

use std::borrow::Cow;
use std::net::IpAddr;

use tollgate_decision::Reason;
use tollgate_message::{Fields, Known, RequestHead};
use tollgate_telemetry::access::{Bytes, Entry, RequestLine, Timings, around_user};

use crate::exchange::Exchange;
use crate::tracer::Context;
use crate::worker::Worker;

/// Keeps what some log wants of the request, besides its line and host.
pub fn keep_request(worker: &Worker, exchange: &mut Exchange, query: Option<&[u8]>, fields: &Fields<'_>) {
    if let Some(wanted) = worker.log.borrow().headers() {
        let header = |name: &str| fields.get_by_name(name.as_bytes());
        exchange.notes.captured.request(wanted, query, header);
    }
}

/// Keeps what can be told of a request that is refused for what stands in its head: its path and host as
/// they came, but for passwords.
pub fn keep_refused(worker: &Worker, exchange: &mut Exchange, request_id: &[u8], head: &RequestHead<'_>) {
    if !exchange.notes.wanted {
        return;
    }
    let mut parts = head.target.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    let host = head.fields.get(Known::Host).unwrap_or_default();
    exchange.notes.keep([request_id, head.method_bytes, &without_password(path), &without_password(host)]);
    keep_request(worker, exchange, parts.next(), &head.fields);
}

fn without_password(text: &[u8]) -> Cow<'_, [u8]> {
    match around_user(text) {
        Some((before, after)) => [before, b"***", after].concat().into(),
        None => text.into(),
    }
}

/// Keeps what some log wants of the endpoint's response.
pub fn keep_response(exchange: &mut Exchange, fields: &Fields<'_>) {
    if exchange.notes.captured.wants_response() {
        exchange.notes.captured.response(|name| fields.get_by_name(name.as_bytes()));
    }
}

/// Keeps what some log wants of an answer from here, whose head stands at the start of what is pending.
pub fn keep_answer(exchange: &mut Exchange) {
    let captured = &mut exchange.notes.captured;
    if captured.wants_response() {
        let answer = &exchange.response.pending.bytes;
        captured.response(|name| field_of(answer, name.as_bytes()));
    }
}

/// The value of the first field of this name in a head that was written here, one line a field.
fn field_of<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let lines = head.split(|byte| *byte == b'\n').skip(1).map(|line| line.trim_ascii_end());
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Tells everybody who wanted to hear of the exchange since before it began.
pub fn tell(worker: &Worker, exchange: &Exchange, peer: IpAddr, reason: Reason, timings: Timings) {
    if !exchange.notes.wanted {
        return;
    }
    let [request_id, method, path, host] = exchange.notes.parts();
    let last = exchange.record.deciding().map(|(_, attempt)| attempt.endpoint);
    let upstream = exchange.upstream();
    let endpoint = upstream.zip(last).and_then(|(u, e)| u.endpoint(e));
    let consumer = exchange.gate.as_deref().map_or("", |gate| gate.caller.name());
    let mut log = worker.log.borrow_mut();
    let time = log.moment(worker.clock.wall());
    let (version, captured) = (exchange.facts.version.label(), &exchange.notes.captured);
    log.write(&Entry {
        time,
        request_id,
        client: exchange.notes.client.unwrap_or(peer),
        request: RequestLine { carried: "", consumer, method, path, host, version, captured },
        flow: None,
        status: exchange.response.status,
        reason,
        route: exchange.route().map_or("", |r| r.name.as_str()),
        upstream: upstream.map_or("", |u| u.name()),
        endpoint: endpoint.map_or("", |e| e.name()),
        attempts: exchange.record.attempts,
        bytes: Bytes { sent: exchange.bytes.sent, received: exchange.bytes.received },
        timings,
        trace: exchange.trace_context().map(Context::ids),
        seed: exchange.record.seed,
    });
}

#[cfg(test)]
mod tests {
    use super::field_of;

    #[test]
    fn fields_of_an_answer_are_found_in_its_head_only() {
        let answer = b"HTTP/1.1 200 OK\r\nServer: tollgate\r\nx-a:1\r\n\r\nbody: 1\r\n";
        assert_eq!(field_of(answer, b"server"), Some(&b"tollgate"[..]));
        assert_eq!(field_of(answer, b"X-A"), Some(&b"1"[..]));
        assert_eq!(field_of(answer, b"body"), None);
        assert_eq!(field_of(answer, b"serve"), None);
        assert_eq!(field_of(b"", b"a"), None);
    }
}
