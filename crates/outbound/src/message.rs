//! What is asked and what comes back.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, Method, StatusCode};

use crate::url::Url;

/// Who is asking, unless the request says otherwise.
pub(crate) const AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// A request.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) repeatable: bool,
    pub(crate) redirects: u8,
    pub(crate) body_max: Option<usize>,
    pub(crate) timeout: Option<std::time::Duration>,
}

impl fmt::Debug for Request {
    /// Without fields, body and query: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}://{}{}",
            self.method,
            self.url.scheme().as_str(),
            self.url.authority(),
            self.url.path()
        )
    }
}

impl Request {
    /// A request without fields and body.
    pub fn new(method: Method, url: Url) -> Self {
        let repeatable = method.is_idempotent();
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { method, url, headers, body, repeatable, redirects: 0, body_max: None, timeout: None }
    }

    /// Asks for what is there.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Posts a form, `application/x-www-form-urlencoded`, made of these names and values.
    pub fn form(url: Url, pairs: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, value) in pairs {
            if !body.is_empty() {
                body.push('&');
            }
            encode_form(&mut body, name);
            body.push('=');
            encode_form(&mut body, value);
        }
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self::new(Method::POST, url).header(CONTENT_TYPE, kind).body(body)
    }

    /// With this field beside those that it has. Those that belong to the connection (`Host`, `Content-Length`,
    /// `Transfer-Encoding` and so on) are the client's own and left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if !is_the_clients(&name) {
            self.headers.append(name, value);
        }
        self
    }

    /// Proves who asks by id and secret of an OAuth client (RFC 6749 section 2.3.1, `client_secret_basic`).
    #[must_use]
    pub fn client_secret_basic(self, id: &str, secret: &str) -> Self {
        let mut pair = String::new();
        encode_form(&mut pair, id);
        pair.push(':');
        encode_form(&mut pair, secret);
        // What base64 is made of can stand in a field.
        let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))) else {
            return self;
        };
        value.set_sensitive(true);
        self.header(AUTHORIZATION, value)
    }

    /// Wants an answer in JSON.
    #[must_use]
    pub fn accept_json(self) -> Self {
        self.header(ACCEPT, HeaderValue::from_static("application/json"))
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// May be sent again where it is not known whether it was worked on, also if its method is not idempotent:
    /// a question that is asked by POST.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Follows so many redirections of GET and HEAD. None leads from TLS to the clear, and none takes
    /// `Authorization` or cookies to another place.
    #[must_use]
    pub fn redirects(mut self, most: u8) -> Self {
        self.redirects = most;
        self
    }

    /// Takes an answer with a body of so many bytes at most, instead of what is set for the client.
    #[must_use]
    pub fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = Some(bytes);
        self
    }

    /// Takes so long at most, instead of what is set for the client.
    #[must_use]
    pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As it goes out.
    pub(crate) fn to_wire(&self) -> Result<http::Request<http_body_util::Full<Bytes>>, http::Error> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(self.url.target())
            .body(http_body_util::Full::new(self.body.clone()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(self.url.authority())?);
        headers.extend(self.headers.clone());
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        Ok(request)
    }
}

/// Whether a field says something about the connection or the framing, which are not the caller's.
fn is_the_clients(name: &HeaderName) -> bool {
    let known = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, TE, TRAILER, EXPECT];
    known.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// The encoding of forms (WHATWG URL section 5.2).
fn encode_form(into: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                into.push(char::from(byte))
            }
            b' ' => into.push('+'),
            _ => {
                into.push('%');
                into.push(char::from(HEX[usize::from(byte >> 4)]));
                into.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// An answer, complete.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The first value of a field, where it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue};

    use super::Request;

    #[test]
    fn forms_are_encoded() {
        let request = Request::form("http://a/".parse().unwrap(), &[("a b", "c&d=ü+*"), ("", "")]);
        assert_eq!(&request.body[..], b"a+b=c%26d%3D%C3%BC%2B*&=");
        assert_eq!((request.method, request.repeatable), (Method::POST, false));
    }

    #[test]
    fn clients_prove_who_they_are_in_the_encoding_of_forms() {
        let request =
            Request::get("http://a.example/".parse().unwrap()).client_secret_basic("a:b", "s ecret%");
        assert_eq!(
            request.headers["authorization"],
            format!("Basic {}", STANDARD.encode("a%3Ab:s+ecret%25"))
        );
    }

    #[test]
    fn framing_is_not_the_callers() {
        let mut request = Request::get("http://a:81/x?secret".parse().unwrap());
        for name in [HOST, CONTENT_LENGTH, AUTHORIZATION] {
            request = request.header(name, HeaderValue::from_static("7"));
        }
        let wire = request.to_wire().unwrap();
        assert_eq!((wire.headers()[HOST].as_bytes(), wire.uri().path()), (&b"a:81"[..], "/x"));
        assert!(!wire.headers().contains_key(CONTENT_LENGTH));
        assert_eq!(wire.headers().get(AUTHORIZATION).unwrap(), "7");
        assert_eq!(format!("{request:?}"), "GET http://a:81/x");
    }
}
