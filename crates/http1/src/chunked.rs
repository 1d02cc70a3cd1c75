//! Chunked bodies (RFC 9112 section 7.1): decoding in place, and the frames to encode with.

use std::ops::Range;

use tollgate_message::{FieldList, Known};

use crate::{Malformed, encode, scan};

/// Bytes that a chunk's frame takes before its data at the most: 16 hexadecimal digits and CR LF.
pub const CHUNK_HEADER_MAX: usize = 18;
/// The chunk that ends a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A chunk line (size and extensions) may have this many bytes. Extensions are read over and dropped;
/// without a bound they could cost more than the body.
const LINE_MAX: u32 = 1024;
/// All extensions of a body together may have this many bytes.
const EXTENSIONS_MAX: u32 = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SizeStart,
    Size,
    SizeSpace,
    Extension,
    Quoted,
    QuotedPair,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerLine,
    TrailerText,
    TrailerLf,
    EndLf,
    Done,
}

/// Decodes a chunked body, however it is cut into reads. Keeps no body bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of the current chunk's data still to come; its size while that is being read.
    remaining: u64,
    line: u32,
    extensions: u32,
    trailers: Vec<u8>,
    trailers_max: usize,
}

/// What one call of [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of the input belong to the body; what follows belongs to the next message.
    pub consumed: usize,
    /// Where the decoded data stands in the buffer now, in one piece.
    pub data: Range<usize>,
    /// Whether the body is complete.
    pub done: bool,
}

impl Decoder {
    /// A decoder at the start of a body, whose trailers may have `trailers_max` bytes.
    pub fn new(trailers_max: usize) -> Self {
        Self {
            state: State::SizeStart,
            remaining: 0,
            line: 0,
            extensions: 0,
            trailers: Vec::new(),
            trailers_max,
        }
    }

    /// Decodes the bytes in `buf`, moving the data of all but the first chunk towards it so that all
    /// data stands in one piece. One chunk a read, the usual case, moves nothing.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, Malformed> {
        let mut at = 0;
        let mut data = 0..0;
        while at < buf.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buf.len() - at);
                if data.is_empty() {
                    data = at..at + take;
                } else {
                    buf.copy_within(at..at + take, data.end);
                    data.end += take;
                }
                at += take;
                self.remaining -= take as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(buf[at])?;
                at += 1;
            }
        }
        Ok(Decoded { consumed: at, data, done: self.state == State::Done })
    }

    /// The trailer lines of a body that is done, without those that may not stand there.
    /// Empty where there are none.
    pub fn trailers(&self) -> Result<Vec<u8>, Malformed> {
        if self.trailers.is_empty() {
            return Ok(Vec::new());
        }
        let mut lines = self.trailers.clone();
        lines.extend_from_slice(b"\r\n");
        filter_trailers(&lines)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        match self.state {
            State::SizeStart | State::Size => self.step_size(byte),
            State::SizeSpace | State::Extension | State::Quoted | State::QuotedPair => {
                self.step_extension(byte)
            }
            State::SizeLf => match (byte, self.remaining) {
                (b'\n', 0) => Ok(State::TrailerLine),
                (b'\n', _) => Ok(State::Data),
                _ => Err(Malformed::Chunk),
            },
            State::DataCr => expect(byte, b'\r', State::DataLf),
            State::DataLf => {
                self.line = 0;
                expect(byte, b'\n', State::SizeStart)
            }
            State::TrailerLine if byte == b'\r' => Ok(State::EndLf),
            State::TrailerLine | State::TrailerText | State::TrailerLf => self.step_trailer(byte),
            State::EndLf => expect(byte, b'\n', State::Done),
            State::Data | State::Done => Ok(self.state),
        }
    }

    fn step_size(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line += 1;
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if self.state == State::SizeStart => return Err(Malformed::Chunk),
            b'\r' => return Ok(State::SizeLf),
            b';' => return Ok(State::Extension),
            b' ' | b'\t' => return Ok(State::SizeSpace),
            _ => return Err(Malformed::Chunk),
        };
        if self.state == State::SizeStart {
            self.remaining = 0;
        }
        // 15 digits are far beyond any body; more digits could overflow somebody's integer.
        if self.line > 15 {
            return Err(Malformed::Chunk);
        }
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn step_extension(&mut self, byte: u8) -> Result<State, Malformed> {
        self.line += 1;
        self.extensions += 1;
        if self.line > LINE_MAX || self.extensions > EXTENSIONS_MAX || is_control(byte) {
            return Err(Malformed::Chunk);
        }
        match (self.state, byte) {
            // White space may only stand before the semicolon of an extension.
            (State::SizeSpace, b' ' | b'\t') => Ok(State::SizeSpace),
            (State::SizeSpace, b';') => Ok(State::Extension),
            (State::SizeSpace, _) => Err(Malformed::Chunk),
            (State::Quoted, b'"') => Ok(State::Extension),
            (State::Quoted, b'\\') => Ok(State::QuotedPair),
            (State::Quoted | State::QuotedPair, b'\r') => Err(Malformed::Chunk),
            (State::Quoted | State::QuotedPair, _) => Ok(State::Quoted),
            (_, b'"') => Ok(State::Quoted),
            (_, b'\r') => Ok(State::SizeLf),
            _ => Ok(State::Extension),
        }
    }

    fn step_trailer(&mut self, byte: u8) -> Result<State, Malformed> {
        if self.trailers.len() >= self.trailers_max {
            return Err(Malformed::Trailer);
        }
        self.trailers.push(byte);
        match (self.state, byte) {
            (State::TrailerLf, b'\n') => Ok(State::TrailerLine),
            (State::TrailerLf, _) | (_, b'\n') => Err(Malformed::Trailer),
            (_, b'\r') => Ok(State::TrailerLf),
            _ => Ok(State::TrailerText),
        }
    }
}

fn expect(byte: u8, wanted: u8, next: State) -> Result<State, Malformed> {
    if byte == wanted { Ok(next) } else { Err(Malformed::Chunk) }
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t' && byte != b'\r') || byte == 0x7f
}

/// Keeps the trailers that mean nothing to a proxy: no field that frames, routes, authenticates or
/// identifies may come after the body (RFC 9110 section 6.5.1), and those are all known by name.
fn filter_trailers(lines: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut slots = scan::slots();
    let mut list = FieldList::default();
    let mut headers = httparse::Request::new(&mut []);
    // httparse parses fields only behind a start line when it may leave the slots uninitialised.
    let mut head = b"T / HTTP/1.1\r\n".to_vec();
    head.extend_from_slice(lines);
    match headers.parse_with_uninit_headers(&head, &mut slots) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        _ => return Err(Malformed::Trailer),
    }
    scan::collect(&head, headers.headers, &mut list);
    scan::check_line_ends(&head, &list).map_err(|_| Malformed::Trailer)?;
    let mut removed = encode::Removed::default();
    for (index, field) in list.entries().iter().enumerate() {
        if field.known != Known::Other {
            removed.insert(index);
        }
    }
    let mut kept = Vec::new();
    encode::fields(&mut kept, &head, &list, &removed, None);
    Ok(kept)
}

/// Writes the frame before a chunk of `size` bytes so that it ends at `end` in `buf`, and returns
/// where it starts. There must be [`CHUNK_HEADER_MAX`] bytes before `end`.
pub fn write_chunk_header(buf: &mut [u8], end: usize, size: usize) -> usize {
    let mut at = end - 2;
    buf[at..end].copy_from_slice(b"\r\n");
    let mut rest = size;
    loop {
        at -= 1;
        buf[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_in_pieces(body: &[u8], piece: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let mut decoder = Decoder::new(1024);
        let mut data = Vec::new();
        let mut done = false;
        for piece in body.chunks(piece.max(1)) {
            let mut buf = piece.to_vec();
            let decoded = decoder.decode(&mut buf)?;
            data.extend_from_slice(&buf[decoded.data]);
            done = decoded.done;
            if done {
                break;
            }
        }
        let trailers = if done { decoder.trailers()? } else { Vec::new() };
        Ok((data, done, trailers))
    }

    #[test]
    fn bodies_decode_the_same_however_they_are_cut() {
        let body =
            b"5\r\nhello\r\n06 ; a=b;c=\"d\\\"\"\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n";
        for piece in 1..=body.len() {
            let (data, done, trailers) = decode_in_pieces(body, piece).unwrap();
            assert_eq!((data.as_slice(), done), (&b"hello world"[..], true), "pieces of {piece}");
            assert_eq!(trailers, b"X-Sum: 1\r\n");
        }
    }

    #[test]
    fn what_follows_the_body_is_not_consumed() {
        let mut buf = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n".to_vec();
        let decoded = Decoder::new(0).decode(&mut buf).unwrap();
        assert!(decoded.done);
        assert_eq!(&buf[decoded.consumed..], b"GET / HTTP/1.1\r\n");
    }

    #[test]
    fn bad_chunks_are_refused_however_they_are_cut() {
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\r0\r\n",
            "5 \r\nhello\r\n",
            "5 5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\rb\r\n",
            "5;\"a\r\nb\"\r\nhello",
            "5;\0\r\nhello\r\n",
            ";a\r\n",
            "1000000000000000\r\n",
            "ffffffffffffffffff\r\n",
            "0000000000000001\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\rX",
        ] {
            for piece in 1..=body.len() {
                assert!(decode_in_pieces(body.as_bytes(), piece).is_err(), "{body:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn bad_trailers_are_refused() {
        for trailer in ["A b: c\r\n", " A: b\r\n", "A\r\n", "A : b\r\n", "A: \0\r\n", "A: b\r\n c\r\n"] {
            let body = format!("0\r\n{trailer}\r\n");
            assert_eq!(decode_in_pieces(body.as_bytes(), 64), Err(Malformed::Trailer), "{trailer:?}");
        }
        let long = format!("0\r\nA: {}\r\n\r\n", "b".repeat(2000));
        assert_eq!(decode_in_pieces(long.as_bytes(), 64), Err(Malformed::Trailer));
    }

    #[test]
    fn extension_floods_are_cut_off() {
        let line = format!("1;{}\r\na\r\n", "x".repeat(900));
        assert_eq!(decode_in_pieces(line.repeat(30).as_bytes(), 4096), Err(Malformed::Chunk));
        assert_eq!(
            decode_in_pieces(format!("1;{}\r\n", "x".repeat(2000)).as_bytes(), 64),
            Err(Malformed::Chunk)
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8), piece in 1usize..64) {
            let mut body = Vec::new();
            for chunk in &chunks {
                let mut frame = [0; CHUNK_HEADER_MAX];
                let start = write_chunk_header(&mut frame, CHUNK_HEADER_MAX, chunk.len());
                body.extend_from_slice(&frame[start..]);
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(LAST_CHUNK);
            let (data, done, trailers) = decode_in_pieces(&body, piece).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert!(done && trailers.is_empty());
        }

        #[test]
        fn no_input_panics_the_decoder(body in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..64) {
            let _ = decode_in_pieces(&body, piece);
        }
    }
}
