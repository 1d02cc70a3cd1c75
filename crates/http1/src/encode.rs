//! Writing heads: the bytes they arrived as, without the removed lines, plus the appended ones.

use tollgate_message::FieldList;

use crate::MAX_FIELDS;

/// Which fields of a head are left out, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    bits: [u64; MAX_FIELDS / 64],
}

impl Removed {
    /// Leaves the field at `index` out. An index beyond [`MAX_FIELDS`] cannot be in a parsed head.
    pub fn insert(&mut self, index: usize) {
        if let Some(word) = self.bits.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Whether the field at `index` is left out.
    pub fn contains(&self, index: usize) -> bool {
        self.bits.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

/// Appends the field lines of a head to `out`, without the `removed` ones; the final empty line is
/// left to the caller. `head` is the complete head, `list` its fields. Names keep their spelling and
/// order; runs of lines that stay are copied whole.
///
/// `replaced` gives the field at an index another value in its place.
pub fn fields(
    out: &mut Vec<u8>,
    head: &[u8],
    list: &FieldList,
    removed: &Removed,
    replaced: Option<(usize, &[u8])>,
) {
    let entries = list.entries();
    let lines_end = head.len() - 2;
    let line_start = |index: usize| entries.get(index).map_or(lines_end, |f| f.name.start as usize);
    let mut run_start = None;
    for (index, field) in entries.iter().enumerate() {
        let new_value = replaced.filter(|(at, _)| *at == index).map(|(_, value)| value);
        if new_value.is_none() && !removed.contains(index) {
            run_start.get_or_insert(line_start(index));
            continue;
        }
        if let Some(start) = run_start.take() {
            out.extend_from_slice(&head[start..line_start(index)]);
        }
        if let Some(value) = new_value {
            line(out, field.name.of(head), value);
        }
    }
    if let Some(start) = run_start {
        out.extend_from_slice(&head[start..lines_end]);
    }
}

/// Appends one field line.
pub fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a request line for HTTP/1.1.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends a status line for HTTP/1.1. `status` has three digits.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason_phrase: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason_phrase);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
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

/// The usual reason phrase of a status code (RFC 9110 section 15); empty where it has none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, Progress, request};

    fn encode(head: &[u8], remove: &[usize], replaced: Option<(usize, &[u8])>) -> String {
        let mut list = FieldList::default();
        let Ok(Progress::Complete(_)) = request::parse(head, &HeadLimits::default(), &mut list) else {
            panic!("refused");
        };
        let mut removed = Removed::default();
        remove.iter().for_each(|i| removed.insert(*i));
        let mut out = Vec::new();
        fields(&mut out, head, &list, &removed, replaced);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn kept_lines_keep_spelling_and_order() {
        let head = b"GET / HTTP/1.1\r\nhOsT:  a\r\nB: 1\r\nC: 2\r\nD:3\r\n\r\n";
        assert_eq!(encode(head, &[], None), "hOsT:  a\r\nB: 1\r\nC: 2\r\nD:3\r\n");
        assert_eq!(encode(head, &[1], None), "hOsT:  a\r\nC: 2\r\nD:3\r\n");
        assert_eq!(encode(head, &[3], None), "hOsT:  a\r\nB: 1\r\nC: 2\r\n");
        assert_eq!(encode(head, &[0, 1, 2, 3], None), "");
        assert_eq!(encode(head, &[2], Some((0, b"x"))), "hOsT: x\r\nB: 1\r\nD:3\r\n");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 128, u64::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
