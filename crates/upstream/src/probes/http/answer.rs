//! Receiving the answer to a probe.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::probes::ProbeFailure;

/// Largest answer head, all interim answers before it included.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// How much of a body is read before the connection is closed regardless.
const MAX_BODY: u64 = 64 * 1024;
const MAX_FIELDS: usize = 128;

/// An answer of which the head has come.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    /// Bytes of the body still to come, as far as is known.
    left: u64,
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
            while let Some((status, head, body)) = parse(&bytes[skipped..])? {
                skipped += head;
                if status >= 200 || status == 101 {
                    let bodiless = to_head || matches!(status, 101 | 204 | 304);
                    let came = (bytes.len() - skipped) as u64;
                    let left = if bodiless { 0 } else { body.unwrap_or(u64::MAX).saturating_sub(came) };
                    return Ok(Self { status, left });
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

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Reads the rest of the body, up to a limit. How it ends is of no interest.
    pub(super) async fn drain(self, stream: &mut (impl AsyncRead + Unpin)) {
        let mut body = stream.take(self.left.min(MAX_BODY));
        let _ = tokio::io::copy(&mut body, &mut tokio::io::sink()).await;
    }
}

/// Status, length of the head and Content-Length, once the head is there.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize, Option<u64>)>, ProbeFailure> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(bytes).map_err(ProbeFailure::NotHttp)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
    Ok(Some((response.code.unwrap_or(0), head, length)))
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
}
