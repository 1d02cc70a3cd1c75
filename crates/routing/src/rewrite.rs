//! What a route makes of a path: another path for the upstream, or the `Location` of a redirect.

use std::io::Write;

/// Replaces `matched_prefix` at the front of `path` by `replacement`, by the Gateway API's table: slashes at the
/// end of prefix and replacement are ignored, what follows the prefix is kept, and an empty result is `/`.
///
/// `out` is overwritten. If `path` is not below the prefix, it is copied as it is. A prefix that is taken away
/// leaves one slash in front, never two, which a reader could take for the start of an authority.
pub fn replace_prefix(path: &[u8], matched_prefix: &[u8], replacement: &[u8], out: &mut Vec<u8>) {
    out.clear();
    append_replaced(path, matched_prefix, replacement, out);
}

fn append_replaced(path: &[u8], matched_prefix: &[u8], replacement: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let prefix = trim_slashes(matched_prefix);
    match path.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest[0] == b'/' => {
            out.extend_from_slice(trim_slashes(replacement));
            let rest = if out.len() == start { single_slash(rest) } else { rest };
            out.extend_from_slice(rest);
        }
        _ => out.extend_from_slice(path),
    }
    if out.len() == start {
        out.push(b'/');
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

/// The path with at most one slash in front.
fn single_slash(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    &path[slashes.saturating_sub(1)..]
}

/// The schemes that a redirect can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, port 80
    Http,
    /// `https`, port 443
    Https,
}

impl Scheme {
    /// The scheme as URLs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant where none is written.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The path of a redirect's or rewrite's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// This path, whatever was asked for.
    Full(String),
    /// The path asked for, with the matched prefix replaced.
    Prefix(String),
}

/// Where a route redirects to; what is not said is taken from the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// Another scheme.
    pub scheme: Option<Scheme>,
    /// Another host; an IPv6 address in brackets.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<PathChange>,
}

/// The request that is redirected.
#[derive(Clone, Copy, Debug)]
pub struct RedirectedRequest<'a> {
    /// The scheme it came by.
    pub scheme: Scheme,
    /// Its host without port; may be empty.
    pub host: &'a [u8],
    /// The port of the listener it came to.
    pub listener_port: u16,
    /// Its normalised path.
    pub path: &'a [u8],
    /// The prefix of `path` that the route matched.
    pub matched_prefix: &'a [u8],
    /// Its query without the `?`.
    pub query: &'a [u8],
}

/// Writes the `Location` of a redirect into `out`, overwriting it. The query is kept.
///
/// The port is the Gateway API's: the redirect's own; else the well-known one of the redirect's scheme; else
/// the listener's. 80 with http and 443 with https are not written. Without any host (an HTTP/1.0 request
/// without `Host`) the location is a path alone, which RFC 9110 section 10.2.2 allows.
pub fn redirect_location(redirect: &Redirect, request: &RedirectedRequest<'_>, out: &mut Vec<u8>) {
    out.clear();
    let host = redirect.host.as_deref().map_or(request.host, str::as_bytes);
    if !host.is_empty() {
        let scheme = redirect.scheme.unwrap_or(request.scheme);
        let port = redirect.port.or(redirect.scheme.map(Scheme::port)).unwrap_or(request.listener_port);
        out.extend_from_slice(scheme.name().as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(host);
        if port != scheme.port() {
            // Writing to memory cannot fail.
            let _ = write!(out, ":{port}");
        }
    }
    let path_start = out.len();
    match &redirect.path {
        None => out.extend_from_slice(request.path),
        Some(PathChange::Full(path)) => out.extend_from_slice(path.as_bytes()),
        Some(PathChange::Prefix(to)) => {
            append_replaced(request.path, request.matched_prefix, to.as_bytes(), out);
        }
    }
    if path_start == 0 {
        // Without a host in front, `//x` would be read as the host x.
        let slashes = out.iter().take_while(|b| **b == b'/').count();
        out.drain(..slashes.saturating_sub(1));
    }
    if !request.query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(request.query);
    }
}

#[cfg(test)]
mod tests {
    use super::{PathChange, Redirect, RedirectedRequest, Scheme, redirect_location, replace_prefix};

    #[test]
    fn prefixes_are_replaced_by_the_gateway_api_table() {
        let mut out = Vec::new();
        for (path, prefix, replacement, result) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
            ("/", "/", "/xyz", "/xyz/"),
            ("/foo//evil", "/foo", "", "/evil"),
            ("/foobar", "/foo", "/xyz", "/foobar"),
        ] {
            replace_prefix(path.as_bytes(), prefix.as_bytes(), replacement.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), result, "{path} {prefix} {replacement}");
        }
    }

    fn location(redirect: &Redirect, request: &RedirectedRequest<'_>) -> String {
        let mut out = b"left over".to_vec();
        redirect_location(redirect, request, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Scheme and port in the redirect, scheme and port of the listener, what stands in front of the path.
    #[test]
    fn ports_follow_the_gateway_api() {
        use Scheme::{Http, Https};
        for (scheme, port, listener_scheme, listener_port, origin) in [
            (None, None, Http, 80, "http://example.org"),
            (None, None, Http, 8080, "http://example.org:8080"),
            (None, None, Https, 443, "https://example.org"),
            (None, None, Https, 8443, "https://example.org:8443"),
            (None, Some(80), Http, 8080, "http://example.org"),
            (None, Some(80), Https, 443, "https://example.org:80"),
            (None, Some(8080), Http, 80, "http://example.org:8080"),
            (None, Some(443), Https, 8443, "https://example.org"),
            (Some(Http), None, Http, 8080, "http://example.org"),
            (Some(Http), None, Https, 8443, "http://example.org"),
            (Some(Http), Some(80), Http, 8080, "http://example.org"),
            (Some(Http), Some(8080), Https, 443, "http://example.org:8080"),
            (Some(Https), None, Http, 80, "https://example.org"),
            (Some(Https), None, Http, 8080, "https://example.org"),
            (Some(Https), Some(443), Http, 8080, "https://example.org"),
            (Some(Https), Some(8443), Http, 80, "https://example.org:8443"),
        ] {
            let redirect = Redirect { scheme, port, host: Some("example.org".into()), path: None };
            let request = RedirectedRequest {
                scheme: listener_scheme,
                host: b"asked.example",
                listener_port,
                path: b"/a",
                matched_prefix: b"/",
                query: b"",
            };
            assert_eq!(location(&redirect, &request), format!("{origin}/a"), "{redirect:?} {request:?}");
        }
    }

    #[test]
    fn paths_and_queries_are_kept_or_replaced() {
        let request = RedirectedRequest {
            scheme: Scheme::Http,
            host: b"[::1]",
            listener_port: 8080,
            path: b"/old/x",
            matched_prefix: b"/old",
            query: b"a=1&b",
        };
        for (path, expected) in [
            (None, "http://[::1]:8080/old/x?a=1&b"),
            (Some(PathChange::Full("/new".into())), "http://[::1]:8080/new?a=1&b"),
            (Some(PathChange::Prefix("/new".into())), "http://[::1]:8080/new/x?a=1&b"),
            (Some(PathChange::Prefix("/".into())), "http://[::1]:8080/x?a=1&b"),
        ] {
            let redirect = Redirect { path, ..Redirect::default() };
            assert_eq!(location(&redirect, &request), expected);
        }
    }

    #[test]
    fn without_a_host_the_path_cannot_be_taken_for_one() {
        let request = RedirectedRequest {
            scheme: Scheme::Http,
            host: b"",
            listener_port: 80,
            path: b"//evil.example/x",
            matched_prefix: b"/",
            query: b"",
        };
        assert_eq!(location(&Redirect::default(), &request), "/evil.example/x");
    }
}
