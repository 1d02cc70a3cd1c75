//! Receiving the answer to a probe.

use tokio::io::{AsyncRead, AsyncReadExt};

use tollgate_http1::chunked::Decoder;

use crate::probes::ProbeFailure;

/// Largest answer head, all interim answers before it included.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// How much of a body is read before the connection is closed regardless.
const MAX_BODY: u64 = 64 * 1024;
const MAX_FIELDS: usize = 128;

/// Bytes of trailers that are read over.
const MAX_TRAILERS: usize = 16 * 1024;
/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// An answer of which the head has come.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    /// Bytes of the body still to come after [`Self::start`], as far as is known.
    left: u64,
    chunked: bool,
    /// What came of the body with the head.
    start: Vec<u8>,
}

/// The head of an answer.
struct Head {
    status: u16,
    size: usize,
    length: Option<u64>,
    chunked: bool,
}

impl Answer {
    /// Receives the head of the final answer; interim ones (1xx) are skipped. `to_head`: the request was a
    /// HEAD.
    pub(super) async fn receive(
        stream: &mut (impl AsyncRead + Unpin),
        to_head: bool,
    ) -> Result<Self, ProbeFailure> {
        let mut bytes = Vec::with_capacity(1024);
        let mut skipped = 0;
        loop {
            while let Some(head) = parse(&bytes[skipped..])? {
                skipped += head.size;
                if head.status >= 200 || head.status == 101 {
                    return Ok(Self::begin(&head, to_head, bytes.split_off(skipped)));
                }
            }
            if bytes.len() >= MAX_HEAD {
                return Err(ProbeFailure::HeadTooLarge(MAX_HEAD));
            }
            let room = (MAX_HEAD - bytes.len()) as u64;
            let received = (&mut *stream).take(room).read_buf(&mut bytes).await;
            if received.map_err(|error| ProbeFailure::from_exchange(&error))? == 0 {
                return Err(ProbeFailure::Closed);
            }
        }
    }

    fn begin(head: &Head, to_head: bool, mut start: Vec<u8>) -> Self {
        let bodiless = to_head || matches!(head.status, 101 | 204 | 304);
        let length = match () {
            () if bodiless => 0,
            () if head.chunked => u64::MAX,
            () => head.length.unwrap_or(u64::MAX),
        };
        start.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let left = length.saturating_sub(start.len() as u64);
        Self { status: head.status, left, chunked: head.chunked && !bodiless, start }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Reads the body into `body` until it ends, breaks, or has `most` bytes there. What came stands there at any time.
    pub(super) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        most: usize,
        body: &mut Vec<u8>,
    ) {
        let mut decoder = self.chunked.then(|| Decoder::new(MAX_TRAILERS));
        let mut piece = std::mem::take(&mut self.start);
        loop {
            let ended = match &mut decoder {
                Some(decoder) => match decoder.decode(&mut piece) {
                    Ok(decoded) => {
                        body.extend_from_slice(&piece[decoded.data]);
                        decoded.done
                    }
                    Err(_) => true,
                },
                None => {
                    body.extend_from_slice(&piece);
                    self.left == 0
                }
            };
            if ended || body.len() >= most {
                return;
            }
            piece.clear();
            let read = (&mut *stream).take(self.left.min(PIECE as u64)).read_buf(&mut piece).await;
            match read {
                Ok(0) | Err(_) => return,
                Ok(read) => self.left = self.left.saturating_sub(read as u64),
            }
        }
    }

    /// Reads the rest of the body, up to a limit. How it ends is of no interest.
    pub(super) async fn drain(self, stream: &mut (impl AsyncRead + Unpin)) {
        let mut body = stream.take(self.left.min(MAX_BODY));
        let _ = tokio::io::copy(&mut body, &mut tokio::io::sink()).await;
    }
}

/// The head, once it is there.
fn parse(bytes: &[u8]) -> Result<Option<Head>, ProbeFailure> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let size = match response.parse(bytes).map_err(ProbeFailure::NotHttp)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial => return Ok(None),
    };
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let length = field("content-length");
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
    let chunked = field("transfer-encoding");
    let chunked = chunked.is_some_and(|field| field.value.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    Ok(Some(Head { status: response.code.unwrap_or(0), size, length, chunked }))
}

#[cfg(test)]
mod tests {
    use super::{Answer, MAX_HEAD};
    use crate::probes::ProbeFailure;
    use tokio::io::AsyncWriteExt;

    /// The answer in these bytes, coming in pieces of this size.
    async fn received(bytes: &[u8], piece: usize) -> Result<(u16, u64), ProbeFailure> {
        let (mut ours, mut theirs) = tokio::io::duplex(piece);
        let receive = async move { Answer::receive(&mut ours, false).await };
        let send = async move { theirs.write_all(bytes).await };
        let (answer, _) = tokio::join!(receive, send);
        answer.map(|answer| (answer.status, answer.left))
    }

    #[tokio::test]
    async fn heads_are_read_in_any_pieces() {
        let bytes =
            b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        for piece in 1..=bytes.len() {
            assert_eq!(received(bytes, piece).await, Ok((200, 1000)), "pieces of {piece}");
        }
        assert_eq!(received(b"HTTP/1.0 204 \r\n\r\n", 99).await, Ok((204, 0)));
        assert_eq!(received(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", 999).await, Ok((200, 6)));
        assert_eq!(received(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", 999).await, Ok((200, u64::MAX)));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_refused() {
        assert_eq!(received(b"", 1).await, Err(ProbeFailure::Closed));
        assert_eq!(received(b"HTTP/1.1 200 OK\r\n", 1).await, Err(ProbeFailure::Closed));
        assert!(matches!(received(b"SSH-2.0-x\r\n", 99).await, Err(ProbeFailure::NotHttp(_))));
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &[b'a'; 2 * MAX_HEAD]].concat();
        assert_eq!(received(&endless, 1000).await, Err(ProbeFailure::HeadTooLarge(MAX_HEAD)));
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
        assert_eq!(received(&interim, 1000).await, Err(ProbeFailure::HeadTooLarge(MAX_HEAD)));
    }

    #[tokio::test]
    async fn bodies_are_read_in_any_pieces_and_no_further_than_wanted() {
        let lengths: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
            b"HTTP/1.1 200 OK\r\n\r\nhello world",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: 1\r\n\r\n",
        ];
        for bytes in lengths {
            for piece in 1..=bytes.len() {
                for most in [1, 5, 11, 100] {
                    let (mut ours, mut theirs) = tokio::io::duplex(piece);
                    let read = async move {
                        let (mut answer, mut body) =
                            (Answer::receive(&mut ours, false).await.unwrap(), Vec::new());
                        answer.read(&mut ours, most, &mut body).await;
                        body
                    };
                    let send = async move {
                        let _ = theirs.write_all(bytes).await;
                    };
                    let (body, ()) = tokio::join!(read, send);
                    assert!(body.len() >= most.min(11), "pieces of {piece}");
                    assert_eq!(body, &b"hello world"[..body.len()], "pieces of {piece}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_is_as_long_as_it_came() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello"[..], &b"hello"[..]),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz", b"hello"),
            (b"HTTP/1.1 204 OK\r\n\r\nhello", b""),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello", b"he"),
        ] {
            for piece in [1, 3, 1000] {
                let (mut ours, mut theirs) = tokio::io::duplex(piece);
                let read = async move {
                    let (mut answer, mut body) =
                        (Answer::receive(&mut ours, false).await.unwrap(), Vec::new());
                    answer.read(&mut ours, 100, &mut body).await;
                    body
                };
                let send = async move {
                    let _ = theirs.write_all(bytes).await;
                };
                let (body, ()) = tokio::join!(read, send);
                // What was decoded of a piece before it broke is of no use.
                let is_cut = body.len() < expected.len() && piece == 1000;
                assert!(is_cut || body == expected, "{body:?}");
            }
        }
    }
}
