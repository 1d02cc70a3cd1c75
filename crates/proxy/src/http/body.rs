//! Body bytes on their way through: taken apart by how they arrive and framed for how they leave,
//! in the buffer they were received in. Requests and responses share this.

use std::ops::Range;

use memchr::memmem;
use tollgate_http1::Malformed;
use tollgate_http1::chunked::{CHUNK_HEADER_MAX, LAST_CHUNK, write_chunk_header};
use tollgate_http1::edits::Edits;

use crate::exchange::{BodyReader, BodyWriter, Outgoing};

/// Body bytes ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Where they stand in the buffer, frames included.
    pub range: Range<usize>,
    /// The end of the body, where trailers make it too long for the buffer.
    pub tail: Vec<u8>,
    /// The trailers, where they are told beside the bytes.
    pub trailers: Vec<u8>,
    /// How many of them are the body's own.
    pub data: u64,
    /// Where those stand.
    pub content: Range<usize>,
}

/// Takes the bytes of a body out of `scratch[start..end]`. Bytes behind the body go to `surplus`.
///
/// There must be [`CHUNK_HEADER_MAX`] bytes before `start` and [`crate::buffers::TAILROOM`] behind
/// `end` that may be overwritten. Trailers of names that `edits` removes from the head are removed, too.
pub fn take(
    reader: &mut BodyReader,
    writer: BodyWriter,
    scratch: &mut [u8],
    start: usize,
    end: usize,
    surplus: &mut Vec<u8>,
    edits: Option<&Edits>,
) -> Result<Block, Malformed> {
    debug_assert!(start >= CHUNK_HEADER_MAX);
    let mut trailers = Vec::new();
    let (data, consumed) = match reader {
        BodyReader::Done => (start..start, start),
        BodyReader::UntilClose | BodyReader::Stream => (start..end, end),
        BodyReader::Known(remaining) => {
            let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(end - start);
            *remaining -= take as u64;
            if *remaining == 0 {
                *reader = BodyReader::Done;
            }
            (start..start + take, start + take)
        }
        BodyReader::Chunked(decoder) => {
            let decoded = decoder.decode(&mut scratch[start..end])?;
            if decoded.done {
                trailers = without_edited(decoder.trailers()?, edits);
                *reader = BodyReader::Done;
            }
            (start + decoded.data.start..start + decoded.data.end, start + decoded.consumed)
        }
    };
    surplus.extend_from_slice(&scratch[consumed..end]);
    let size = data.len();
    let ends = reader.is_done() && consumed > start;
    let mut block = Block { content: data.clone(), range: data, data: size as u64, ..Block::default() };
    match writer {
        BodyWriter::Plain => {}
        BodyWriter::Chunked => frame(&mut block, scratch, ends, trailers),
        BodyWriter::Stream => block.trailers = trailers,
    }
    Ok(block)
}

fn frame(block: &mut Block, scratch: &mut [u8], ends: bool, trailers: Vec<u8>) {
    if !block.range.is_empty() {
        let size = block.range.len();
        block.range.start = write_chunk_header(scratch, block.range.start, size);
        scratch[block.range.end..block.range.end + 2].copy_from_slice(b"\r\n");
        block.range.end += 2;
    }
    if !ends {
        return;
    }
    if trailers.is_empty() {
        scratch[block.range.end..block.range.end + LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
        block.range.end += LAST_CHUNK.len();
    } else {
        block.tail = last_chunk(&trailers);
    }
}

/// Trailers without those that a head must not have either: what reads both together would take them for its fields.
pub fn without_edited(trailers: Vec<u8>, edits: Option<&Edits>) -> Vec<u8> {
    let Some(edits) = edits.filter(|_| !trailers.is_empty()) else { return trailers };
    let mut kept = Vec::with_capacity(trailers.len());
    let mut rest = trailers.as_slice();
    while !rest.is_empty() {
        let end = memmem::find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, behind) = rest.split_at(end);
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if !std::str::from_utf8(name).is_ok_and(|name| edits.replaces(name)) {
            kept.extend_from_slice(line);
        }
        rest = behind;
    }
    kept
}

/// A stream has ended, or a connection that a body ended with: writes the end of the body as it leaves.
pub fn finish(out: &mut Outgoing, trailers: Vec<u8>) {
    match out.writer {
        BodyWriter::Plain => {}
        BodyWriter::Chunked => out.bytes.extend_from_slice(&last_chunk(&trailers)),
        BodyWriter::Stream => out.trailers = trailers,
    }
}

fn last_chunk(trailers: &[u8]) -> Vec<u8> {
    [b"0\r\n", trailers, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_http1::chunked::Decoder;

    fn through(
        mut reader: BodyReader,
        writer: BodyWriter,
        input: &[u8],
        piece: usize,
    ) -> (String, String, bool) {
        let (mut out, mut surplus) = (Vec::new(), Vec::new());
        for piece in input.chunks(piece) {
            let mut scratch = vec![b'#'; 32];
            scratch.extend_from_slice(piece);
            let end = scratch.len();
            scratch.extend_from_slice(&[b'#'; 16]);
            let block = take(&mut reader, writer, &mut scratch, 32, end, &mut surplus, None).unwrap();
            out.extend_from_slice(&scratch[block.range]);
            out.extend_from_slice(&block.tail);
        }
        (String::from_utf8(out).unwrap(), String::from_utf8(surplus).unwrap(), reader.is_done())
    }

    #[test]
    fn known_lengths_pass_and_what_follows_is_kept() {
        for piece in 1..12 {
            let result = through(BodyReader::Known(5), BodyWriter::Plain, b"helloGET /", piece);
            assert_eq!(result, ("hello".into(), "GET /".into(), true), "pieces of {piece}");
        }
    }

    #[test]
    fn chunks_are_framed_anew_and_extensions_and_trailers_known_here_dropped() {
        let input = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\nGET /";
        let reader = || BodyReader::Chunked(Box::new(Decoder::new(1024)));
        let whole = through(reader(), BodyWriter::Chunked, input, 1000);
        assert_eq!(whole, ("5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n".into(), "GET /".into(), true));
        let plain = through(reader(), BodyWriter::Plain, input, 1000);
        assert_eq!(plain, ("abcde".into(), "GET /".into(), true));
        let bytes = through(reader(), BodyWriter::Chunked, input, 1);
        assert_eq!(bytes.0, "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n0\r\nX-T: 1\r\n\r\n");
        let short = through(reader(), BodyWriter::Chunked, b"0\r\n\r\n", 5);
        assert_eq!(short, ("0\r\n\r\n".into(), String::new(), true));
    }

    #[test]
    fn trailers_of_names_that_are_removed_are_removed() {
        let mut edits = Edits::default();
        edits.remove("x-consumer");
        edits.set("X-User", "alice");
        let trailers = b"X-Consumer: root\r\nX-T: 1\r\nx-USER:root\r\nX-Consumers: 2\r\n".to_vec();
        assert_eq!(without_edited(trailers.clone(), Some(&edits)), b"X-T: 1\r\nX-Consumers: 2\r\n");
        assert_eq!(without_edited(trailers.clone(), None), trailers);
        assert_eq!(without_edited(Vec::new(), Some(&edits)), b"");
    }

    #[test]
    fn a_body_that_ends_with_its_connection_can_leave_in_chunks() {
        let result = through(BodyReader::UntilClose, BodyWriter::Chunked, b"abc", 2);
        assert_eq!(result, ("2\r\nab\r\n1\r\nc\r\n".into(), String::new(), false));
    }
}
