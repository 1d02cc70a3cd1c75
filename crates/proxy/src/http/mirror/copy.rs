//! Copying a request: from how it was framed for one endpoint to how it is framed for another.

use memchr::memmem;
use tollgate_http1::chunked::Decoder;

use crate::exchange::{BodyWriter, Outgoing};

/// Tells services that they get a copy.
const MARK: &[u8] = b"X-Tollgate-Mirror: 1\r\n";
/// What stands in a head whose body has no length, and only there.
const NO_LENGTH: &[u8] = b"\r\nTransfer-Encoding: chunked\r\n";

/// A request that was kept whole, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// The head, marked as a copy's.
    head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The lines of its trailers.
    trailers: Vec<u8>,
}

impl Parts {
    /// Of a request that is complete and begins with its start.
    pub fn of(request: &Outgoing) -> Option<Self> {
        let end = memmem::find(&request.bytes, b"\r\n\r\n")? + 4;
        let (written, rest) = request.bytes.split_at(end);
        // In front of the empty line: what stands before keeps its place.
        let head = [&written[..end - 2], MARK, b"\r\n"].concat();
        let mut body = rest.to_vec();
        let mut trailers = request.trailers.clone();
        if request.writer == BodyWriter::Chunked {
            let mut decoder = Decoder::new(usize::MAX);
            let decoded = decoder.decode(&mut body).ok().filter(|decoded| decoded.done)?;
            trailers = decoder.trailers().ok()?;
            body.truncate(decoded.data.end);
            body.drain(..decoded.data.start);
        }
        Some(Self { head, body, trailers })
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.body.len() + self.trailers.len()
    }

    /// Writes the request for an endpoint, which may speak in streams.
    pub fn write(&self, out: &mut Outgoing, streams: bool) {
        out.bytes.extend_from_slice(&self.head);
        let unknown_length = memmem::find(&self.head, NO_LENGTH).is_some();
        out.writer = match (streams, unknown_length) {
            (true, _) => BodyWriter::Stream,
            (false, true) => BodyWriter::Chunked,
            (false, false) => BodyWriter::Plain,
        };
        match out.writer {
            BodyWriter::Stream => {
                out.bytes.extend_from_slice(&self.body);
                out.trailers.clone_from(&self.trailers);
            }
            BodyWriter::Plain => out.bytes.extend_from_slice(&self.body),
            BodyWriter::Chunked => {
                if !self.body.is_empty() {
                    out.bytes.extend_from_slice(format!("{:x}\r\n", self.body.len()).as_bytes());
                    out.bytes.extend_from_slice(&self.body);
                    out.bytes.extend_from_slice(b"\r\n");
                }
                out.bytes.extend_from_slice(b"0\r\n");
                out.bytes.extend_from_slice(&self.trailers);
                out.bytes.extend_from_slice(b"\r\n");
            }
        }
        out.replayable = true;
    }
}

#[cfg(test)]
mod tests {
    use super::Parts;
    use crate::exchange::{BodyWriter, Outgoing};

    fn request(text: &str, writer: BodyWriter, trailers: &str) -> Outgoing {
        Outgoing {
            bytes: text.into(),
            writer,
            trailers: trailers.into(),
            replayable: true,
            ..Outgoing::default()
        }
    }

    fn copied(parts: &Parts, streams: bool) -> (String, BodyWriter, String) {
        let mut out = Outgoing::default();
        parts.write(&mut out, streams);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(out.bytes), out.writer, text(out.trailers))
    }

    #[test]
    fn a_body_of_known_length_stays_as_it_is() {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n";
        let marked =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Tollgate-Mirror: 1\r\n\r\n\r\n\r\n";
        for writer in [BodyWriter::Plain, BodyWriter::Stream] {
            let parts = Parts::of(&request(text, writer, "")).unwrap();
            assert_eq!(copied(&parts, false), (marked.into(), BodyWriter::Plain, String::new()));
            assert_eq!(copied(&parts, true), (marked.into(), BodyWriter::Stream, String::new()));
        }
    }

    #[test]
    fn chunks_and_streams_become_each_other() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
        let chunks = format!("{head}\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n");
        let chunked = Parts::of(&request(&chunks, BodyWriter::Chunked, "")).unwrap();
        let streamed =
            Parts::of(&request(&format!("{head}\r\nabcde"), BodyWriter::Stream, "X-T: 1\r\n")).unwrap();
        assert_eq!(chunked, streamed);
        let marked = format!("{head}X-Tollgate-Mirror: 1\r\n\r\n");
        let stream = (format!("{marked}abcde"), BodyWriter::Stream, "X-T: 1\r\n".to_owned());
        assert_eq!(copied(&chunked, true), stream);
        let chunks =
            (format!("{marked}5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n"), BodyWriter::Chunked, String::new());
        assert_eq!(copied(&streamed, false), chunks);
    }

    #[test]
    fn an_empty_body_in_chunks_is_its_end() {
        let text = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let parts = Parts::of(&request(text, BodyWriter::Chunked, "")).unwrap();
        assert!(copied(&parts, false).0.ends_with("\r\n\r\n0\r\n\r\n") && parts.body.is_empty());
    }
}
