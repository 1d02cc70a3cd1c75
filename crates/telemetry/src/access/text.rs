//! Numbers, times, addresses and foreign bytes as text, written without allocating.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use tollgate_runtime::date;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A point in time with its text forms, which change once a second and are copied.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Duration,
    /// `1994-11-06T08:49:37`.
    rfc3339: [u8; 19],
    /// `06/Nov/1994:08:49:37 +0000`.
    clf: [u8; 26],
}

impl Moment {
    /// Since 1970, in milliseconds.
    pub fn unix_ms(&self) -> u64 {
        self.wall.as_millis() as u64
    }

    /// Writes RFC 3339 with milliseconds: `1994-11-06T08:49:37.000Z`.
    pub fn write_rfc3339(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rfc3339);
        self.write_fraction(out);
        out.push(b'Z');
    }

    /// Writes the time of day with milliseconds: `08:49:37.000`.
    pub(super) fn write_time_of_day(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rfc3339[11..]);
        self.write_fraction(out);
    }

    /// Writes the time as the common log format has it, in UTC: `06/Nov/1994:08:49:37 +0000`.
    pub(super) fn write_clf(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.clf);
    }

    fn write_fraction(&self, out: &mut Vec<u8>) {
        let [a, b, c] = three_digits(self.wall.subsec_millis() as usize);
        out.extend_from_slice(&[b'.', a, b, c]);
    }
}

/// Keeps the texts of the second that is running.
#[derive(Clone, Debug)]
pub struct TimeCache {
    moment: Moment,
}

impl Default for TimeCache {
    fn default() -> Self {
        Self { moment: made(Duration::ZERO) }
    }
}

impl TimeCache {
    /// The wall-clock time (UTC, since 1970) with its texts.
    pub fn at(&mut self, wall: Duration) -> Moment {
        if self.moment.wall.as_secs() != wall.as_secs() {
            self.moment = made(wall);
        }
        self.moment.wall = wall;
        self.moment
    }
}

fn made(wall: Duration) -> Moment {
    let mut moment = Moment { wall, rfc3339: [b'0'; 19], clf: *b"00/000/0000:00:00:00 +0000" };
    // Both texts have fixed places up to the year 9999; a clock beyond it keeps the zeros.
    if let Some(text) = date::rfc3339(wall).as_bytes().get(..24).filter(|text| text[19] == b'.') {
        moment.rfc3339.copy_from_slice(&text[..19]);
        let http = date::http_date(wall);
        if let Some(http) = http.as_bytes().get(..25) {
            for (to, from) in [(0..2, 5..7), (3..6, 8..11), (7..11, 12..16), (12..20, 17..25)] {
                moment.clf[to].copy_from_slice(&http[from]);
            }
        }
    }
    moment
}

fn three_digits(number: usize) -> [u8; 3] {
    [number / 100 % 10, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8)
}

/// A number in decimal.
pub(super) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Microseconds as milliseconds with three decimals: `12.345`.
pub(super) fn millis(out: &mut Vec<u8>, us: u64) {
    decimal(out, us / 1000);
    let [a, b, c] = three_digits((us % 1000) as usize);
    out.extend_from_slice(&[b'.', a, b, c]);
}

/// Bytes in hexadecimal.
pub(super) fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// An IP address. IPv4 by hand, since the formatting machinery costs more than the rest of a line's numbers.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [first, rest @ ..] = v4.octets();
            decimal(out, u64::from(first));
            for octet in rest {
                out.push(b'.');
                decimal(out, u64::from(octet));
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// Whether every byte is printable ASCII and neither a quote nor a backslash. Without an early end, so
/// that it is done many bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| {
        plain & (byte.wrapping_sub(0x20) < 0x5f) & (*byte != b'"') & (*byte != b'\\')
    })
}

/// The inside of a JSON string. What is not ASCII is written as the code points U+0080 to U+00FF, so that
/// a line is valid JSON whatever a client sent.
pub(super) fn json(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => out.push(*byte),
            _ => {
                out.extend_from_slice(b"\\u00");
                hexadecimal(out, &[*byte]);
            }
        }
    }
}

/// As Apache writes what a client sent into its log: quotes and backslashes escaped, white space in the
/// way of C, any other byte that is not printable ASCII as `\xhh`.
pub(super) fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => out.push(*byte),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            _ => {
                out.extend_from_slice(b"\\x");
                hexadecimal(out, &[*byte]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_follow_the_clock_and_agree_with_the_plain_way() {
        let mut cache = TimeCache::default();
        for ms in [0, 784_111_777_000, 784_111_777_999, 784_111_778_001, 784_111_777_005, 1_795_329_016_123] {
            let wall = Duration::from_millis(ms);
            let moment = cache.at(wall);
            assert_eq!(written(|out| moment.write_rfc3339(out)), date::rfc3339(wall));
            assert_eq!(moment.unix_ms(), ms);
        }
        let moment = cache.at(Duration::from_millis(784_111_777_042));
        assert_eq!(written(|out| moment.write_clf(out)), "06/Nov/1994:08:49:37 +0000");
        assert_eq!(written(|out| moment.write_time_of_day(out)), "08:49:37.042");
        cache.at(Duration::MAX);
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_those_of_the_standard_library(number: u64, v4: [u8; 4], v6: [u8; 16]) {
            prop_assert_eq!(written(|out| decimal(out, number)), number.to_string());
            prop_assert_eq!(written(|out| millis(out, number)), format!("{}.{:03}", number / 1000, number % 1000));
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                prop_assert_eq!(written(|out| address(out, ip)), ip.to_string());
            }
        }

        #[test]
        fn escaped_text_is_one_printable_line(bytes: Vec<u8>) {
            for text in [written(|out| escaped(out, &bytes)), written(|out| json(out, &bytes))] {
                prop_assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text}");
                prop_assert!(!text.replace("\\\\", "").replace("\\\"", "").contains('"'), "{text}");
            }
        }
    }
}
