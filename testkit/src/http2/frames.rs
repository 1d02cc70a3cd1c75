//! Raw frames (RFC 9113 section 4.1) and header blocks without Huffman coding.

/// DATA.
pub const DATA: u8 = 0;
/// HEADERS.
pub const HEADERS: u8 = 1;
/// PRIORITY.
pub const PRIORITY: u8 = 2;
/// RST_STREAM.
pub const RST_STREAM: u8 = 3;
/// SETTINGS.
pub const SETTINGS: u8 = 4;
/// PING.
pub const PING: u8 = 6;
/// GOAWAY.
pub const GOAWAY: u8 = 7;
/// WINDOW_UPDATE.
pub const WINDOW_UPDATE: u8 = 8;
/// CONTINUATION.
pub const CONTINUATION: u8 = 9;

/// The flag of the last frame of a message.
pub const END_STREAM: u8 = 0x1;
/// The flag of SETTINGS and PING that answer.
pub const ACK: u8 = 0x1;
/// The flag of the last frame of a head.
pub const END_HEADERS: u8 = 0x4;

/// What a client begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The four bytes at `at` as a number: of error codes and increments.
    pub fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).expect("a number in the payload");
        u32::from_be_bytes(bytes.try_into().expect("four bytes"))
    }

    /// The length, kind and flags that a frame's first nine bytes tell, and its stream.
    pub(super) fn head(bytes: &[u8]) -> (usize, Self) {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & 0x7fff_ffff;
        (length, Self { kind: bytes[3], flags: bytes[4], stream, payload: Vec::new() })
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Reset with this code.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// GOAWAY with the last stream that was looked at.
pub fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// Opens a window.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// Settings.
pub fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = list
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A head in one frame, with END_HEADERS besides `flags`.
pub fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, block)
}

/// A header block of these fields, each a literal that no table keeps (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        literal(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

/// Appends a literal that no table keeps. Whatever the bytes are.
pub fn literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        integer(out, text.len());
        out.extend_from_slice(text);
    }
}

/// Appends a literal that the table keeps (RFC 7541 section 6.2.1).
pub fn kept_literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0x40);
    for text in [name, value] {
        integer(out, text.len());
        out.extend_from_slice(text);
    }
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return out.push(value as u8);
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The block of a GET of `path` at a.example over http.
pub fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[])
}

/// The block of a request at a.example over http, and these fields.
pub fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.example")];
    block(&[&pseudo[..], fields].concat())
}
