//! How long a body is (RFC 9112 section 6.3).

use tollgate_message::{BodyLength, Fields, Known, Method, RequestHead, ResponseHead, Version};

use crate::Malformed;

/// The length of a request's body. Anything that two recipients could read in two ways is refused:
/// two lengths (even equal ones), a length beside a transfer coding, a coding other than `chunked`.
pub fn request_body(head: &RequestHead<'_>) -> Result<BodyLength, Malformed> {
    if is_chunked(&head.fields, head.version)? {
        return Ok(BodyLength::Chunked);
    }
    if !head.fields.has(Known::ContentLength) {
        return Ok(BodyLength::None);
    }
    let mut lengths = head.fields.all(Known::ContentLength);
    let first = lengths.next().unwrap_or_default();
    if lengths.next().is_some() {
        return Err(Malformed::DuplicateContentLength);
    }
    known(parse_length(first)?)
}

/// The length of a response's body; the request's method decides about HEAD. Lengths that are
/// repeated but equal are taken as one (RFC 9110 section 8.6), since an endpoint is not a stranger.
pub fn response_body(method: Method, head: &ResponseHead<'_>) -> Result<BodyLength, Malformed> {
    let no_body = method == Method::Head || matches!(head.status, 100..=199 | 204 | 304);
    if is_chunked(&head.fields, head.version)? {
        return Ok(if no_body { BodyLength::None } else { BodyLength::Chunked });
    }
    if !head.fields.has(Known::ContentLength) {
        return Ok(if no_body { BodyLength::None } else { BodyLength::UntilClose });
    }
    let mut lengths = head.fields.all(Known::ContentLength);
    let first = parse_length(lengths.next().unwrap_or_default())?;
    for other in lengths {
        if parse_length(other)? != first {
            return Err(Malformed::DuplicateContentLength);
        }
    }
    if no_body { Ok(BodyLength::None) } else { known(first) }
}

fn known(length: u64) -> Result<BodyLength, Malformed> {
    Ok(if length == 0 { BodyLength::None } else { BodyLength::Known(length) })
}

/// `1*DIGIT` below 2^63; no sign, no list, no white space.
fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > 19 {
        return Err(Malformed::ContentLength);
    }
    let mut length: u64 = 0;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(Malformed::ContentLength);
        }
        length = length * 10 + u64::from(byte - b'0');
    }
    if length > i64::MAX as u64 { Err(Malformed::ContentLength) } else { Ok(length) }
}

/// Whether the body is chunked. A transfer coding beside a length, in HTTP/1.0, or any other than
/// `chunked` is refused in requests and responses alike.
fn is_chunked(fields: &Fields<'_>, version: Version) -> Result<bool, Malformed> {
    if !fields.has(Known::TransferEncoding) {
        return Ok(false);
    }
    if fields.has(Known::ContentLength) {
        return Err(Malformed::LengthWithTransferEncoding);
    }
    if version == Version::Http10 {
        return Err(Malformed::TransferEncoding);
    }
    check_chunked_only(fields)?;
    Ok(true)
}

fn check_chunked_only(fields: &Fields<'_>) -> Result<(), Malformed> {
    let mut codings = fields.all(Known::TransferEncoding);
    let first = codings.next().unwrap_or_default();
    let alone = codings.next().is_none();
    if alone && first.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    // "gzip, chunked" is well formed but not spoken here; all else is an attempt to be read in two ways.
    let mut names = first.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let last_is_chunked = names.next_back().is_some_and(|name| name.eq_ignore_ascii_case(b"chunked"));
    let known_names = [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"];
    let well_formed =
        last_is_chunked && names.all(|name| known_names.iter().any(|k| k.eq_ignore_ascii_case(name)));
    Err(if alone && well_formed { Malformed::UnknownTransferCoding } else { Malformed::TransferEncoding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, Progress, request, response};
    use tollgate_message::FieldList;

    fn of_request(fields: &str, version: &str) -> Result<BodyLength, Malformed> {
        let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let mut list = FieldList::default();
        match request::parse(text.as_bytes(), &HeadLimits::default(), &mut list)? {
            Progress::Complete(line) => request_body(&line.view(text.as_bytes(), &list)),
            Progress::Partial => panic!("partial: {text:?}"),
        }
    }

    fn of_response(method: Method, head: &str) -> Result<BodyLength, Malformed> {
        let mut list = FieldList::default();
        match response::parse(head.as_bytes(), &HeadLimits::default(), &mut list)? {
            Progress::Complete(line) => response_body(method, &line.view(head.as_bytes(), &list)),
            Progress::Partial => panic!("partial: {head:?}"),
        }
    }

    #[test]
    fn lengths_of_requests() {
        assert_eq!(of_request("", "1.1"), Ok(BodyLength::None));
        assert_eq!(of_request("Content-Length: 0\r\n", "1.1"), Ok(BodyLength::None));
        assert_eq!(of_request("Content-Length: 007\r\n", "1.1"), Ok(BodyLength::Known(7)));
        assert_eq!(of_request("Transfer-Encoding: Chunked\r\n", "1.1"), Ok(BodyLength::Chunked));
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        use Malformed as M;
        for (fields, version, expected) in [
            ("Content-Length: 5\r\nContent-Length: 5\r\n", "1.1", M::DuplicateContentLength),
            ("Content-Length: 5, 5\r\n", "1.1", M::ContentLength),
            ("Content-Length: +5\r\n", "1.1", M::ContentLength),
            ("Content-Length: -0\r\n", "1.1", M::ContentLength),
            ("Content-Length: 0x5\r\n", "1.1", M::ContentLength),
            ("Content-Length: 5 5\r\n", "1.1", M::ContentLength),
            ("Content-Length:\r\n", "1.1", M::ContentLength),
            ("Content-Length: 9223372036854775808\r\n", "1.1", M::ContentLength),
            ("Content-Length: 99999999999999999999\r\n", "1.1", M::ContentLength),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "1.1", M::LengthWithTransferEncoding),
            ("Transfer-Encoding: chunked\r\n", "1.0", M::TransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: chunked, chunked\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: chunked, identity\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: identity\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: xchunked\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: \"chunked\"\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding:\r\n", "1.1", M::TransferEncoding),
            ("Transfer-Encoding: gzip, chunked\r\n", "1.1", M::UnknownTransferCoding),
        ] {
            assert_eq!(of_request(fields, version), Err(expected), "{fields:?}");
        }
    }

    #[test]
    fn lengths_of_responses() {
        use BodyLength::{Chunked, Known, None, UntilClose};
        for (method, head, expected) in [
            (Method::Get, "HTTP/1.1 200 OK\r\n\r\n", Ok(UntilClose)),
            (Method::Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Ok(Known(3))),
            (Method::Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", Ok(Known(3))),
            (Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Ok(None)),
            (Method::Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(None)),
            (Method::Get, "HTTP/1.1 304 NM\r\nContent-Length: 3\r\n\r\n", Ok(None)),
            (Method::Get, "HTTP/1.1 204 NC\r\n\r\n", Ok(None)),
            (Method::Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(Chunked)),
        ] {
            assert_eq!(of_response(method, head), expected, "{head:?}");
        }
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(of_response(Method::Get, head).is_err(), "{head:?}");
        }
    }
}
