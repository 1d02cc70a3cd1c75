//! The common and the combined log format, byte for byte as Apache writes them, in UTC.

use super::headers::HeaderRef;
use super::plan::LogRules;
use super::text::{address, decimal, escaped};
use super::{Entry, QueryRule};

/// `CLIENT - CONSUMER [TIME] "METHOD PATH VERSION" STATUS BYTES`, without the end of the line.
fn common(out: &mut Vec<u8>, entry: &Entry<'_>, rule: QueryRule) {
    address(out, entry.client);
    out.extend_from_slice(b" - ");
    user(out, entry.request.consumer);
    out.extend_from_slice(b" [");
    entry.time.write_clf(out);
    out.extend_from_slice(b"] \"");
    request_line(out, entry, rule);
    out.extend_from_slice(b"\" ");
    status(out, entry.status);
    out.push(b' ');
    match entry.bytes.sent {
        0 => out.push(b'-'),
        sent => decimal(out, sent),
    }
}

/// The consumer in the place of the user; a space would end the field.
fn user(out: &mut Vec<u8>, consumer: &str) {
    match consumer {
        "" => out.push(b'-'),
        name => escaped(out, name.replace(' ', "_").as_bytes()),
    }
}

/// A line in the common log format.
pub(super) fn write_common(out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules) {
    common(out, entry, rules.query);
    out.push(b'\n');
}

/// A line in the combined log format: the common one with referer and user agent.
pub(super) fn write_combined(out: &mut Vec<u8>, entry: &Entry<'_>, rules: &LogRules, added: &[HeaderRef; 2]) {
    common(out, entry, rules.query);
    for header in added {
        out.extend_from_slice(b" \"");
        if !header.show(entry.request.captured, rules.query, |part| escaped(out, part)) {
            out.push(b'-');
        }
        out.push(b'"');
    }
    out.push(b'\n');
}

/// The request line, with the path as it was matched; `-` where no head could be read.
pub(super) fn request_line(out: &mut Vec<u8>, entry: &Entry<'_>, rule: QueryRule) {
    let request = &entry.request;
    if request.method.is_empty() {
        return out.push(b'-');
    }
    escaped(out, request.method);
    out.push(b' ');
    escaped(out, request.path);
    query(out, entry, rule);
    out.extend_from_slice(b" HTTP/");
    out.extend_from_slice(request.version.as_bytes());
}

/// The query behind its `?`, as far as it is shown.
pub(super) fn query(out: &mut Vec<u8>, entry: &Entry<'_>, rule: QueryRule) {
    if let Some(query) = entry.request.captured.query().filter(|_| rule != QueryRule::Hide) {
        out.push(b'?');
        rule.show(query, |part| escaped(out, part));
    }
}

/// A status in three digits, as programs that read these formats expect: `000` where none was sent.
pub(super) fn status(out: &mut Vec<u8>, status: u16) {
    if status == 0 {
        out.extend_from_slice(b"000");
    } else {
        decimal(out, u64::from(status));
    }
}
