//! Reading one response: head, then exactly the expected body. No sockets here.

use super::Fault;

const MOST_FIELDS: usize = 64;
const LARGEST_HEAD: usize = 64 << 10;

/// Where a response stands.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    expected: u64,
    /// The start of a head whose end has not arrived.
    partial: Vec<u8>,
    /// Body bytes to come; none while the head is not complete.
    remaining: Option<u64>,
}

impl ResponseReader {
    /// A reader for responses with bodies of `expected` bytes.
    pub(crate) fn new(expected: u64) -> Self {
        Self { expected, partial: Vec::new(), remaining: None }
    }

    /// Begins the next response.
    pub(crate) fn restart(&mut self) {
        self.partial.clear();
        self.remaining = None;
    }

    /// Body bytes still to come, none before the head is complete.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Takes received bytes; whether the response is complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.remaining.is_some() {
            return self.skip(bytes.len() as u64);
        }
        if self.partial.is_empty() {
            return match self.head(bytes)? {
                Some(length) => self.skip((bytes.len() - length) as u64),
                None => {
                    self.partial.extend_from_slice(bytes);
                    Ok(false)
                }
            };
        }
        self.partial.extend_from_slice(bytes);
        let whole = std::mem::take(&mut self.partial);
        match self.head(&whole)? {
            Some(length) => self.skip((whole.len() - length) as u64),
            None => {
                self.partial = whole;
                Ok(false)
            }
        }
    }

    /// Counts body bytes that nobody looks at; whether the response is complete.
    pub(crate) fn skip(&mut self, count: u64) -> Result<bool, Fault> {
        let remaining = self.remaining.unwrap_or(0);
        let Some(rest) = remaining.checked_sub(count) else {
            return Err(Fault::Protocol(format!("{} bytes behind the body", count - remaining)));
        };
        self.remaining = Some(rest);
        Ok(rest == 0)
    }

    /// The length of the head once it is complete, its status and length checked.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() <= LARGEST_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(Fault::Protocol("a head without end".to_owned())),
            Err(error) => return Err(Fault::Protocol(error.to_string())),
        };
        let status = response.code.unwrap_or(0);
        if status != 200 {
            return Err(Fault::Status(status));
        }
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let stated =
            field.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<u64>().ok());
        match stated {
            Some(stated) if stated == self.expected => self.remaining = Some(stated),
            Some(stated) => {
                return Err(Fault::Length(format!("{stated} bytes instead of {}", self.expected)));
            }
            None => return Err(Fault::Length("no content-length".to_owned())),
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::ResponseReader;
    use crate::load::Fault;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello";

    #[test]
    fn a_response_may_arrive_cut_anywhere() {
        for first in 0..WHOLE.len() {
            for second in first..WHOLE.len() {
                let mut reader = ResponseReader::new(5);
                for part in [&WHOLE[..first], &WHOLE[first..second]] {
                    assert_eq!(reader.take(part), Ok(false), "cut at {first} and {second}");
                }
                assert_eq!(reader.take(&WHOLE[second..]), Ok(true), "cut at {first} and {second}");
                reader.restart();
                assert_eq!(reader.take(WHOLE), Ok(true), "the second response");
            }
        }
    }

    #[test]
    fn wrong_responses_are_faults() {
        let verdict = |bytes: &[u8]| ResponseReader::new(5).take(bytes);
        assert_eq!(verdict(b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n"), Err(Fault::Status(503)));
        let short = verdict(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell");
        assert!(matches!(short, Err(Fault::Length(_))), "{short:?}");
        let chunked = verdict(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(matches!(chunked, Err(Fault::Length(_))), "{chunked:?}");
        let surplus = verdict(&[WHOLE, b"!"].concat());
        assert!(matches!(surplus, Err(Fault::Protocol(_))), "{surplus:?}");
        assert!(matches!(verdict(b"SSH-2.0-x\r\n"), Err(Fault::Protocol(_))));
        assert!(matches!(verdict(&vec![b'a'; 100 << 10]), Err(Fault::Protocol(_))));
    }

    #[test]
    fn skipped_bytes_count() {
        let mut reader = ResponseReader::new(5);
        assert_eq!(reader.take(&WHOLE[..WHOLE.len() - 4]), Ok(false));
        assert_eq!(reader.remaining(), Some(4));
        assert_eq!(reader.skip(3), Ok(false));
        assert_eq!(reader.skip(1), Ok(true));
    }
}
