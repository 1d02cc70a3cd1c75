//! The four forms of a request target (RFC 9112 section 3.2).

use tollgate_message::Method;

use crate::Malformed;

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`
    Origin(PathAndQuery<'a>),
    /// `http://authority/path?query`, as clients send it to a forward proxy
    Absolute {
        /// Whether the scheme is `https`.
        https: bool,
        /// Host and optional port.
        authority: &'a [u8],
        /// Path and query; the path is `/` where the target has none.
        rest: PathAndQuery<'a>,
    },
    /// `host:port`, with CONNECT
    Authority(&'a [u8]),
    /// `*`, with OPTIONS
    Asterisk,
}

/// Path and query of a target, still encoded as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathAndQuery<'a> {
    /// The path; begins with `/`.
    pub path: &'a [u8],
    /// What follows the first `?`; `None` where there is no `?`.
    pub query: Option<&'a [u8]>,
}

impl<'a> PathAndQuery<'a> {
    fn split(bytes: &'a [u8]) -> Self {
        match memchr::memchr(b'?', bytes) {
            Some(at) => Self { path: &bytes[..at], query: Some(&bytes[at + 1..]) },
            None => Self { path: bytes, query: None },
        }
    }
}

impl<'a> Target<'a> {
    /// Takes a target apart; which forms are allowed depends on the method.
    pub fn parse(method: Method, target: &'a [u8]) -> Result<Self, Malformed> {
        if method == Method::Connect {
            let valid = !target.is_empty() && !target.iter().any(|b| matches!(b, b'/' | b'?' | b'@' | b'*'));
            return if valid { Ok(Self::Authority(target)) } else { Err(Malformed::Target) };
        }
        match target.first() {
            Some(b'/') => Ok(Self::Origin(PathAndQuery::split(target))),
            Some(b'*') if target.len() == 1 && method == Method::Options => Ok(Self::Asterisk),
            _ => Self::parse_absolute(target),
        }
    }

    fn parse_absolute(target: &'a [u8]) -> Result<Self, Malformed> {
        let (https, rest) = if starts_with_ignore_case(target, b"http://") {
            (false, &target[7..])
        } else if starts_with_ignore_case(target, b"https://") {
            (true, &target[8..])
        } else {
            return Err(Malformed::Target);
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // User information in an http URI is refused (RFC 9110 section 4.2.4).
        if authority.is_empty() || authority.contains(&b'@') {
            return Err(Malformed::Target);
        }
        let mut rest = PathAndQuery::split(rest);
        if rest.path.is_empty() {
            rest.path = b"/";
        }
        Ok(Self::Absolute { https, authority, rest })
    }
}

fn starts_with_ignore_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms() {
        let path = |path, query| PathAndQuery { path, query };
        let parse = |m, t: &'static str| Target::parse(m, t.as_bytes());
        assert_eq!(parse(Method::Get, "/a?b"), Ok(Target::Origin(path(b"/a", Some(b"b")))));
        assert_eq!(parse(Method::Get, "/a?"), Ok(Target::Origin(path(b"/a", Some(b"")))));
        assert_eq!(
            parse(Method::Get, "HTTP://a:80?q"),
            Ok(Target::Absolute { https: false, authority: b"a:80", rest: path(b"/", Some(b"q")) })
        );
        assert_eq!(
            parse(Method::Get, "https://a/x"),
            Ok(Target::Absolute { https: true, authority: b"a", rest: path(b"/x", None) })
        );
        assert_eq!(parse(Method::Connect, "a:443"), Ok(Target::Authority(b"a:443")));
        assert_eq!(parse(Method::Options, "*"), Ok(Target::Asterisk));
    }

    #[test]
    fn forms_that_do_not_fit_are_refused() {
        for (method, target) in [
            (Method::Get, "*"),
            (Method::Get, "a:443"),
            (Method::Get, "a/b"),
            (Method::Get, "?q"),
            (Method::Get, "http://"),
            (Method::Get, "http:///a"),
            (Method::Get, "http://u@h/a"),
            (Method::Get, "ftp://h/a"),
            (Method::Connect, "/a"),
            (Method::Connect, "http://a/"),
            (Method::Options, "**"),
        ] {
            assert_eq!(Target::parse(method, target.as_bytes()), Err(Malformed::Target), "{target}");
        }
    }
}
