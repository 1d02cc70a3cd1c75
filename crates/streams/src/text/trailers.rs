//! Trailer fields, as a map and as lines.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{BadHead, MAX_FIELDS, belongs_to_connection, bounded, checked, push_line};

/// Fields that may not come after a body, because they frame, route, authenticate or control the message
/// or say what its content is (RFC 9110 section 6.5.1). Sorted, to be found by halving.
const NEVER_TRAILERS: &[&str] = &[
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Appends trailer fields to `out` as lines, without an empty one at the end; those that may not be
/// trailers are left out.
///
/// # Errors
/// A value is malformed, or the lines are longer than `max_size` bytes; `out` is as it was.
pub fn trailers_to_lines(fields: &HeaderMap, max_size: usize, out: &mut Vec<u8>) -> Result<(), BadHead> {
    let start = out.len();
    let mut result = Ok(());
    for (name, value) in fields.iter().filter(|(name, _)| may_trail(name)) {
        match checked(value) {
            Ok(value) => push_line(out, name.as_str(), value),
            Err(bad) => result = Err(bad),
        }
    }
    bounded(out, start, max_size, result)
}

/// The trailer fields of `lines` (`name: value` CR LF, perhaps with the empty line at the end), without
/// those that may not be trailers.
///
/// # Errors
/// A line is malformed, or there are too many.
pub fn lines_to_trailers(lines: &[u8]) -> Result<HeaderMap, BadHead> {
    // httparse parses fields only behind a start line when it may leave the slots uninitialised.
    let mut text = b"T / HTTP/1.1\r\n".to_vec();
    text.extend_from_slice(lines);
    if !lines.ends_with(b"\r\n\r\n") && lines != b"\r\n" {
        text.extend_from_slice(b"\r\n");
    }
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(&text, &mut slots) {
        Ok(httparse::Status::Complete(end)) if end == text.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        _ => return Err(BadHead::Field),
    }
    let mut map = HeaderMap::with_capacity(head.headers.len());
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BadHead::Field)?;
        if may_trail(&name) {
            map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| BadHead::Field)?);
        }
    }
    Ok(map)
}

fn may_trail(name: &HeaderName) -> bool {
    !belongs_to_connection(name) && NEVER_TRAILERS.binary_search(&name.as_str()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(NEVER_TRAILERS.is_sorted());
    }

    #[test]
    fn lines_become_fields_and_lines_again() {
        let lines = b"grpc-status: 0\r\ngrpc-message: fine\r\n";
        let map = lines_to_trailers(lines).unwrap();
        assert_eq!(map.len(), 2);
        let mut out = Vec::new();
        trailers_to_lines(&map, 100, &mut out).unwrap();
        assert_eq!(out, lines);
        assert!(lines_to_trailers(b"").unwrap().is_empty());
        assert!(lines_to_trailers(b"\r\n").unwrap().is_empty());
        assert_eq!(trailers_to_lines(&map, 10, &mut Vec::new()), Err(BadHead::TooLarge));
    }

    #[test]
    fn fields_that_may_not_trail_are_left_out() {
        let lines =
            b"Host: a\r\nContent-Length: 1\r\nConnection: x\r\nTransfer-Encoding: chunked\r\nX: y\r\n";
        let map = lines_to_trailers(lines).unwrap();
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x"]);
        let mut fields = HeaderMap::new();
        for name in NEVER_TRAILERS.iter().chain(&["keep-alive", "upgrade"]) {
            fields.insert(*name, HeaderValue::from_static("v"));
        }
        let mut out = Vec::new();
        trailers_to_lines(&fields, 100, &mut out).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn malformed_lines_are_refused() {
        for lines in
            ["a b: c\r\n", "a\r\n", "a: \0\r\n", ":status: 200\r\n", "a: b\r\n\r\nGET / HTTP/1.1\r\n\r\n"]
        {
            assert!(lines_to_trailers(lines.as_bytes()).is_err(), "{lines:?}");
        }
    }
}
