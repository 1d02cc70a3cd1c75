//! The messages of `grpc.health.v1`, as far as a probe needs them: a text out, a number in.

/// What an endpoint says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServingStatus(u64);

impl ServingStatus {
    pub(super) const SERVING: Self = Self(1);

    /// As the protocol calls it.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            0 => "UNKNOWN",
            1 => "SERVING",
            2 => "NOT_SERVING",
            3 => "SERVICE_UNKNOWN",
            _ => "a status that the health protocol does not have",
        }
    }
}

/// A length-prefixed `HealthCheckRequest { service = 1 }`.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    // The empty text is the default, which is not sent.
    if !service.is_empty() {
        message.push(0x0a);
        put_varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// The status in a length-prefixed `HealthCheckResponse { status = 1 }`; `None` if it is none.
pub(super) fn answer(framed: &[u8]) -> Option<ServingStatus> {
    let (prefix, mut message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || message.len() as u64 != u64::from(length) {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                if tag == 8 {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = take_varint(&mut message)?;
                message = message.get(usize::try_from(length).ok()?..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(ServingStatus(status))
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{ServingStatus, answer, request};

    #[test]
    fn requests_name_the_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request(&"a".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn answers_are_read_whatever_else_they_hold() {
        for (bytes, status) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(2)),
            (&[0, 0, 0, 0, 0], Some(0)),
            // A field that is not known, of each kind.
            (&[0, 0, 0, 0, 9, 0x12, 1, 9, 0x18, 0x80, 1, 8, 0x81, 0], Some(1)),
            (&[0, 0, 0, 0, 7, 0x25, 1, 2, 3, 4, 8, 1], Some(1)),
            (&[0, 0, 0, 0, 11, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1], Some(1)),
            (&[0, 0, 0, 0, 3, 8, 1], None),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 2, 0x12, 9], None),
            (&[0, 0, 0, 0, 1, 8], None),
            (&[0, 0, 0, 0, 1, 0x0b], None),
            (&[], None),
        ] {
            assert_eq!(answer(bytes).map(|status| status.0), status, "{bytes:?}");
        }
        assert_eq!(answer(&[&[0, 0, 0, 0, 11, 8][..], &[0xff; 10]].concat()), None);
        assert_eq!(answer(&[0, 0, 0, 0, 2, 8, 1]), Some(ServingStatus::SERVING));
    }
}
