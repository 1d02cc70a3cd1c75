//! The host of a request: checked, without port, in one spelling.

use std::io::Write;
use std::net::Ipv6Addr;

use memchr::memchr;

/// The longest host taken, in bytes: DNS allows 253, and nothing longer can be meant.
pub const MAX_HOST_LEN: usize = 255;

/// A checked authority (RFC 3986 section 3.2) without user information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Lower case, without a trailing dot. An IPv6 address is in brackets and in its canonical spelling
    /// (RFC 5952), since one address must not be two hosts.
    pub name: &'a [u8],
    /// The port, if one is written. An empty one (`host:`), which RFC 3986 allows, is none.
    pub port: Option<u16>,
}

/// Why a `Host` field or an authority is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostProblem {
    /// No host at all, or only a dot or a port.
    Empty,
    /// Longer than [`MAX_HOST_LEN`].
    TooLong,
    /// A byte that no host holds.
    InvalidByte(u8),
    /// `user@host`: never allowed in HTTP (RFC 9110 section 4.2.4).
    UserInfo,
    /// A percent-encoded host. RFC 3986 knows it, no client sends it, and it would make one host two.
    PercentEncoded,
    /// Two dots in a row, or a dot in front.
    EmptyLabel,
    /// Not a number from 0 to 65535.
    InvalidPort,
    /// Brackets around something that is not an IPv6 address, or not closed.
    InvalidAddress,
}

impl HostProblem {
    /// What is wrong, for the answer's text and the log.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Empty => "the host is empty",
            Self::TooLong => "the host is longer than 255 bytes",
            Self::InvalidByte(_) => "the host holds a character that no host has",
            Self::UserInfo => "the host holds user information",
            Self::PercentEncoded => "the host is percent-encoded",
            Self::EmptyLabel => "the host has an empty label",
            Self::InvalidPort => "the port is not a number from 0 to 65535",
            Self::InvalidAddress => "the brackets hold no IPv6 address",
        }
    }
}

impl std::fmt::Display for HostProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.describe())
    }
}

impl std::error::Error for HostProblem {}

const INVALID: u8 = 1;
const UPPER: u8 = 2;
const DOT: u8 = 4;

/// Per byte: 0 for what a registered name may hold as it is (RFC 3986 section 3.2.2: unreserved and sub-delims).
const CLASS: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => 0,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0,
            b'A'..=b'Z' => UPPER,
            b'.' => DOT,
            _ => INVALID,
        };
        byte += 1;
    }
    table
};

/// Checks the value of a `Host` field or `:authority` and takes it apart.
///
/// Borrows from `raw` where that is already in its one spelling; otherwise `buffer` is overwritten and
/// borrowed from.
pub fn parse_host<'a>(raw: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Host<'a>, HostProblem> {
    if raw.first() == Some(&b'[') {
        return parse_bracketed(raw, buffer);
    }
    let (name, port) = match memchr(b':', raw) {
        None => (raw, None),
        Some(_) if memchr(b'@', raw).is_some() => return Err(HostProblem::UserInfo),
        Some(at) => (&raw[..at], parse_port(&raw[at + 1..])?),
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() {
        return Err(HostProblem::Empty);
    }
    if name.len() > MAX_HOST_LEN {
        return Err(HostProblem::TooLong);
    }
    // As if a dot stood in front, so that a leading dot is found like a doubled one.
    let (mut seen, mut previous, mut doubled) = (0, DOT, 0);
    for &byte in name {
        let class = CLASS[byte as usize];
        seen |= class;
        doubled |= previous & class;
        previous = class;
    }
    if seen & INVALID != 0 {
        return Err(first_invalid(name));
    }
    if (doubled | previous) & DOT != 0 {
        return Err(HostProblem::EmptyLabel);
    }
    if seen & UPPER == 0 {
        return Ok(Host { name, port });
    }
    buffer.clear();
    buffer.extend(name.iter().map(u8::to_ascii_lowercase));
    Ok(Host { name: buffer, port })
}

fn first_invalid(name: &[u8]) -> HostProblem {
    match name.iter().find(|b| CLASS[**b as usize] & INVALID != 0) {
        Some(b'@') => HostProblem::UserInfo,
        Some(b'%') => HostProblem::PercentEncoded,
        Some(&byte) => HostProblem::InvalidByte(byte),
        None => HostProblem::Empty,
    }
}

fn parse_bracketed<'a>(raw: &[u8], buffer: &'a mut Vec<u8>) -> Result<Host<'a>, HostProblem> {
    let close = memchr(b']', raw).ok_or(HostProblem::InvalidAddress)?;
    let port = match &raw[close + 1..] {
        [] => None,
        [b':', digits @ ..] => parse_port(digits)?,
        _ => return Err(HostProblem::InvalidPort),
    };
    // Neither zone identifiers nor future address forms: neither means anything to a server.
    let address: Ipv6Addr = std::str::from_utf8(&raw[1..close])
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(HostProblem::InvalidAddress)?;
    buffer.clear();
    write!(buffer, "[{address}]").map_err(|_| HostProblem::InvalidAddress)?;
    Ok(Host { name: buffer, port })
}

fn parse_port(digits: &[u8]) -> Result<Option<u16>, HostProblem> {
    if digits.is_empty() {
        return Ok(None);
    }
    let mut port = 0_u16;
    for &digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return Err(HostProblem::InvalidPort);
        }
        port = port
            .checked_mul(10)
            .and_then(|port| port.checked_add(value.into()))
            .ok_or(HostProblem::InvalidPort)?;
    }
    Ok(Some(port))
}

#[cfg(test)]
mod tests {
    use super::{HostProblem, parse_host};

    fn parsed(raw: &str) -> Result<(String, Option<u16>), HostProblem> {
        let mut buffer = Vec::new();
        parse_host(raw.as_bytes(), &mut buffer)
            .map(|host| (String::from_utf8(host.name.to_vec()).unwrap(), host.port))
    }

    #[test]
    fn hosts_come_out_in_one_spelling() {
        for (raw, name, port) in [
            ("example.com", "example.com", None),
            ("Example.COM", "example.com", None),
            ("example.com.", "example.com", None),
            ("EXAMPLE.com.:8080", "example.com", Some(8080)),
            ("example.com:", "example.com", None),
            ("example.com:0", "example.com", Some(0)),
            ("example.com:00080", "example.com", Some(80)),
            ("example.com:65535", "example.com", Some(65535)),
            ("my_service-1", "my_service-1", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[0:0:0:0:0:0:0:1]:443", "[::1]", Some(443)),
            ("[2001:DB8::A]", "[2001:db8::a]", None),
            ("[::1]:", "[::1]", None),
            ("a!$&'()*+,;=~b", "a!$&'()*+,;=~b", None),
        ] {
            assert_eq!(parsed(raw), Ok((name.to_owned(), port)), "{raw}");
        }
    }

    #[test]
    fn lower_case_hosts_are_not_copied() {
        let mut buffer = Vec::new();
        let raw = b"example.com:80";
        let host = parse_host(raw, &mut buffer).unwrap();
        assert!(std::ptr::eq(host.name, &raw[..11]));
    }

    #[test]
    fn what_is_no_host_is_refused_by_its_name() {
        use HostProblem::*;
        let long = "a".repeat(256);
        for (raw, problem) in [
            ("", Empty),
            (".", Empty),
            (":80", Empty),
            ("a b", InvalidByte(b' ')),
            ("a\tb", InvalidByte(b'\t')),
            ("a/b", InvalidByte(b'/')),
            ("a\0", InvalidByte(0)),
            ("a?b", InvalidByte(b'?')),
            ("a#b", InvalidByte(b'#')),
            ("a\\b", InvalidByte(b'\\')),
            ("é", InvalidByte(0xc3)),
            ("user@host", UserInfo),
            ("user:pass@host", UserInfo),
            ("user:1@host:80", UserInfo),
            ("%65xample.com", PercentEncoded),
            (".example.com", EmptyLabel),
            ("a..b", EmptyLabel),
            ("a..", EmptyLabel),
            ("a:65536", InvalidPort),
            ("a:99999999999999999999", InvalidPort),
            ("a:8o", InvalidPort),
            ("a:-1", InvalidPort),
            ("a:+1", InvalidPort),
            ("a: 80", InvalidPort),
            ("2001:db8::1", InvalidPort),
            ("[::1", InvalidAddress),
            ("[]", InvalidAddress),
            ("[::1%25eth0]", InvalidAddress),
            ("[v1.x]", InvalidAddress),
            ("[127.0.0.1]", InvalidAddress),
            ("[::1]80", InvalidPort),
            (&long, TooLong),
        ] {
            assert_eq!(parsed(raw), Err(problem), "{raw}");
        }
    }
}
