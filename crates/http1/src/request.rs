//! Request heads.

use httparse::Status;
use tollgate_message::{FieldList, Fields, Known, Method, RequestHead, Span, Version};

use crate::scan;
use crate::{HeadLimits, Malformed, Progress};

/// Where the parts of a parsed request head stand in their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// Where the method stands.
    pub method_span: Span,
    /// Where the target stands.
    pub target: Span,
    /// The version.
    pub version: Version,
    /// Offset of the first byte behind the head.
    pub end: usize,
}

impl RequestLine {
    /// The head as its readers see it. `bytes` and `list` are those the line was parsed from and into.
    pub fn view<'a>(&self, bytes: &'a [u8], list: &'a FieldList) -> RequestHead<'a> {
        RequestHead {
            method: self.method,
            method_bytes: self.method_span.of(bytes),
            target: self.target.of(bytes),
            version: self.version,
            fields: Fields::new(bytes, list),
        }
    }
}

/// Parses a request head at the start of `bytes` (RFC 9112 sections 2 to 5).
///
/// One or more empty lines before the request line are skipped. Refused are all heads that two
/// recipients could read in two ways: lone CR or LF, folded lines, white space around a field name,
/// control characters, targets with characters outside a URI, no or two `Host`.
pub fn parse(
    bytes: &[u8],
    limits: &HeadLimits,
    list: &mut FieldList,
) -> Result<Progress<RequestLine>, Malformed> {
    let mut slots = scan::slots();
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(bytes, &mut slots);
    let end = match status {
        Ok(Status::Complete(end)) => end,
        Ok(Status::Partial) => return check_partial(bytes, limits),
        Err(error) => return Err(diagnose(bytes, error, limits)),
    };
    if end > limits.head_size {
        return Err(Malformed::HeadTooLarge);
    }
    if request.headers.len() > limits.fields {
        return Err(Malformed::TooManyFields);
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Malformed::StartLine);
    };
    if target.len() > limits.target_size {
        return Err(Malformed::TargetTooLong);
    }
    if !target.bytes().all(is_target_byte) {
        return Err(Malformed::Target);
    }
    scan::collect(bytes, request.headers, list);
    let line = RequestLine {
        method: Method::from_bytes(method.as_bytes()),
        method_span: scan::span_in(bytes, method.as_bytes()),
        target: scan::span_in(bytes, target.as_bytes()),
        version: if version == 0 { Version::Http10 } else { Version::Http11 },
        end,
    };
    check_start(&bytes[..end], &line)?;
    scan::check_line_ends(&bytes[..end], list)?;
    check_host(&line, list)?;
    Ok(Progress::Complete(line))
}

/// A partial head that is already too large will not get better.
fn check_partial(bytes: &[u8], limits: &HeadLimits) -> Result<Progress<RequestLine>, Malformed> {
    let start = leading_empty_lines(bytes);
    let line = &bytes[start..];
    let line_end = memchr::memchr(b'\n', line);
    // The longest method here is a few bytes; an endless one is as bad as an endless target.
    if line_end.is_none() && line.len() > limits.target_size + 32 {
        return Err(Malformed::TargetTooLong);
    }
    if line_end.is_some_and(|end| end == 0 || line[end - 1] != b'\r') || bytes.first() == Some(&b'\n') {
        return Err(Malformed::LineEnd);
    }
    if bytes.len() >= limits.head_size { Err(Malformed::HeadTooLarge) } else { Ok(Progress::Partial) }
}

/// The empty lines before the request line must be CR LF, and the request line must end in it.
fn check_start(head: &[u8], line: &RequestLine) -> Result<(), Malformed> {
    let before = &head[..line.method_span.start as usize];
    if before.chunks(2).any(|pair| pair != b"\r\n") {
        return Err(Malformed::LineEnd);
    }
    // "SP HTTP/1.x CR": httparse took the version, so it stands right behind the target.
    let after_version = line.target.end() + " HTTP/1.1".len();
    if head.get(after_version) == Some(&b'\r') { Ok(()) } else { Err(Malformed::LineEnd) }
}

fn check_host(line: &RequestLine, list: &FieldList) -> Result<(), Malformed> {
    if !list.has(Known::Host) {
        return if line.version == Version::Http11 { Err(Malformed::MissingHost) } else { Ok(()) };
    }
    match list.entries().iter().filter(|f| f.known == Known::Host).count() {
        1 => Ok(()),
        _ => Err(Malformed::DuplicateHost),
    }
}

/// Characters of a URI (RFC 3986 section 2), and the few beyond it that browsers leave as they are
/// and no server reads in two ways. Not among them: `#` (a fragment is never sent; what follows it
/// would be matched by one side only), the backslash (some servers take it for a slash), quotes,
/// angle brackets, and all outside ASCII.
const TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"-._~:/?[]@!$&'()*+,;=%|{}^ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut i = 0;
    while i < allowed.len() {
        table[allowed[i] as usize] = true;
        i += 1;
    }
    table
};

fn is_target_byte(byte: u8) -> bool {
    TARGET_BYTES[byte as usize]
}

/// Says what is wrong with a head that httparse refused. Runs only then, so it may look twice.
fn diagnose(bytes: &[u8], error: httparse::Error, limits: &HeadLimits) -> Malformed {
    if matches!(error, httparse::Error::TooManyHeaders) {
        return Malformed::TooManyFields;
    }
    let start = leading_empty_lines(bytes);
    let rest = &bytes[start..];
    let line_end = memchr::memchr(b'\n', rest);
    let line = &rest[..line_end.unwrap_or(rest.len())];
    if let Err(malformed) = diagnose_line(line, line_end.is_some(), limits) {
        return malformed;
    }
    line_end.map_or(Malformed::StartLine, |end| scan::diagnose_fields(&rest[end + 1..]))
}

fn diagnose_line(line: &[u8], complete: bool, limits: &HeadLimits) -> Result<(), Malformed> {
    let text = match line.strip_suffix(b"\r") {
        Some(text) => text,
        None if complete => return Err(Malformed::LineEnd),
        None => line,
    };
    if memchr::memchr(b'\r', text).is_some() {
        return Err(Malformed::LineEnd);
    }
    let mut parts = text.split(|b| *b == b' ');
    let method = parts.next().unwrap_or_default();
    if method.is_empty() {
        return Err(Malformed::StartLine);
    }
    if !method.iter().all(|b| scan::is_token(*b)) {
        return Err(Malformed::Method);
    }
    let (target, version) = (parts.next(), parts.next());
    if parts.next().is_some() || target.is_some_and(|t| t.is_empty() && version.is_some()) {
        return Err(Malformed::StartLine);
    }
    if let Some(target) = target {
        if target.len() > limits.target_size {
            return Err(Malformed::TargetTooLong);
        }
        if !target.iter().all(|b| is_target_byte(*b)) {
            return Err(Malformed::Target);
        }
    }
    match version {
        Some(b"HTTP/1.0" | b"HTTP/1.1") => Ok(()),
        Some(v) if is_version(v) => Err(Malformed::Version),
        Some(v) if !complete && b"HTTP/1.1".starts_with(v) => Ok(()),
        Some(v) if !complete && begins_version(v) => Err(Malformed::Version),
        None if !complete => Ok(()),
        _ => Err(Malformed::StartLine),
    }
}

/// `HTTP/` digit `.` digit (RFC 9112 section 2.3).
fn is_version(bytes: &[u8]) -> bool {
    matches!(bytes.strip_prefix(b"HTTP/"), Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Whether a version could still come of it.
fn begins_version(bytes: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    bytes.len() <= 8 && bytes.iter().zip(b"HTTP/0.0").all(fits)
}

fn leading_empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Progress<RequestLine>, Malformed> {
        parse(text.as_bytes(), &HeadLimits::default(), &mut FieldList::default())
    }

    #[test]
    fn a_plain_request_is_taken_apart() {
        let text = b"\r\nGET /a?b=c HTTP/1.1\r\nHost: x.example\r\nX-Empty:\r\nX-Sp: \t v \t\r\n\r\nrest";
        let mut list = FieldList::default();
        let Ok(Progress::Complete(line)) = parse(text, &HeadLimits::default(), &mut list) else {
            panic!("refused");
        };
        let head = line.view(text, &list);
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.target, b"/a?b=c");
        assert_eq!(head.fields.get(Known::Host), Some(&b"x.example"[..]));
        assert_eq!(head.fields.get_by_name(b"x-empty"), Some(&b""[..]));
        assert_eq!(head.fields.get_by_name(b"x-sp"), Some(&b"v"[..]));
        assert_eq!(&text[line.end..], b"rest");
    }

    #[test]
    fn every_prefix_of_a_good_head_is_partial() {
        let text = "GET /some/path HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse_text(&text[..end]), Ok(Progress::Partial), "{:?}", &text[..end]);
        }
        assert!(matches!(parse_text(text), Ok(Progress::Complete(_))));
    }

    #[test]
    fn each_violation_has_its_name() {
        let cases: &[(&str, Malformed)] = &[
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Malformed::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Malformed::LineEnd),
            ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", Malformed::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", Malformed::ObsoleteFold),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Malformed::ObsoleteFold),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed::FieldName),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", Malformed::FieldName),
            ("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", Malformed::FieldName),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", Malformed::FieldName),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", Malformed::FieldValue),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \x0bchunked\r\n\r\n", Malformed::FieldValue),
            ("GE T / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("GET /\r\nHost: a\r\n\r\n", Malformed::StartLine),
            (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::Method),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Malformed::Version),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", Malformed::StartLine),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::Target),
            ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::Target),
            ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::Target),
            ("GET / HTTP/1.1\r\nAccept: a\r\n\r\n", Malformed::MissingHost),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Malformed::DuplicateHost),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_text(text), Err(*expected), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_version_is_named_before_its_line_is_complete() {
        for text in ["PRI * HTTP/2", "PRI * HTTP/2.", "GET / HTTP/0.9", "GET / HTTP/1.2"] {
            assert_eq!(parse_text(text), Err(Malformed::Version), "{text}");
        }
        for text in ["GET / HTTP/11", "GET / HTTPS", "GET / http"] {
            assert_eq!(parse_text(text), Err(Malformed::StartLine), "{text}");
        }
    }

    #[test]
    fn limits_hold_for_partial_and_complete_heads() {
        let limits = HeadLimits { head_size: 128, fields: 2, target_size: 16 };
        let parse = |text: &str| parse(text.as_bytes(), &limits, &mut FieldList::default());
        let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(200));
        assert_eq!(parse(&long), Err(Malformed::HeadTooLarge));
        assert_eq!(parse(&long[..180]), Err(Malformed::HeadTooLarge));
        let fields = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n";
        assert_eq!(parse(fields), Err(Malformed::TooManyFields));
        let target = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(parse(target), Err(Malformed::TargetTooLong));
        assert_eq!(parse(&format!("GET /{}", "a".repeat(100))), Err(Malformed::TargetTooLong));
    }

    #[test]
    fn an_http_1_0_request_needs_no_host() {
        assert!(matches!(parse_text("GET / HTTP/1.0\r\n\r\n"), Ok(Progress::Complete(_))));
    }
}
