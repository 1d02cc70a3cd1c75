//! Request heads, from fields to text and back.

use std::mem::MaybeUninit;

use http::header::{CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use super::{BadHead, MAX_FIELDS, bounded, checked, collect_fields, push_field, push_line};

/// 16 bytes for `Sec-WebSocket-Key` (RFC 6455 section 4.1). They are no secret.
pub type WebSocketKey = [u8; 16];

/// The extended CONNECT that a request is (RFC 8441).
#[derive(Clone, Copy, Debug)]
pub struct Tunnel<'a> {
    /// The value of `:protocol`.
    pub protocol: &'a str,
    /// The key of the WebSocket handshake that is to be written.
    pub key: WebSocketKey,
}

/// What is to be known about a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct RequestShape<'a> {
    /// Whether bytes can follow the head: it did not end the stream.
    pub has_body: bool,
    /// The `:protocol`, where the request has one.
    pub tunnel: Option<Tunnel<'a>>,
    /// Whether a CONNECT without `:protocol` is written, rather than refused.
    pub allow_connect: bool,
    /// How many bytes the text may have.
    pub max_size: usize,
    /// How many fields the request may have, each crumb of a cookie (RFC 9113 section 8.2.3) counted.
    pub max_fields: usize,
}

/// Appends the text of a request head to `out`, in origin form. A request without any host has no `Host`
/// line: that is for the reader of the text to refuse.
///
/// # Errors
/// The head is malformed or not served; `out` is as it was.
pub fn request_to_text(parts: &Parts, shape: &RequestShape<'_>, out: &mut Vec<u8>) -> Result<(), BadHead> {
    let start = out.len();
    let result = write_request(parts, shape, out);
    bounded(out, start, shape.max_size, result)
}

fn write_request(parts: &Parts, shape: &RequestShape<'_>, out: &mut Vec<u8>) -> Result<(), BadHead> {
    if parts.headers.len() > shape.max_fields {
        return Err(BadHead::TooManyFields);
    }
    let host = host(&parts.uri, &parts.headers)?;
    match shape.tunnel {
        Some(_) if parts.method != Method::CONNECT => return Err(BadHead::StartLine),
        Some(_) => push_start(out, "GET", origin_form(&parts.uri, &Method::GET)?),
        None if parts.method != Method::CONNECT => {
            push_start(out, parts.method.as_str(), origin_form(&parts.uri, &parts.method)?);
        }
        None if shape.allow_connect => {
            push_start(out, "CONNECT", parts.uri.authority().ok_or(BadHead::Target)?.as_str());
        }
        None => return Err(BadHead::ConnectRefused),
    }
    if let Some(host) = host {
        push_line(out, "host", host);
    }
    write_fields(&parts.headers, shape, out)?;
    match shape.tunnel {
        Some(tunnel) => write_handshake(&tunnel, out)?,
        None => write_framing(parts, shape.has_body, out)?,
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn push_start(out: &mut Vec<u8>, method: &str, target: &str) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// The target as `:path` has it (RFC 9113 section 8.3.1).
fn origin_form<'a>(uri: &'a Uri, method: &Method) -> Result<&'a str, BadHead> {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if target.starts_with('/') || (target == "*" && *method == Method::OPTIONS) {
        Ok(target)
    } else {
        Err(BadHead::Target)
    }
}

/// The one host of a request, from `:authority` or `Host`.
fn host<'a>(uri: &'a Uri, fields: &'a HeaderMap) -> Result<Option<&'a [u8]>, BadHead> {
    let mut values = fields.get_all(HOST).iter();
    let field = values.next().map(checked).transpose()?;
    if values.next().is_some() {
        return Err(BadHead::HostDiffers);
    }
    let Some(authority) = uri.authority().map(Authority::as_str) else {
        return Ok(field);
    };
    if authority.contains('@') {
        return Err(BadHead::Authority);
    }
    match field {
        Some(field) if !field.eq_ignore_ascii_case(authority.as_bytes()) => Err(BadHead::HostDiffers),
        _ => Ok(Some(authority.as_bytes())),
    }
}

fn write_fields(fields: &HeaderMap, shape: &RequestShape<'_>, out: &mut Vec<u8>) -> Result<(), BadHead> {
    let mut cookies_done = false;
    for (name, value) in fields {
        if *name == COOKIE {
            if !std::mem::replace(&mut cookies_done, true) {
                write_cookie(fields, out)?;
            }
        } else if *name != HOST && !(shape.tunnel.is_some() && *name == SEC_WEBSOCKET_KEY) {
            push_field(out, name, value)?;
        }
        // Before all of a head that is too large is written.
        if out.len() > shape.max_size.saturating_mul(2) {
            return Err(BadHead::TooLarge);
        }
    }
    Ok(())
}

/// A cookie may come in crumbs, which HTTP/1.1 wants as one field (RFC 9113 section 8.2.3).
fn write_cookie(fields: &HeaderMap, out: &mut Vec<u8>) -> Result<(), BadHead> {
    out.extend_from_slice(b"cookie: ");
    let mut first = true;
    // An empty crumb says nothing, and would leave a space at the end.
    for crumb in fields.get_all(COOKIE).iter().filter(|crumb| !crumb.is_empty()) {
        if !std::mem::replace(&mut first, false) {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(checked(crumb)?);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Makes the text tell whether a body follows, where the fields do not.
fn write_framing(parts: &Parts, has_body: bool, out: &mut Vec<u8>) -> Result<(), BadHead> {
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(BadHead::ContentLength);
    }
    match length {
        Some(_) if parts.method == Method::CONNECT => Err(BadHead::ContentLength),
        Some(value) if !has_body && value.as_bytes().iter().any(|digit| *digit != b'0') => {
            Err(BadHead::ContentLength)
        }
        None if has_body && parts.method != Method::CONNECT => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The fields that make the request a WebSocket handshake of HTTP/1.1 (RFC 8441 section 5).
fn write_handshake(tunnel: &Tunnel<'_>, out: &mut Vec<u8>) -> Result<(), BadHead> {
    if !tunnel.protocol.eq_ignore_ascii_case("websocket") {
        return Err(BadHead::UnknownProtocol);
    }
    out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n");
    push_line(out, "sec-websocket-key", &base64(&tunnel.key));
    Ok(())
}

fn base64(key: &WebSocketKey) -> [u8; 24] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; 24];
    for (group, digits) in key.chunks(3).zip(out.chunks_mut(4)) {
        let bits =
            group.iter().enumerate().fold(0, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for (i, digit) in digits.iter_mut().enumerate().take(group.len() + 1) {
            *digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
        }
    }
    out
}

/// The request whose head begins `text`, for an upstream, and the length of the head. `Host` becomes the
/// authority; what belongs to the connection is left out, `TE: trailers` stays.
///
/// # Errors
/// The text is not the head of a request in origin form with one host.
pub fn text_to_request(text: &[u8], scheme: &Scheme) -> Result<(Request<()>, usize), BadHead> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let end = match head.parse_with_uninit_headers(text, &mut slots) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Err(BadHead::Incomplete),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(BadHead::Field),
        Err(_) => return Err(BadHead::StartLine),
    };
    let (Some(method), Some(target)) = (head.method, head.path) else {
        return Err(BadHead::StartLine);
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| BadHead::StartLine)?;
    if method == Method::CONNECT {
        return Err(BadHead::ConnectRefused);
    }
    let mut authority = None;
    for field in head.headers.iter().filter(|f| f.name.eq_ignore_ascii_case("host")) {
        let value = Authority::try_from(field.value).map_err(|_| BadHead::Authority)?;
        if authority.replace(value).is_some() {
            return Err(BadHead::HostDiffers);
        }
    }
    let mut request = Request::new(());
    *request.uri_mut() = uri(scheme, authority.ok_or(BadHead::HostMissing)?, target)?;
    origin_form(request.uri(), &method)?;
    *request.method_mut() = method;
    collect_fields(head.headers, request.headers_mut(), |name| *name == HOST)?;
    if let Some(value) = joined_cookie(request.headers())? {
        request.headers_mut().insert(COOKIE, value);
    }
    Ok((request, end))
}

fn uri(scheme: &Scheme, authority: Authority, target: &str) -> Result<Uri, BadHead> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| BadHead::Target)?);
    Uri::from_parts(parts).map_err(|_| BadHead::Target)
}

/// The cookie of a text that has several lines of it, which no sender of HTTP/1.1 should write.
fn joined_cookie(fields: &HeaderMap) -> Result<Option<HeaderValue>, BadHead> {
    let mut crumbs = fields.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return Ok(None);
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    HeaderValue::from_bytes(&whole).map(Some).map_err(|_| BadHead::Field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(has_body: bool) -> RequestShape<'static> {
        RequestShape { has_body, tunnel: None, allow_connect: false, max_size: 4096, max_fields: 100 }
    }

    fn text(request: Request<()>, shape: &RequestShape<'_>) -> Result<String, BadHead> {
        let mut out = Vec::new();
        let result = request_to_text(&request.into_parts().0, shape, &mut out);
        assert!(result.is_ok() || out.is_empty());
        result.map(|()| String::from_utf8(out).unwrap())
    }

    fn get(uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let builder = Request::get(uri);
        fields.iter().fold(builder, |b, (name, value)| b.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn a_request_becomes_origin_form_with_its_host_first() {
        let request = get("https://a.example:444/x?y=1", &[("accept", "*/*"), ("te", "trailers")]);
        assert_eq!(
            text(request, &shape(false)).unwrap(),
            "GET /x?y=1 HTTP/1.1\r\nhost: a.example:444\r\naccept: */*\r\nte: trailers\r\n\r\n"
        );
        let request = get("/", &[("host", "b.example")]);
        assert_eq!(text(request, &shape(false)).unwrap(), "GET / HTTP/1.1\r\nhost: b.example\r\n\r\n");
        let request = get("/", &[]);
        assert_eq!(text(request, &shape(false)).unwrap(), "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_body_is_told_by_its_length_or_as_chunked() {
        let request = get("http://a/", &[]);
        assert!(text(request, &shape(true)).unwrap().contains("transfer-encoding: chunked\r\n"));
        let request = get("http://a/", &[("content-length", "5")]);
        let with_length = text(request, &shape(true)).unwrap();
        assert!(with_length.contains("content-length: 5\r\n") && !with_length.contains("chunked"));
        let request = get("http://a/", &[("content-length", "0")]);
        assert!(text(request, &shape(false)).is_ok());
    }

    #[test]
    fn crumbs_become_one_cookie() {
        let request =
            get("http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]);
        let text = text(request, &shape(false)).unwrap();
        assert_eq!(text.matches("cookie").count(), 1);
        assert!(text.contains("cookie: a=1; b=2; c=3\r\n"), "{text}");
    }

    #[test]
    fn what_could_become_another_request_is_refused() {
        let many: Vec<(&str, &str)> = vec![("cookie", "a"); 101];
        let long = "x".repeat(5000);
        for (uri, fields, expected) in [
            ("http://a/", &[("connection", "close")][..], BadHead::ConnectionField),
            ("http://a/", &[("transfer-encoding", "chunked")], BadHead::ConnectionField),
            ("http://a/", &[("keep-alive", "x")], BadHead::ConnectionField),
            ("http://a/", &[("proxy-connection", "x")], BadHead::ConnectionField),
            ("http://a/", &[("upgrade", "h2c")], BadHead::ConnectionField),
            ("http://a/", &[("te", "gzip")], BadHead::ConnectionField),
            ("http://a/", &[("host", "b")], BadHead::HostDiffers),
            ("/", &[("host", "b"), ("host", "b")], BadHead::HostDiffers),
            ("http://u@a/", &[], BadHead::Authority),
            ("*", &[], BadHead::Target),
            ("http://a/", &[("x", " y")], BadHead::Field),
            ("http://a/", &[("cookie", "y\t")], BadHead::Field),
            ("http://a/", &[("content-length", "1")], BadHead::ContentLength),
            ("http://a/", &[("content-length", "0"), ("content-length", "0")], BadHead::ContentLength),
            ("http://a/", &many, BadHead::TooManyFields),
            ("http://a/", &[("x", &long)], BadHead::TooLarge),
        ] {
            assert_eq!(text(get(uri, fields), &shape(false)), Err(expected), "{uri} {fields:?}");
        }
    }

    #[test]
    fn an_extended_connect_becomes_a_websocket_handshake() {
        let request = || {
            Request::connect("https://a.example/chat")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "old")
                .body(())
                .unwrap()
        };
        let key = *b"the sample nonce";
        let tunnel = |protocol| RequestShape { tunnel: Some(Tunnel { protocol, key }), ..shape(true) };
        assert_eq!(
            text(request(), &tunnel("websocket")).unwrap(),
            // The key is the example of RFC 6455 section 1.3.
            "GET /chat HTTP/1.1\r\nhost: a.example\r\nsec-websocket-version: 13\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        assert_eq!(text(request(), &tunnel("connect-udp")), Err(BadHead::UnknownProtocol));
        assert_eq!(text(get("http://a/", &[]), &tunnel("websocket")), Err(BadHead::StartLine));
    }

    #[test]
    fn connect_is_refused_unless_enabled() {
        let request = || Request::connect("a.example:443").body(()).unwrap();
        assert_eq!(text(request(), &shape(true)), Err(BadHead::ConnectRefused));
        let enabled = RequestShape { allow_connect: true, ..shape(true) };
        assert_eq!(
            text(request(), &enabled).unwrap(),
            "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n"
        );
    }

    #[test]
    fn text_becomes_a_request_without_what_belongs_to_the_connection() {
        let text = b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nConnection: close, x-hop, te\r\nX-Hop: 1\r\n\
            Transfer-Encoding: chunked\r\nTE: gzip, trailers\r\nCookie: a=1\r\nCookie: b=2\r\n\
            Keep-Alive: 1\r\nX-Kept: yes\r\n\r\nbody";
        let (request, end) = text_to_request(text, &Scheme::HTTPS).unwrap();
        assert_eq!(&text[end..], b"body");
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://a.example/a?b");
        let mut fields: Vec<_> = request.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        fields.sort_unstable();
        assert_eq!(fields, [("cookie", &b"a=1; b=2"[..]), ("te", b"trailers"), ("x-kept", b"yes")]);
    }

    #[test]
    fn text_that_is_no_request_for_an_upstream_is_refused() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n", BadHead::Incomplete),
            ("GET / HTTP/1.1\r\n\r\n", BadHead::HostMissing),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", BadHead::HostDiffers),
            ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", BadHead::Authority),
            ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", BadHead::Target),
            ("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", BadHead::ConnectRefused),
            ("GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n", BadHead::Field),
            ("\0\r\n\r\n", BadHead::StartLine),
        ] {
            let result = text_to_request(text.as_bytes(), &Scheme::HTTP).map(|_| ());
            assert_eq!(result, Err(expected), "{text:?}");
        }
    }
}
