//! Version 2: binary, with details (section 2.2).

use std::net::{IpAddr, SocketAddr};

use crate::{Addresses, Details, Header, Pair, Parsed, V2_MAX, details};

/// What each begins with: no request of any text protocol.
pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length.
const PREFIX: usize = 16;
const VERSION: u8 = 0x20;
const LOCAL: u8 = 0x0;
const PROXY: u8 = 0x1;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// What the addresses of these take.
const TCP4_LENGTH: usize = 12;
const TCP6_LENGTH: usize = 36;
const UNIX_LENGTH: usize = 216;

/// Reads a header whose bytes begin as one of this version.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(&[version_and_command, family, high, low]) = bytes.get(SIGNATURE.len()..PREFIX) else {
        return Parsed::Partial;
    };
    if version_and_command & 0xf0 != VERSION {
        return Parsed::Malformed("the PROXY header has another version than 1 and 2");
    }
    let end = PREFIX + usize::from(u16::from_be_bytes([high, low]));
    if end > V2_MAX {
        return Parsed::Malformed("the PROXY header has more than 4096 bytes");
    }
    let Some(header) = bytes.get(..end) else { return Parsed::Partial };
    let header = match version_and_command & 0x0f {
        // The proxy's own connection, to see whether somebody is there: all the rest is to be ignored.
        LOCAL => Ok(Header::default()),
        PROXY => relayed(header, family),
        _ => Err("the PROXY header has another command than LOCAL and PROXY"),
    };
    match header {
        Ok(header) => Parsed::Complete { header, consumed: end },
        Err(problem) => Parsed::Malformed(problem),
    }
}

fn relayed(header: &[u8], family: u8) -> Result<Header<'_>, &'static str> {
    let (length, are_of_tcp) = match family {
        TCP4 => (TCP4_LENGTH, true),
        TCP6 => (TCP6_LENGTH, true),
        // Datagrams are not what came here, and paths are no addresses.
        0x12 => (TCP4_LENGTH, false),
        0x22 => (TCP6_LENGTH, false),
        0x31 | 0x32 => (UNIX_LENGTH, false),
        // Not known, so where details would begin is not known either.
        0x00..=0x02 | 0x10 | 0x20 | 0x30 => return Ok(Header::default()),
        _ => return Err("the PROXY header has an unknown address family or protocol"),
    };
    let Some(block) = header.get(PREFIX..PREFIX + length) else {
        return Err("the PROXY header is too short for its addresses");
    };
    let details = details::parse(header, PREFIX + length)?;
    let addresses = if are_of_tcp { addresses(block) } else { None };
    Ok(Header { addresses, details })
}

/// Source and destination, then their ports, in network order.
fn addresses(block: &[u8]) -> Option<Addresses> {
    let (hosts, ports) = block.split_last_chunk::<4>().map(|(hosts, ports)| (hosts, *ports))?;
    let (source, destination) = hosts.split_at(hosts.len() / 2);
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(Addresses {
        source: SocketAddr::new(address(source)?, port(0)),
        destination: SocketAddr::new(address(destination)?, port(2)),
    })
}

/// Writes a header with its checksum. Without addresses it is one of the proxy's own (`LOCAL`), which is all that it
/// says. Of the details, [`Details::tls`] is not written, nor are those that are longer than receivers take.
pub fn write(out: &mut Vec<u8>, addresses: Option<Addresses>, details: &Details<'_>) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    let Some(addresses) = addresses else {
        out.extend_from_slice(&[VERSION | LOCAL, 0, 0, 0]);
        return;
    };
    out.push(VERSION | PROXY);
    match addresses.of_one_family() {
        Pair::V4(source, destination) => {
            out.extend_from_slice(&[TCP4, 0, 0]);
            out.extend_from_slice(&source.ip().octets());
            out.extend_from_slice(&destination.ip().octets());
        }
        Pair::V6(source, destination) => {
            out.extend_from_slice(&[TCP6, 0, 0]);
            out.extend_from_slice(&source.ip().octets());
            out.extend_from_slice(&destination.ip().octets());
        }
    }
    out.extend_from_slice(&addresses.source.port().to_be_bytes());
    out.extend_from_slice(&addresses.destination.port().to_be_bytes());
    details::write(out, details);
    details::write_checksum(out);
    // Addresses and bounded details: far below what the two bytes hold.
    let length = (out.len() - start - PREFIX) as u16;
    out[start + PREFIX - 2..start + PREFIX].copy_from_slice(&length.to_be_bytes());
    details::seal(out, start);
}
