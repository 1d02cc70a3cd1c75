//! The hosts that a route names.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::host::{HostProblem, parse_host};

/// A host condition, valid by construction: parse it from text.
///
/// - `example.com`, `127.0.0.1`, `[::1]`: exactly this host;
/// - `*.example.com`: any host below, over any number of labels, but not `example.com` itself;
/// - `*`: any host, also none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(pub(crate) HostKind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostKind {
    Any,
    Exact(Box<str>),
    /// With the dot in front: `.example.com`.
    Suffix(Box<str>),
}

impl HostPattern {
    /// The pattern that takes every request.
    pub const ANY: Self = Self(HostKind::Any);
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HostKind::Any => f.write_str("*"),
            HostKind::Exact(name) => f.write_str(name),
            HostKind::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// Why a text is no host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPatternError {
    /// The host itself is wrong.
    Host(HostProblem),
    /// A host with characters beyond ASCII.
    NotAscii,
    /// A port is written.
    Port,
    /// A `*` elsewhere than as the whole first label.
    Wildcard,
    /// A wildcard in front of an IP address.
    AddressWildcard,
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(problem) => f.write_str(problem.describe()),
            Self::NotAscii => f.write_str("write an international host in its ASCII form (xn--…)"),
            Self::Port => f.write_str("a host pattern has no port; the listener decides about ports"),
            Self::Wildcard => {
                f.write_str("`*` can only be the whole first label, as in `*.example.com`, or stand alone")
            }
            Self::AddressWildcard => f.write_str("an IP address cannot have a wildcard"),
        }
    }
}

impl std::error::Error for HostPatternError {}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::ANY);
        }
        let (suffix, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        if !name.is_ascii() {
            return Err(HostPatternError::NotAscii);
        }
        let mut buffer = Vec::new();
        let host = parse_host(name.as_bytes(), &mut buffer).map_err(HostPatternError::Host)?;
        if host.port.is_some() || name.ends_with(':') {
            return Err(HostPatternError::Port);
        }
        // ASCII by the check above, so nothing is lost here.
        let name = String::from_utf8_lossy(host.name);
        if !suffix {
            return Ok(Self(HostKind::Exact(name.into())));
        }
        if name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok() || ends_in_number(&name) {
            return Err(HostPatternError::AddressWildcard);
        }
        Ok(Self(HostKind::Suffix(format!(".{name}").into())))
    }
}

/// Whether the last label is a number: then this can only be part of an IPv4 address.
fn ends_in_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, HostPatternError};
    use crate::host::HostProblem;

    #[test]
    fn patterns_parse_into_one_spelling() {
        for (text, shown) in [
            ("*", "*"),
            ("Example.com.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("*.com", "*.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[0::1]", "[::1]"),
        ] {
            assert_eq!(text.parse::<HostPattern>().map(|p| p.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_patterns_say_what_is_wrong() {
        use HostPatternError::*;
        for (text, error) in [
            ("", Host(HostProblem::Empty)),
            ("*.", Host(HostProblem::Empty)),
            ("**", Wildcard),
            ("*example.com", Wildcard),
            ("a.*.com", Wildcard),
            ("*.*.com", Wildcard),
            ("bücher.example", NotAscii),
            ("example.com:80", Port),
            ("example.com:", Port),
            ("*.0.0.1", AddressWildcard),
            ("*.[::1]", AddressWildcard),
            ("a b", Host(HostProblem::InvalidByte(b' '))),
            ("http://a", Host(HostProblem::InvalidPort)),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
    }
}
