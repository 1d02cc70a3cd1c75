//! Answers that Tollgate makes itself.

use tollgate_decision::Reason;
use tollgate_http1::encode;
use tollgate_message::{Method, Version};
use tollgate_policy as policy;

use super::secured::Secured;
use super::{Refusal, grpc};
use crate::snapshot::FixedResponse;
use tollgate_http1::edits::Edits;

/// What an answer needs to know besides its reason.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The value of `Date`.
    pub date: &'a str,
    /// The request id.
    pub request_id: &'a [u8],
    /// The request's method: HEAD gets no body.
    pub method: Method,
    /// The `Connection` line that says what becomes of the connection; see [`connection_line`].
    pub connection: &'static [u8],
    /// The route's changes to responses.
    pub edits: &'a Edits,
    /// The changes that its policies made.
    pub gate: Option<&'a Edits>,
    /// What is known of the connection, where it is encrypted.
    pub secured: Option<&'a Secured>,
    /// When a refused client may come again, in seconds.
    pub retry_after_s: u32,
}

impl Answer<'_> {
    /// Writes a field of the answer, unless the route's changes replace or remove it.
    fn line(&self, out: &mut Vec<u8>, name: &str, value: &[u8]) {
        if !self.replaces(name) {
            encode::line(out, name.as_bytes(), value);
        }
    }

    fn replaces(&self, name: &str) -> bool {
        self.edits.replaces(name) || self.gate.is_some_and(|gate| gate.replaces(name))
    }
}

/// Writes the answer for a refusal: a problem document (RFC 9457) with the reason, and `Proxy-Status`
/// (RFC 9209). Nothing of the inside is in it.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal, answer: &Answer<'_>) {
    let refusal = refusal.shown();
    let reason = refusal.reason;
    let body = problem(refusal, answer.request_id);
    begin(out, reason.status(), answer);
    out.extend_from_slice(b"Proxy-Status: tollgate; error=");
    out.extend_from_slice(reason.proxy_status_error().as_bytes());
    out.extend_from_slice(b"; details=\"");
    out.extend_from_slice(reason.code().as_bytes());
    out.extend_from_slice(b"\"\r\n");
    if matches!(reason.status(), 429 | 503) {
        let mut seconds = Vec::with_capacity(10);
        encode::decimal(&mut seconds, u64::from(answer.retry_after_s));
        answer.line(out, "Retry-After", &seconds);
    }
    finish(out, Some("application/problem+json"), Some(body.as_bytes()), answer);
}

/// Writes the answer for a refused gRPC call: its status in what is head and trailers at once.
pub fn call_refusal(out: &mut Vec<u8>, refusal: Refusal, answer: &Answer<'_>) {
    begin(out, 200, answer);
    answer.line(out, "Content-Type", b"application/grpc");
    grpc::status_lines(out, refusal.shown());
    out.extend_from_slice(b"\r\n");
}

/// Writes a redirect.
pub fn redirect(out: &mut Vec<u8>, status: u16, location: &[u8], answer: &Answer<'_>) {
    begin(out, status, answer);
    encode::line(out, b"Location", location);
    finish(out, None, Some(b""), answer);
}

/// Writes the answer of a policy.
pub fn policy(out: &mut Vec<u8>, given: &policy::Answer, answer: &Answer<'_>) {
    begin(out, given.status, answer);
    out.extend_from_slice(given.fields.lines());
    let body = (!matches!(given.status, 204 | 304)).then_some(given.body.as_slice());
    finish(out, given.content_type.as_deref(), body, answer);
}

/// Writes a response from the document.
pub fn fixed(out: &mut Vec<u8>, response: &FixedResponse, answer: &Answer<'_>) {
    begin(out, response.status, answer);
    for (name, value) in &response.fields {
        answer.line(out, name, value.as_bytes());
    }
    let body = (!matches!(response.status, 204 | 304)).then_some(response.body.as_slice());
    finish(out, response.content_type.as_deref(), body, answer);
}

/// The `Connection` line for a client of this version: nothing where its version implies what happens.
pub fn connection_line(version: Version, close: bool) -> &'static [u8] {
    match (version, close) {
        (Version::Http2 | Version::Http3, _) | (Version::Http11, false) => b"",
        (_, true) => b"Connection: close\r\n",
        (Version::Http10, false) => b"Connection: keep-alive\r\n",
    }
}

/// An answer for a connection that is not even served: as short as it can be.
pub fn bare(reason: Reason, request_id: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    encode::status_line(&mut out, reason.status(), encode::reason_phrase(reason.status()).as_bytes());
    encode::line(
        &mut out,
        b"Proxy-Status",
        format!("tollgate; error={}; details=\"{}\"", reason.proxy_status_error(), reason.code()).as_bytes(),
    );
    encode::line(&mut out, b"X-Request-ID", request_id);
    out.extend_from_slice(b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    out
}

fn problem(refusal: Refusal, request_id: &[u8]) -> String {
    let reason = refusal.reason;
    let detail = refusal.detail.unwrap_or(reason.explanation());
    // Ids that are taken over are visible ASCII; these two would end the string.
    let id: String = request_id.iter().map(|b| char::from(*b)).filter(|c| !matches!(c, '"' | '\\')).collect();
    let title = encode::reason_phrase(reason.status());
    format!(
        "{{\"type\":\"urn:tollgate:reason:{code}\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{detail}\",\"reason\":\"{code}\",\"instance\":\"{id}\"}}\n",
        code = reason.code(),
        status = reason.status(),
        detail = detail.replace('"', "'"),
    )
}

fn begin(out: &mut Vec<u8>, status: u16, answer: &Answer<'_>) {
    encode::status_line(out, status, encode::reason_phrase(status).as_bytes());
    answer.line(out, "Server", b"tollgate");
    answer.line(out, "Date", answer.date.as_bytes());
    if !answer.request_id.is_empty() {
        answer.line(out, "X-Request-ID", answer.request_id);
    }
    if let Some(secured) = answer.secured {
        secured.write(out, answer.edits);
    }
    out.extend_from_slice(answer.edits.lines());
    if let Some(gate) = answer.gate {
        out.extend_from_slice(gate.lines());
        gate.write_defaults(out, |name| std::str::from_utf8(name).is_ok_and(|name| answer.edits.sets(name)));
    }
}

fn finish(out: &mut Vec<u8>, content_type: Option<&str>, body: Option<&[u8]>, answer: &Answer<'_>) {
    if let Some(content_type) = content_type {
        answer.line(out, "Content-Type", content_type.as_bytes());
    }
    // A 204 or 304 has no body and must not (204) or need not give a length (RFC 9110 section 8.6).
    if let Some(body) = body {
        out.extend_from_slice(b"Content-Length: ");
        encode::decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(answer.connection);
    out.extend_from_slice(b"\r\n");
    if let Some(body) = body.filter(|_| answer.method != Method::Head) {
        out.extend_from_slice(body);
    }
}
