//! What HTTP has to know of gRPC: which exchanges are calls, their deadlines, and how failures are told.
//!
//! A call is told by its content type. Its status stands in trailers, so that an answer from here is a response
//! of status 200 whose only head carries them ("Trailers-Only" of the gRPC over HTTP/2 specification).

use tollgate_decision::Reason;
use tollgate_http1::encode;
use tollgate_message::{FieldList, Fields, Known, RequestHead};

use super::Refusal;

/// A time-out in a head for an endpoint: where its digits stand, so that each attempt tells what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Where the eight digits begin, in the bytes of the request.
    pub at: u32,
}

/// The field that tells how a call has ended.
const STATUS: &[u8] = b"grpc-status";

/// The longest time-out that eight digits can tell in milliseconds: 27 hours.
const MAX_MS: u64 = 99_999_999;

/// Whether a request is a call: `application/grpc`, with any subtype of messages, but not gRPC-Web, which
/// frames its status differently.
pub fn is_call(head: &RequestHead<'_>) -> bool {
    let Some(value) = head.fields.get(Known::ContentType) else { return false };
    let Some(rest) = value.get(..16).filter(|v| v.eq_ignore_ascii_case(b"application/grpc")) else {
        return false;
    };
    matches!(value.get(rest.len()), None | Some(b'+' | b';' | b' '))
}

/// The time-out of a call in milliseconds; `None` where it has none, or not a valid one.
pub fn timeout_ms(list: &FieldList, head: &RequestHead<'_>) -> Option<u64> {
    let value = list.has(Known::GrpcTimeout).then(|| head.fields.get(Known::GrpcTimeout)).flatten()?;
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(number * 3_600_000),
        b'M' => Some(number * 60_000),
        b'S' => Some(number * 1_000),
        b'm' => Some(number),
        b'u' => Some(number.div_ceil(1_000)),
        b'n' => Some(number.div_ceil(1_000_000)),
        _ => None,
    }
}

/// Appends the field for a time-out that each attempt writes anew.
pub fn write_timeout(out: &mut Vec<u8>) -> Deadline {
    out.extend_from_slice(b"grpc-timeout: ");
    let at = out.len() as u32;
    out.extend_from_slice(b"00000000m\r\n");
    Deadline { at }
}

impl Deadline {
    /// Tells an attempt what is left.
    pub fn write(self, request: &mut [u8], left_ms: u64) {
        let at = self.at as usize;
        let Some(digits) = request.get_mut(at..at + 8) else { return };
        let mut left = left_ms.clamp(1, MAX_MS);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
    }
}

/// The status code of a refusal, by gRPC's own list.
fn status(reason: Reason) -> u8 {
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match (reason, reason.status()) {
        (Reason::DeadlineExceeded | Reason::TotalTimeout, _) => DEADLINE_EXCEEDED,
        (_, 401) => UNAUTHENTICATED,
        (_, 403) => PERMISSION_DENIED,
        (_, 404 | 501) => UNIMPLEMENTED,
        (_, 413 | 414 | 429 | 431) => RESOURCE_EXHAUSTED,
        (_, 0 | 502..=504) => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// The status in the fields of an answer's head, which has it where no message comes.
pub fn status_of(fields: &Fields<'_>) -> Option<u8> {
    number(fields.get_by_name(STATUS)?)
}

/// The status in trailers, given as lines.
pub fn status_in(trailers: &[u8]) -> Option<u8> {
    let mut lines = trailers.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (name, value) = (line.get(..STATUS.len())?, line.get(STATUS.len()..)?);
        let value = name.eq_ignore_ascii_case(STATUS).then(|| value.strip_prefix(b":"))??;
        number(value.trim_ascii())
    })
}

fn number(digits: &[u8]) -> Option<u8> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends the lines that tell a refusal.
pub fn status_lines(out: &mut Vec<u8>, refusal: Refusal) {
    out.extend_from_slice(b"grpc-status: ");
    encode::decimal(out, u64::from(status(refusal.reason)));
    out.extend_from_slice(b"\r\ngrpc-message: tollgate: ");
    // Fixed texts of printable ASCII; a percent sign would begin an escape.
    let message = refusal.detail.unwrap_or(refusal.reason.explanation());
    out.extend(message.bytes().filter(|byte| *byte != b'%' && (b' '..=b'~').contains(byte)));
    out.extend_from_slice(b" (");
    out.extend_from_slice(refusal.reason.code().as_bytes());
    out.extend_from_slice(b")\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_found_among_trailers() {
        for (trailers, status) in [
            (&b"grpc-status: 14\r\ngrpc-message: no\r\n"[..], Some(14)),
            (b"x: 1\r\nGrpc-Status:0\r\n", Some(0)),
            (b"grpc-status-details-bin: 1\r\n", None),
            (b"grpc-status: 999\r\n", None),
            (b"grpc-status: x\r\n", None),
            (b"grpc-status", None),
            (b"", None),
        ] {
            assert_eq!(status_in(trailers), status, "{}", trailers.escape_ascii());
        }
    }
    use tollgate_http1::{HeadLimits, Progress, request};

    fn with<T>(lines: &str, look: impl FnOnce(&FieldList, &RequestHead<'_>) -> T) -> T {
        let text = format!("POST /a.B/C HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut list = FieldList::default();
        let Ok(Progress::Complete(line)) = request::parse(text.as_bytes(), &HeadLimits::default(), &mut list)
        else {
            panic!("{text}")
        };
        look(&list, &line.view(text.as_bytes(), &list))
    }

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grp", false),
            ("text/plain", false),
        ] {
            assert_eq!(with(&format!("Content-Type: {value}\r\n"), |_, h| is_call(h)), expected, "{value}");
        }
        assert!(!with("", |_, head| is_call(head)));
    }

    #[test]
    fn timeouts_are_read_in_each_unit() {
        for (value, expected) in [
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("3S", Some(3_000)),
            ("99999999m", Some(99_999_999)),
            ("1u", Some(1)),
            ("1500000n", Some(2)),
            ("123456789m", None),
            ("S", None),
            ("-1S", None),
            ("1x", None),
        ] {
            let read = with(&format!("grpc-timeout: {value}\r\n"), timeout_ms);
            assert_eq!(read, expected, "{value}");
        }
    }

    #[test]
    fn an_attempt_is_told_what_is_left() {
        let mut out = b"x: y\r\n".to_vec();
        let deadline = write_timeout(&mut out);
        deadline.write(&mut out, 1_250);
        assert_eq!(out, b"x: y\r\ngrpc-timeout: 00001250m\r\n");
        deadline.write(&mut out, u64::MAX);
        assert_eq!(out, b"x: y\r\ngrpc-timeout: 99999999m\r\n");
        deadline.write(&mut out, 0);
        assert_eq!(out, b"x: y\r\ngrpc-timeout: 00000001m\r\n");
    }

    #[test]
    fn every_refusal_has_a_status_and_a_message_of_printable_ascii() {
        for reason in Reason::ALL {
            let mut out = Vec::new();
            status_lines(&mut out, (*reason).into());
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with(&format!(" ({})\r\n", reason.code())), "{text}");
            assert_eq!(text.matches("\r\n").count(), 2, "{text}");
        }
    }
}
