//! What version 2 can tell besides addresses: type-length-values (section 2.2).

use crate::checksum::crc32c;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const TLS: u8 = 0x20;
const TLS_VERSION: u8 = 0x21;
const TLS_COMMON_NAME: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;

/// The client connected over TLS.
const CLIENT_TLS: u8 = 0x01;
/// The client showed a certificate on this connection, or on the one that it resumes.
const CLIENT_CERTIFICATE: u8 = 0x02 | 0x04;

/// The longest unique id (section 2.2.5).
const UNIQUE_ID_MAX: usize = 128;
/// The longest other value that is written: as long as a host name or protocol can be in TLS.
const VALUE_MAX: usize = 255;
/// Type and length before a value.
const PREFIX: usize = 3;

/// What is known of a relayed connection besides its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// The application protocol that was agreed on (RFC 7301), such as `h2`.
    pub alpn: Option<&'a [u8]>,
    /// The host that the client asked for, such as the server name in its TLS hello.
    pub authority: Option<&'a str>,
    /// What the proxy calls the connection; at most 128 bytes.
    pub unique_id: Option<&'a [u8]>,
    /// How the client's side is encrypted, where the proxy says something about it. Read only.
    pub tls: Option<Tls<'a>>,
}

/// How the client's side of a relayed connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tls<'a> {
    /// It is.
    pub encrypted: bool,
    /// The client showed a certificate.
    pub certificate: bool,
    /// That certificate was shown and accepted.
    pub verified: bool,
    /// The version, such as `TLSv1.3`.
    pub version: Option<&'a str>,
    /// The common name in the client's certificate.
    pub common_name: Option<&'a str>,
    /// The cipher suite.
    pub cipher: Option<&'a str>,
}

/// Reads the details, which begin at `start` of a whole header.
pub fn parse(header: &[u8], start: usize) -> Result<Details<'_>, &'static str> {
    let mut details = Details::default();
    let mut checked = false;
    let mut at = start;
    while at < header.len() {
        let (kind, value) = next(&header[at..])?;
        let value_at = at + PREFIX;
        at = value_at + value.len();
        match kind {
            ALPN => once(&mut details.alpn, value)?,
            AUTHORITY => once(&mut details.authority, text(value)?)?,
            UNIQUE_ID if value.len() > UNIQUE_ID_MAX => {
                return Err("the unique id in the PROXY header has more than 128 bytes");
            }
            UNIQUE_ID => once(&mut details.unique_id, value)?,
            CRC32C if checked => return Err(TWICE),
            CRC32C => {
                check(header, value_at, value)?;
                checked = true;
            }
            TLS => once(&mut details.tls, tls(value)?)?,
            // Padding, network namespaces, and what is not known.
            _ => {}
        }
    }
    Ok(details)
}

const TWICE: &str = "a detail stands twice in the PROXY header";

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    place.replace(value).map_or(Ok(()), |_| Err(TWICE))
}

fn text(value: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(value).map_err(|_| "a text in the PROXY header is not UTF-8")
}

/// The first of these type-length-values.
fn next(bytes: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    const CUT: &str = "a detail reaches beyond the PROXY header";
    let [kind, high, low, rest @ ..] = bytes else { return Err(CUT) };
    let value = rest.get(..usize::from(u16::from_be_bytes([*high, *low]))).ok_or(CUT)?;
    Ok((*kind, value))
}

/// The checksum is that of the whole header with zeros in its own place.
fn check(header: &[u8], value_at: usize, value: &[u8]) -> Result<(), &'static str> {
    let Ok(claimed) = <[u8; 4]>::try_from(value) else {
        return Err("the checksum in the PROXY header does not have 4 bytes");
    };
    let sum = crc32c(&[&header[..value_at], &[0; 4], &header[value_at + 4..]]);
    if sum == u32::from_be_bytes(claimed) { Ok(()) } else { Err("the checksum of the PROXY header is wrong") }
}

fn tls(value: &[u8]) -> Result<Tls<'_>, &'static str> {
    let [client, verify @ ..] = value else { return Err(SHORT_TLS) };
    let Some((verify, mut rest)) = verify.split_first_chunk::<4>() else { return Err(SHORT_TLS) };
    let certificate = client & CLIENT_CERTIFICATE != 0;
    let mut tls = Tls {
        encrypted: client & CLIENT_TLS != 0,
        certificate,
        verified: certificate && *verify == [0; 4],
        ..Tls::default()
    };
    while !rest.is_empty() {
        let (kind, value) = next(rest)?;
        rest = &rest[PREFIX + value.len()..];
        match kind {
            TLS_VERSION => once(&mut tls.version, text(value)?)?,
            TLS_COMMON_NAME => once(&mut tls.common_name, text(value)?)?,
            TLS_CIPHER => once(&mut tls.cipher, text(value)?)?,
            _ => {}
        }
    }
    Ok(tls)
}

const SHORT_TLS: &str = "what the PROXY header says of TLS is too short";

/// Writes the details; those that are longer than receivers take are left out.
pub fn write(out: &mut Vec<u8>, details: &Details<'_>) {
    let values = [
        (ALPN, details.alpn, VALUE_MAX),
        (AUTHORITY, details.authority.map(str::as_bytes), VALUE_MAX),
        (UNIQUE_ID, details.unique_id, UNIQUE_ID_MAX),
    ];
    for (kind, value, max) in values {
        if let Some(value) = value.filter(|value| value.len() <= max) {
            put(out, kind, value);
        }
    }
}

/// Writes the place of the checksum, at the end of what is to become a whole header.
pub fn write_checksum(out: &mut Vec<u8>) {
    put(out, CRC32C, &[0; 4]);
}

/// Puts the checksum of a whole header that begins at `start` into its place, which is its end.
pub fn seal(out: &mut [u8], start: usize) {
    let sum = crc32c(&[&out[start..]]);
    if let Some(place) = out.last_chunk_mut::<4>() {
        *place = sum.to_be_bytes();
    }
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}
