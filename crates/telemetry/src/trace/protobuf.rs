//! The wire format of protocol buffers, as far as OTLP needs it: messages are appended to a buffer as they
//! are, without objects in between, since a span is written for each sampled exchange on a worker.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// Bytes that a length takes while it is not known: enough for 2 MiB, in a form that decoders accept.
const LENGTH_ROOM: usize = 3;

/// Appends a message field whose content `write` appends.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, LENGTH);
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_ROOM]);
    write(out);
    let length = out.len() - at - LENGTH_ROOM;
    debug_assert!(length < 1 << (7 * LENGTH_ROOM), "a message of {length} bytes");
    out[at] = length as u8 | 0x80;
    out[at + 1] = (length >> 7) as u8 | 0x80;
    out[at + 2] = (length >> 14) as u8 & 0x7f;
}

/// Appends the key and the length of a message field whose content comes from elsewhere.
pub(super) fn message_head(out: &mut Vec<u8>, field: u32, length: usize) {
    key(out, field, LENGTH);
    varint(out, length as u64);
}

/// Bytes that a field of so many bytes takes with its key and length, if its number is below 16.
pub(super) fn length_of(content: usize) -> usize {
    let length_bytes = (usize::BITS - (content | 1).leading_zeros()).div_ceil(7) as usize;
    1 + length_bytes + content
}

/// Appends a field of bytes or text.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    message_head(out, field, value.len());
    out.extend_from_slice(value);
}

/// Appends a number, an enumeration or a truth.
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

/// Appends a number of 8 bytes.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number of 4 bytes.
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    key(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn key(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number.
    Number(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
}

/// The first field of this number in a message. `None` where it is absent, or the message malformed before it.
pub(super) fn find(mut message: &[u8], field: u32) -> Option<Value<'_>> {
    loop {
        let key = read_varint(&mut message)?;
        let value = match key as u32 & 7 {
            VARINT => Value::Number(read_varint(&mut message)?),
            FIXED64 => Value::Number(u64::from_le_bytes(*take(&mut message, 8)?.first_chunk()?)),
            FIXED32 => Value::Number(u32::from_le_bytes(*take(&mut message, 4)?.first_chunk()?).into()),
            LENGTH => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            _ => return None,
        };
        if key >> 3 == u64::from(field) {
            return Some(value);
        }
    }
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Value, bytes, find, fixed32, fixed64, length_of, message, number};

    proptest! {
        #[test]
        fn what_is_written_is_found(a: u64, b: u64, c: u32, text in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut out = Vec::new();
            number(&mut out, 1, a);
            fixed64(&mut out, 2, b);
            fixed32(&mut out, 16, c);
            message(&mut out, 3, |out| bytes(out, 5, &text));
            number(&mut out, 400, a);
            let mut alone = Vec::new();
            bytes(&mut alone, 15, &text);
            prop_assert_eq!(alone.len(), length_of(text.len()));
            prop_assert_eq!(find(&out, 1), Some(Value::Number(a)));
            prop_assert_eq!(find(&out, 2), Some(Value::Number(b)));
            prop_assert_eq!(find(&out, 16), Some(Value::Number(u64::from(c))));
            prop_assert_eq!(find(&out, 400), Some(Value::Number(a)));
            let Some(Value::Bytes(inner)) = find(&out, 3) else { panic!("no message") };
            prop_assert_eq!(find(inner, 5), Some(Value::Bytes(&text)));
            prop_assert_eq!(find(&out, 7), None);
        }

        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = find(&data, 1);
        }
    }
}
