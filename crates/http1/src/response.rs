//! Response heads.

use httparse::Status;
use tollgate_message::{FieldList, Fields, ResponseHead, Span, Version};

use crate::scan;
use crate::{HeadLimits, Malformed, Progress};

/// Where the parts of a parsed response head stand in their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// The status code, 100 to 999.
    pub status: u16,
    /// Where the reason phrase stands; often empty.
    pub reason_phrase: Span,
    /// The version.
    pub version: Version,
    /// Offset of the first byte behind the head.
    pub end: usize,
}

impl StatusLine {
    /// The head as its readers see it. `bytes` and `list` are those the line was parsed from and into.
    pub fn view<'a>(&self, bytes: &'a [u8], list: &'a FieldList) -> ResponseHead<'a> {
        ResponseHead {
            status: self.status,
            reason_phrase: self.reason_phrase.of(bytes),
            version: self.version,
            fields: Fields::new(bytes, list),
        }
    }
}

/// Parses a response head at the start of `bytes` (RFC 9112 section 4). As strict about line ends,
/// names and values as the request parser: an endpoint that is sloppy there could split responses.
pub fn parse(
    bytes: &[u8],
    limits: &HeadLimits,
    list: &mut FieldList,
) -> Result<Progress<StatusLine>, Malformed> {
    let mut slots = scan::slots();
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut response, bytes, &mut slots);
    let end = match status {
        Ok(Status::Complete(end)) => end,
        Ok(Status::Partial) if bytes.len() >= limits.head_size => return Err(Malformed::HeadTooLarge),
        Ok(Status::Partial) => return Ok(Progress::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooManyFields),
        Err(httparse::Error::Version) => return Err(Malformed::Version),
        Err(httparse::Error::Status) => return Err(Malformed::Status),
        Err(_) => {
            let line_end = memchr::memchr(b'\n', bytes);
            return Err(line_end.map_or(Malformed::StartLine, |end| scan::diagnose_fields(&bytes[end + 1..])));
        }
    };
    if end > limits.head_size {
        return Err(Malformed::HeadTooLarge);
    }
    if response.headers.len() > limits.fields {
        return Err(Malformed::TooManyFields);
    }
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err(Malformed::StartLine);
    };
    if status < 100 || !bytes.starts_with(b"HTTP/") {
        return Err(Malformed::Status);
    }
    scan::collect(bytes, response.headers, list);
    scan::check_line_ends(&bytes[..end], list)?;
    Ok(Progress::Complete(StatusLine {
        status,
        reason_phrase: reason_phrase(bytes),
        version: if version == 0 { Version::Http10 } else { Version::Http11 },
        end,
    }))
}

/// The reason phrase of a complete head. httparse hides phrases outside ASCII, so it is found anew.
fn reason_phrase(head: &[u8]) -> Span {
    const BEFORE: usize = "HTTP/1.1 200 ".len();
    let end = memchr::memchr(b'\r', head).unwrap_or(0);
    if end > BEFORE { Span::new(BEFORE, end) } else { Span::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_message::Known;

    fn parse_text(text: &str) -> Result<Progress<StatusLine>, Malformed> {
        parse(text.as_bytes(), &HeadLimits::default(), &mut FieldList::default())
    }

    #[test]
    fn a_plain_response_is_taken_apart() {
        let text = b"HTTP/1.1 404 Not Found\r\nDate: now\r\n\r\nbody";
        let mut list = FieldList::default();
        let Ok(Progress::Complete(line)) = parse(text, &HeadLimits::default(), &mut list) else {
            panic!("refused");
        };
        let head = line.view(text, &list);
        assert_eq!((head.status, head.reason_phrase), (404, &b"Not Found"[..]));
        assert_eq!(head.fields.get(Known::Date), Some(&b"now"[..]));
        assert_eq!(&text[line.end..], b"body");
    }

    #[test]
    fn a_missing_reason_phrase_is_fine() {
        for text in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.0 200 \r\n\r\n", "HTTP/1.1 299 \u{e4}\r\n\r\n"] {
            assert!(matches!(parse_text(text), Ok(Progress::Complete(_))), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "HTTP/0.9 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "hello there, this is not HTTP\r\n\r\n",
            "HTTP/1.1 200 OK\nDate: x\n\n",
            "HTTP/1.1 200 OK\r\nDate : x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: x\r\n y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n",
        ] {
            assert!(parse_text(text).is_err(), "{text:?}");
        }
    }
}
