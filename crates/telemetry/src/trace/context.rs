//! The `traceparent` field (W3C Trace Context level 1, section 3.2).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

const HEX: &[u8; 16] = b"0123456789abcdef";
/// Bytes of a field of version 00, and of the part of any later version that is known here.
const LENGTH: usize = 55;
/// Where the parts of a field begin, behind its version.
const TRACE_ID: usize = 3;
const SPAN_ID: usize = 36;
const FLAGS: usize = 53;
/// The flag that says that the caller may have recorded its span.
const SAMPLED: u8 = 1;

/// Which trace a span belongs to. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// Which span of its trace one is. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// The identifier of this number; zero is none.
    pub fn new(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u128 {
        self.0.get()
    }

    /// In hexadecimal digits, as fields and logs show it.
    pub fn hex(self) -> [u8; 32] {
        hex(&self.get().to_be_bytes())
    }
}

impl SpanId {
    /// The identifier of this number; zero is none.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// In hexadecimal digits, as fields and logs show it.
    pub fn hex(self) -> [u8; 16] {
        hex(&self.get().to_be_bytes())
    }
}

/// In hexadecimal digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.get())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// In hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.get())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a `traceparent` field says: the trace, the caller's span in it, and whether it is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that a span made from this has as its parent.
    pub span_id: SpanId,
    /// The caller may have recorded its span.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the value of a field. `None` for one that is malformed: it counts as absent. Of a later version
    /// the part that version 00 has is read (section 3.2.4).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let version = digits(value.get(..2)?)?;
        let known_length = match version {
            0xff => false,
            0 => value.len() == LENGTH,
            _ => value.len() == LENGTH || value.get(LENGTH) == Some(&b'-'),
        };
        if !known_length || [TRACE_ID, SPAN_ID, FLAGS].iter().any(|at| value.get(at - 1) != Some(&b'-')) {
            return None;
        }
        let flags = digits(value.get(FLAGS..LENGTH)?)? as u8;
        Some(Self {
            trace_id: TraceId::new(digits(value.get(TRACE_ID..SPAN_ID - 1)?)?)?,
            span_id: SpanId::new(digits(value.get(SPAN_ID..FLAGS - 1)?)? as u64)?,
            sampled: flags & SAMPLED != 0,
        })
    }

    /// The only field's meaning. More than one are malformed (section 3.2), since nobody knows which is meant.
    pub fn of<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let only = values.next()?;
        if values.next().is_some() { None } else { Self::parse(only) }
    }

    /// Appends the value of a field, in version 00. Flags that this version does not know are not passed on.
    /// Returns where in `out` the span id begins, so that it can be replaced.
    pub fn write(self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"00-");
        out.extend_from_slice(&self.trace_id.hex());
        out.push(b'-');
        let span_id_at = out.len();
        out.extend_from_slice(&self.span_id.hex());
        out.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
        span_id_at
    }
}

/// The number of lower-case hexadecimal digits; upper-case ones are malformed (section 3.2.2).
fn digits(text: &[u8]) -> Option<u128> {
    let mut number = 0;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

fn hex<const BYTES: usize, const DIGITS: usize>(bytes: &[u8; BYTES]) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SpanId, TraceId, TraceParent};

    const SPECIFIED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_field_of_the_specification_is_read_and_written() {
        let parent = TraceParent::parse(SPECIFIED).unwrap();
        assert_eq!(parent.trace_id.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span_id.get(), 0x00f0_67aa_0ba9_02b7);
        assert!(parent.sampled);
        let mut out = b"x".to_vec();
        let at = parent.write(&mut out);
        assert_eq!((&out[1..], &out[at..at + 16]), (SPECIFIED, &b"00f067aa0ba902b7"[..]));
    }

    #[test]
    fn what_is_malformed_counts_as_absent() {
        for value in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(TraceParent::of([SPECIFIED, SPECIFIED].into_iter()), None);
        assert!(TraceParent::of([SPECIFIED].into_iter()).is_some());
    }

    #[test]
    fn of_a_later_version_the_known_part_is_read() {
        for (version, rest, sampled) in [("01", "-01", true), ("cc", "-01-what", true), ("fe", "-02-", false)]
        {
            let value = format!("{version}-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7{rest}");
            let parent = TraceParent::parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(parent.sampled, sampled, "{value}");
        }
        // Only the lowest flag has a meaning.
        assert!(
            !TraceParent::parse(&SPECIFIED[..53].iter().chain(b"fe").copied().collect::<Vec<_>>())
                .unwrap()
                .sampled
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(trace in 1u128.., span in 1u64.., sampled: bool) {
            let (Some(trace_id), Some(span_id)) = (TraceId::new(trace), SpanId::new(span)) else { unreachable!() };
            let parent = TraceParent { trace_id, span_id, sampled };
            let mut out = Vec::new();
            parent.write(&mut out);
            prop_assert_eq!(TraceParent::parse(&out), Some(parent));
        }

        /// Any change of one byte is malformed or says something else, and never panics.
        #[test]
        fn a_changed_byte_is_noticed(at in 0..55usize, byte: u8) {
            let mut value = SPECIFIED.to_vec();
            prop_assume!(value[at] != byte);
            value[at] = byte;
            if let Some(parent) = TraceParent::parse(&value) {
                prop_assert!(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                let flags_or_version = !(2..53).contains(&at);
                prop_assert!(flags_or_version || Some(parent) != TraceParent::parse(SPECIFIED));
            }
        }
    }
}
