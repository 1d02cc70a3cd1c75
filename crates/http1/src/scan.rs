//! What request and response heads have in common: turning httparse's slices into offsets, the line
//! ends that httparse is lenient about, and naming what is wrong when it says no.

use std::mem::MaybeUninit;

use httparse::Header;
use tollgate_message::{Field, FieldList, Known, Span};

use crate::{MAX_FIELDS, Malformed};

/// Room for httparse's fields. Lives on the stack and is never initialised as a whole.
pub(crate) type Slots<'a> = [MaybeUninit<Header<'a>>; MAX_FIELDS];

/// Fresh slots.
pub(crate) fn slots<'a>() -> Slots<'a> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Fills `list` with the offsets of `headers` in `bytes`, the buffer they were parsed from.
pub(crate) fn collect(bytes: &[u8], headers: &[Header<'_>], list: &mut FieldList) {
    list.clear();
    for header in headers {
        let name = span_in(bytes, header.name.as_bytes());
        list.push(Field {
            name,
            value: if header.value.is_empty() {
                Span::new(name.end(), name.end())
            } else {
                span_in(bytes, header.value)
            },
            known: Known::from_name(header.name.as_bytes()),
        });
    }
}

/// Where `part`, a slice of `bytes`, stands in it.
pub(crate) fn span_in(bytes: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// Checks that each line of a complete head ends in CR LF. httparse takes a lone LF.
pub(crate) fn check_line_ends(head: &[u8], list: &FieldList) -> Result<(), Malformed> {
    for field in list.entries() {
        if !head[..field.name.start as usize].ends_with(b"\r\n") {
            return Err(Malformed::LineEnd);
        }
    }
    if head.ends_with(b"\r\n\r\n") { Ok(()) } else { Err(Malformed::LineEnd) }
}

/// Names what is wrong with field lines that httparse refused. `lines` begins with the first of them.
pub(crate) fn diagnose_fields(lines: &[u8]) -> Malformed {
    for line in lines.split_inclusive(|b| *b == b'\n') {
        if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            return Malformed::ObsoleteFold;
        }
        let complete = line.ends_with(b"\n");
        let text = match line.strip_suffix(b"\r\n") {
            Some(text) => text,
            None if complete => return Malformed::LineEnd,
            None => line,
        };
        if text.is_empty() {
            break;
        }
        let Some(colon) = memchr::memchr(b':', text) else {
            if complete || !text.iter().all(|b| is_token(*b)) {
                return Malformed::FieldName;
            }
            break;
        };
        if colon == 0 || !text[..colon].iter().all(|b| is_token(*b)) {
            return Malformed::FieldName;
        }
        let value = &text[colon + 1..];
        // A partial last line may end in the CR of its CR LF.
        let value = if complete { value } else { value.strip_suffix(b"\r").unwrap_or(value) };
        if memchr::memchr(b'\r', value).is_some() {
            return Malformed::LineEnd;
        }
        if value.iter().any(|b| is_forbidden_in_value(*b)) {
            return Malformed::FieldValue;
        }
    }
    Malformed::FieldValue
}

/// Token characters (RFC 9110 section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_forbidden_in_value(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}
