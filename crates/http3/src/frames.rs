//! Frames as they arrive (RFC 9114 section 7): on request streams, where they are read, and on the client's control
//! stream, where they are only watched.
//!
//! Pure: bytes in, pieces out. What is held is at most one head, and a stream that ends inside a frame is told
//! from one that ends behind it.

use bytes::{Bytes, BytesMut};
use h3::error::Code;

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;

/// Frames that may not stand on a request stream: those of the control stream, pushes of a client, and types that
/// HTTP/2 had (RFC 9114 sections 7.2 and 7.2.8).
const MISPLACED: [u64; 9] = [0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xd];

/// What a request stream carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The field section of a head or of trailers, still compressed.
    Fields(Bytes),
    /// Bytes of a body, never none.
    Body(Bytes),
    /// A frame that says nothing: unknown, or without a body byte.
    Nothing,
}

/// What is wrong with a stream's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadFrames {
    /// A frame that may not stand where it does.
    Unexpected,
    /// The stream ended inside a frame.
    Truncated,
    /// A field section, or a frame of the control stream, is longer than allowed.
    TooLong,
}

impl BadFrames {
    /// The error code of the connection that such frames end, with a sentence for people. One that is only too
    /// long ends no more than its stream.
    pub(crate) fn code(self) -> (Code, &'static str) {
        match self {
            Self::Unexpected => (Code::H3_FRAME_UNEXPECTED, "a frame stands where it may not"),
            Self::Truncated => (Code::H3_FRAME_ERROR, "a stream ended inside a frame"),
            Self::TooLong => (Code::H3_EXCESSIVE_LOAD, "a frame is too long"),
        }
    }
}

/// Reads the frames of a request stream.
#[derive(Debug)]
pub(crate) struct FrameReader {
    input: Bytes,
    header: FrameHeader,
    inside: Inside,
    /// Pieces of a field section that came in several chunks.
    fields: BytesMut,
    phase: Phase,
    max_fields: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Header,
    Body(u64),
    Fields(u64),
    Skipped(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    /// Behind the trailers.
    Over,
}

impl FrameReader {
    /// A reader that takes field sections of at most `max_fields` bytes as they are compressed.
    pub(crate) fn new(max_fields: u64) -> Self {
        Self {
            input: Bytes::new(),
            header: FrameHeader::default(),
            inside: Inside::Header,
            fields: BytesMut::new(),
            phase: Phase::Head,
            max_fields,
        }
    }

    /// Takes the stream's next bytes, once [`FrameReader::next`] has nothing more.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.input.is_empty(), "all that was fed is taken before more is");
        self.input = chunk;
    }

    /// The next piece of what was fed, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, BadFrames> {
        loop {
            match self.inside {
                Inside::Header => {
                    let Some((kind, length)) = self.header.take(&mut self.input) else { return Ok(None) };
                    if let Some(piece) = self.enter(kind, length)? {
                        return Ok(Some(piece));
                    }
                }
                Inside::Body(left) => {
                    let Some(part) = self.part(left) else { return Ok(None) };
                    self.inside = next_inside(left, part.len(), Inside::Body);
                    return Ok(Some(Piece::Body(part)));
                }
                Inside::Skipped(left) => {
                    let Some(part) = self.part(left) else { return Ok(None) };
                    self.inside = next_inside(left, part.len(), Inside::Skipped);
                }
                Inside::Fields(left) => {
                    let Some(part) = self.part(left) else { return Ok(None) };
                    self.inside = next_inside(left, part.len(), Inside::Fields);
                    if self.inside != Inside::Header {
                        self.fields.extend_from_slice(&part);
                    } else if self.fields.is_empty() {
                        return Ok(Some(Piece::Fields(part)));
                    } else {
                        self.fields.extend_from_slice(&part);
                        return Ok(Some(Piece::Fields(std::mem::take(&mut self.fields).freeze())));
                    }
                }
            }
        }
    }

    /// Whether the stream may end here.
    pub(crate) fn end(&self) -> Result<(), BadFrames> {
        let between = self.inside == Inside::Header && self.header.is_empty() && self.input.is_empty();
        if between { Ok(()) } else { Err(BadFrames::Truncated) }
    }

    fn enter(&mut self, kind: u64, length: u64) -> Result<Option<Piece>, BadFrames> {
        match (kind, self.phase) {
            (HEADERS, Phase::Head | Phase::Body) => {
                self.phase = if self.phase == Phase::Head { Phase::Body } else { Phase::Over };
                if length > self.max_fields {
                    return Err(BadFrames::TooLong);
                }
                if length == 0 {
                    return Ok(Some(Piece::Fields(Bytes::new())));
                }
                self.inside = Inside::Fields(length);
                Ok(None)
            }
            (DATA, Phase::Body) if length == 0 => Ok(Some(Piece::Nothing)),
            (DATA, Phase::Body) => {
                self.inside = Inside::Body(length);
                Ok(None)
            }
            (DATA | HEADERS, _) => Err(BadFrames::Unexpected),
            (kind, _) if MISPLACED.contains(&kind) => Err(BadFrames::Unexpected),
            _ => {
                self.inside = next_inside(length, 0, Inside::Skipped);
                Ok(Some(Piece::Nothing))
            }
        }
    }

    /// What there is of the `left` bytes of the frame.
    fn part(&mut self, left: u64) -> Option<Bytes> {
        if self.input.is_empty() {
            return None;
        }
        let length = usize::try_from(left).map_or(self.input.len(), |left| left.min(self.input.len()));
        Some(self.input.split_to(length))
    }
}

fn next_inside(left: u64, taken: usize, inside: fn(u64) -> Inside) -> Inside {
    match left - taken as u64 {
        0 => Inside::Header,
        left => inside(left),
    }
}

/// Watches the client's control stream, whose frames h3 reads whole: that none is long, and how many come.
#[derive(Debug, Default)]
pub(crate) struct StreamWatch {
    kind: Option<u64>,
    header: FrameHeader,
    left: u64,
}

/// Bytes of the longest frame on a control stream; SETTINGS have a few dozen.
const MAX_CONTROL_FRAME: u64 = 4096;

const CONTROL_STREAM: u64 = 0x0;

impl StreamWatch {
    /// Looks at the next bytes of a unidirectional stream; tells how many frames of the control stream begin there.
    pub(crate) fn look(&mut self, mut chunk: &[u8]) -> Result<u32, BadFrames> {
        let mut frames = 0;
        if self.kind.is_none() {
            self.kind = self.header.take_one(&mut chunk);
        }
        if self.kind != Some(CONTROL_STREAM) {
            return Ok(0);
        }
        while !chunk.is_empty() {
            if self.left > 0 {
                let part = usize::try_from(self.left).map_or(chunk.len(), |left| left.min(chunk.len()));
                self.left -= part as u64;
                chunk = &chunk[part..];
            } else if let Some((_, length)) = self.header.take(&mut chunk) {
                frames += 1;
                if length > MAX_CONTROL_FRAME {
                    return Err(BadFrames::TooLong);
                }
                self.left = length;
            }
        }
        Ok(frames)
    }
}

/// The type and length of a frame, of which not all bytes may have come yet.
#[derive(Debug, Default)]
struct FrameHeader {
    bytes: [u8; 16],
    held: usize,
}

impl FrameHeader {
    fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes bytes until both integers are there.
    fn take(&mut self, input: &mut impl Input) -> Option<(u64, u64)> {
        loop {
            if let Some((kind, used)) = varint(&self.bytes[..self.held])
                && let Some((length, _)) = varint(&self.bytes[used..self.held])
            {
                self.held = 0;
                return Some((kind, length));
            }
            self.push(input.first()?);
        }
    }

    /// Takes bytes until one integer is there.
    fn take_one(&mut self, input: &mut impl Input) -> Option<u64> {
        loop {
            if let Some((value, _)) = varint(&self.bytes[..self.held]) {
                self.held = 0;
                return Some(value);
            }
            self.push(input.first()?);
        }
    }

    fn push(&mut self, byte: u8) {
        // Two integers have at most 16 bytes, and are taken as soon as they are whole.
        self.bytes[self.held] = byte;
        self.held += 1;
    }
}

trait Input {
    fn first(&mut self) -> Option<u8>;
}

impl Input for Bytes {
    fn first(&mut self) -> Option<u8> {
        (!self.is_empty()).then(|| bytes::Buf::get_u8(self))
    }
}

impl Input for &[u8] {
    fn first(&mut self) -> Option<u8> {
        let (first, rest) = self.split_first()?;
        *self = rest;
        Some(*first)
    }
}

/// A variable-length integer (RFC 9000 section 16) and its length, if it is whole.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let bytes = bytes.get(..length)?;
    let value = bytes[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// Appends a variable-length integer; `value` is below 2^62, as lengths of what is in memory are.
fn put_varint(out: &mut BytesMut, value: u64) {
    match value {
        0..0x40 => out.extend_from_slice(&[value as u8]),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Appends the header of a DATA frame.
pub(crate) fn put_data_header(out: &mut BytesMut, length: usize) {
    put_varint(out, DATA);
    put_varint(out, length as u64);
}

/// A HEADERS frame of this field section.
pub(crate) fn headers_frame(fields: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(fields.len() + 9);
    put_varint(&mut out, HEADERS);
    put_varint(&mut out, fields.len() as u64);
    out.extend_from_slice(fields);
    out.freeze()
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
