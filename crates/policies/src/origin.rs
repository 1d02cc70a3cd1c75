//! Web origins (RFC 6454, and the serialisation of the WHATWG's URL standard), and sets of them.

use std::net::Ipv6Addr;
use std::str::from_utf8;

use crate::Unusable;

/// The longest origin that is read: the longest host name has 253 bytes.
const LONGEST: usize = 300;

/// An origin in its canonical form: scheme and host in lower case, no port where it is the scheme's default.
#[derive(Debug)]
pub(crate) struct Origin {
    bytes: [u8; LONGEST],
    scheme: usize,
    host: usize,
    end: usize,
}

impl Origin {
    /// Reads `scheme://host[:port]`. Nothing else is an origin: no user, no path, no empty label, no dot at the
    /// end. `null` is none either.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let colon = text.iter().position(|byte| *byte == b':')?;
        let authority = text[colon..].strip_prefix(b"://")?;
        Self::of(&text[..colon], authority)
    }

    /// The origin of a scheme and an authority.
    pub(crate) fn of(scheme: &[u8], authority: &[u8]) -> Option<Self> {
        let (host, port) = split_port(authority)?;
        if !is_scheme(scheme) || !is_host(host) || scheme.len() + host.len() + port.len() + 4 > LONGEST {
            return None;
        }
        let mut origin = Self { bytes: [0; LONGEST], scheme: scheme.len(), host: 0, end: 0 };
        origin.push(scheme);
        origin.push(b"://");
        origin.push(host);
        origin.host = origin.end;
        if !port.is_empty() && default_port(origin.scheme()) != Some(port) {
            origin.push(b":");
            origin.push(port);
        }
        Some(origin)
    }

    /// The scheme.
    pub(crate) fn scheme(&self) -> &[u8] {
        &self.bytes[..self.scheme]
    }

    /// The host.
    pub(crate) fn host(&self) -> &[u8] {
        &self.bytes[self.scheme + 3..self.host]
    }

    /// The port with its colon; empty for the scheme's default.
    pub(crate) fn port(&self) -> &[u8] {
        &self.bytes[self.host..self.end]
    }

    fn whole(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    fn push(&mut self, part: &[u8]) {
        let to = &mut self.bytes[self.end..self.end + part.len()];
        to.copy_from_slice(part);
        to.make_ascii_lowercase();
        self.end += part.len();
    }
}

/// A set of origins, as documents list them: `https://app.example`, `https://*.example.com` (any name below it,
/// of any depth), `https://*`, `*`, `null`.
#[derive(Clone, Debug, Default)]
pub(crate) struct OriginSet {
    any: bool,
    null: bool,
    /// Sorted.
    exact: Box<[Box<[u8]>]>,
    patterns: Box<[Pattern]>,
}

#[derive(Clone, Debug)]
struct Pattern {
    scheme: Box<[u8]>,
    /// What the host ends with: `.example.com`, or nothing for any host.
    suffix: Box<[u8]>,
    port: Box<[u8]>,
}

impl OriginSet {
    /// The set of these; `setting` is what the document calls the list.
    pub(crate) fn new(setting: &'static str, origins: &[String]) -> Result<Self, Unusable> {
        let (mut set, mut exact, mut patterns) = (Self::default(), Vec::new(), Vec::new());
        for (index, text) in origins.iter().enumerate() {
            match text.as_str() {
                "*" => set.any = true,
                "null" => set.null = true,
                text if text.contains('*') => {
                    patterns.push(Pattern::parse(text).ok_or_else(|| wrong(setting, index, text))?);
                }
                text => {
                    let origin = Origin::parse(text.as_bytes()).ok_or_else(|| wrong(setting, index, text))?;
                    exact.push(origin.whole().into());
                }
            }
        }
        exact.sort_unstable();
        exact.dedup();
        Ok(Self { exact: exact.into(), patterns: patterns.into(), ..set })
    }

    /// Whether it holds each origin.
    pub(crate) fn is_any(&self) -> bool {
        self.any
    }

    /// Whether it holds the origin that says nothing of where it comes from.
    pub(crate) fn has_null(&self) -> bool {
        self.null
    }

    /// Whether an origin is in it, given as a browser writes it. `null` is only where it is listed: any page can
    /// have that origin by putting itself into a sandboxed frame.
    pub(crate) fn contains(&self, origin: &[u8]) -> bool {
        if origin == b"null" {
            return self.null;
        }
        // As browsers write it, without reading it first.
        if self.exact.binary_search_by(|known| (**known).cmp(origin)).is_ok() {
            return true;
        }
        let Some(origin) = Origin::parse(origin) else { return false };
        self.any
            || self.exact.binary_search_by(|known| (**known).cmp(origin.whole())).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(&origin))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let rest = authority.strip_prefix('*')?;
        // Any name stands for the star, so that what is left is checked as an origin is.
        let origin = Origin::of(scheme.as_bytes(), format!("x{rest}").as_bytes())?;
        let suffix = &origin.host()[1..];
        let whole_labels = suffix.is_empty() || suffix[0] == b'.';
        (whole_labels && !rest.contains('*')).then(|| Self {
            scheme: origin.scheme().into(),
            suffix: suffix.into(),
            port: origin.port().into(),
        })
    }

    fn matches(&self, origin: &Origin) -> bool {
        let host = origin.host();
        host.len() > self.suffix.len()
            && host.ends_with(&self.suffix)
            && *origin.scheme() == *self.scheme
            && *origin.port() == *self.port
    }
}

fn wrong(setting: &'static str, index: usize, text: &str) -> Unusable {
    let forms = "`https://app.example`, `https://*.example.com` or `*`, names beyond ASCII as `xn--…`";
    Unusable::new(setting, index, format!("`{text}` is not an origin: write it like {forms}"))
}

/// Host and port of an authority. The port has no colon, and is empty where there is none.
fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    let host_end = if authority.first() == Some(&b'[') {
        authority.iter().position(|byte| *byte == b']')? + 1
    } else {
        authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(host_end);
    let Some(port) = rest.strip_prefix(b":") else { return rest.is_empty().then_some((host, rest)) };
    let well_formed = port.iter().all(u8::is_ascii_digit) && port.first().is_some_and(|first| *first != b'0');
    let number = from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok());
    (well_formed && number.is_some()).then_some((host, port))
}

fn is_scheme(scheme: &[u8]) -> bool {
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(in_scheme)
}

fn is_host(host: &[u8]) -> bool {
    if let Some(literal) = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")) {
        return from_utf8(literal).is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok());
    }
    let in_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    host.len() <= 253 && host.split(|byte| *byte == b'.').all(|l| !l.is_empty() && l.iter().all(in_label))
}

fn default_port(scheme: &[u8]) -> Option<&'static [u8]> {
    match scheme {
        b"http" | b"ws" => Some(b"80"),
        b"https" | b"wss" => Some(b"443"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
