//! Version 1: a line of text (section 2.1).

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::{Addresses, Details, Header, Pair, Parsed, V1_MAX};

/// What each begins with.
pub const SIGNATURE: &[u8] = b"PROXY ";

/// Reads a header whose bytes begin as one of this version.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return match line.len() {
            V1_MAX => Parsed::Malformed("the PROXY line has no end within 107 bytes"),
            _ => Parsed::Partial,
        };
    };
    let Some(text) = line[..end].strip_suffix(b"\r") else {
        return Parsed::Malformed("the PROXY line does not end with a carriage return and line feed");
    };
    match addresses(&text[SIGNATURE.len()..]) {
        Ok(addresses) => {
            let header = Header { addresses, details: Details::default() };
            Parsed::Complete { header, consumed: end + 1 }
        }
        Err(problem) => Parsed::Malformed(problem),
    }
}

/// What stands between signature and line end.
fn addresses(text: &[u8]) -> Result<Option<Addresses>, &'static str> {
    // Whatever follows it is to be ignored.
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let Ok(text) = std::str::from_utf8(text) else { return Err("the PROXY line is not ASCII") };
    let mut parts = text.split(' ');
    let mut part = || parts.next().ok_or("the PROXY line has too few parts");
    let (protocol, source, destination) = (part()?, part()?, part()?);
    let (source_port, destination_port) = (port(part()?)?, port(part()?)?);
    if parts.next().is_some() {
        return Err("the PROXY line has too many parts");
    }
    let (source, destination) = match protocol {
        "TCP4" => (IpAddr::V4(address(source)?), IpAddr::V4(address(destination)?)),
        "TCP6" => (IpAddr::V6(address(source)?), IpAddr::V6(address(destination)?)),
        _ => return Err("the PROXY line names another protocol than TCP4, TCP6 and UNKNOWN"),
    };
    Ok(Some(Addresses {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }))
}

fn address<A: FromStr>(text: &str) -> Result<A, &'static str> {
    text.parse().map_err(|_| "an address in the PROXY line is none of its protocol")
}

fn port(text: &str) -> Result<u16, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let port = text.parse().ok().filter(|_| plain);
    port.ok_or("a port in the PROXY line is not a decimal number up to 65535")
}

/// Writes a header. Without addresses it says that nothing is known.
pub fn write(out: &mut Vec<u8>, addresses: Option<Addresses>) {
    // Writing to memory cannot fail.
    let _ = match addresses.map(Addresses::of_one_family) {
        Some(Pair::V4(from, to)) => {
            write!(out, "PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
        }
        // Mapped addresses are written in the digits of IPv6, which all receivers read.
        Some(Pair::V6(from, to)) => {
            write!(out, "PROXY TCP6 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
        }
        None => write!(out, "PROXY UNKNOWN\r\n"),
    };
}
