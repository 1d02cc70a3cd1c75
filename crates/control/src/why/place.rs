//! The part of a request's head that is wrong: found by reading the head again, line by line.

use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_proxy::decide::again::{self, Reading, Space};
use tollgate_proxy::recorder::Entry;

use super::Show;
use super::request::RequestTold;

/// Lines that are looked at: each is read with all before it.
const LINES_MAX: usize = 200;
/// A part is cut after so many characters.
const SHOWN_MAX: usize = 100;

/// Whether a head has no end: it was given up on, or the client went away.
pub(super) fn is_cut(head: &[u8]) -> bool {
    memchr::memmem::find(head, b"\r\n\r\n").is_none()
}

/// The part that the reason is about, as it may be shown.
pub(super) fn that_is_wrong(snapshot: &Snapshot, entry: &Entry) -> Option<String> {
    let head = entry.head.as_deref()?;
    let told = RequestTold::new(head, Show::default());
    let field = |index: usize| told.fields.get(index).map(|(name, value)| shown(name, value));
    let named = |wanted: &str| {
        let is_wanted = |(name, _): &&(String, String)| name.trim().eq_ignore_ascii_case(wanted);
        let found: Vec<_> = told.fields.iter().filter(is_wanted).map(|(n, v)| shown(n, v)).collect();
        found.join(", ")
    };
    match entry.reason() {
        Reason::BadRequestLine
        | Reason::BadMethod
        | Reason::BadTarget
        | Reason::BadVersion
        | Reason::BadPath
        | Reason::MethodNotServed
        | Reason::TargetTooLong => Some(cut(&told.line)),
        Reason::BadHost if told.line.contains("://") => {
            Some(format!("{}, {}", cut(&told.line), named("host")))
        }
        Reason::BadHost | Reason::DuplicateHost | Reason::Misdirected => Some(named("host")),
        Reason::BadExpectation => Some(named("expect")),
        Reason::DuplicateContentLength => Some(named("content-length")),
        Reason::LengthWithTransferEncoding => {
            Some(format!("{}, {}", named("content-length"), named("transfer-encoding")))
        }
        Reason::BadTransferEncoding | Reason::UnknownTransferCoding => Some(named("transfer-encoding")),
        reason @ (Reason::BadFieldName
        | Reason::BadFieldValue
        | Reason::ObsoleteFold
        | Reason::BareLineEnd
        | Reason::BadContentLength) => match line_that_is_wrong(snapshot, head, reason)? {
            0 => Some(format!("line 1, {}", cut(&told.line))),
            line => Some(format!("line {}, {}", line + 1, field(line - 1)?)),
        },
        Reason::HeadTimeout => {
            Some(format!("{} bytes had come, the last line {}", head.len(), last_line(&told)))
        }
        Reason::ClientClosed if is_cut(head) => {
            Some(format!("{} bytes had come, the last line {}", head.len(), last_line(&told)))
        }
        _ => None,
    }
    .filter(|part| !part.is_empty())
}

fn last_line(told: &RequestTold) -> String {
    told.fields.last().map_or_else(|| cut(&told.line), |(name, value)| shown(name, value))
}

fn shown(name: &str, value: &str) -> String {
    if name.is_empty() { cut(value) } else { cut(&format!("{name}: {value}")) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// The number of the first line with which the head is refused for this reason; 0 is the request line.
fn line_that_is_wrong(snapshot: &Snapshot, head: &[u8], reason: Reason) -> Option<usize> {
    let (mut end, mut number, mut has_host) = (0, 0, false);
    let mut before_first = true;
    for line in head.split_inclusive(|byte| *byte == b'\n').take(LINES_MAX) {
        end += line.len();
        has_host |= line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:"));
        let host: &[u8] = if has_host { b"" } else { b"Host: a\r\n" };
        let part = [&head[..end], host, b"\r\n"].concat();
        let mut space = Space::default();
        let reading = again::read(snapshot, &part, &mut space);
        if matches!(reading, Reading::Refused(refusal) if refusal.reason == reason) {
            return Some(number);
        }
        // Empty lines before a request are nothing.
        before_first &= line.trim_ascii().is_empty();
        number += usize::from(!before_first);
    }
    None
}
