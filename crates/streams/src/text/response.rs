//! Response heads, from text to fields and back.

use std::mem::MaybeUninit;

use http::header::{HeaderName, SEC_WEBSOCKET_ACCEPT};
use http::response::Parts;
use http::{Response, StatusCode};

use super::{BadHead, MAX_FIELDS, bounded, collect_fields, push_field};

/// The response whose head begins `text`, interim ones (1xx) too, and the length of the head. What belongs
/// to the connection is left out. `for_tunnel` says that the request was an extended CONNECT: then a 101 is
/// written as the 200 that accepts it (RFC 8441 section 5), and a success without a switch as 502.
///
/// # Errors
/// The text is not the head of a response, or a 101 that was not asked for.
pub fn text_to_response(text: &[u8], for_tunnel: bool) -> Result<(Response<()>, usize), BadHead> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let end = match config.parse_response_with_uninit_headers(&mut head, text, &mut slots) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Err(BadHead::Incomplete),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooManyFields),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(BadHead::Field),
        Err(_) => return Err(BadHead::StartLine),
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadHead::StartLine)?;
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !for_tunnel {
        return Err(BadHead::UnexpectedUpgrade);
    }
    let mut response = Response::new(());
    *response.status_mut() = match status {
        StatusCode::SWITCHING_PROTOCOLS => StatusCode::OK,
        // It was meant for the GET that an origin saw. Here it would say that there is a tunnel.
        status if for_tunnel && status.is_success() => StatusCode::BAD_GATEWAY,
        status => status,
    };
    let handshake = |name: &HeaderName| switches && *name == SEC_WEBSOCKET_ACCEPT;
    collect_fields(head.headers, response.headers_mut(), handshake)?;
    Ok((response, end))
}

/// Appends the text of a response head to `out`, without a reason phrase. It has no `Transfer-Encoding`:
/// where it tells no length, the body goes on until the stream ends.
///
/// # Errors
/// The head is malformed, or its text longer than `max_size` bytes; `out` is as it was.
pub fn response_to_text(parts: &Parts, max_size: usize, out: &mut Vec<u8>) -> Result<(), BadHead> {
    let start = out.len();
    let result = write_response(parts, out);
    bounded(out, start, max_size, result)
}

fn write_response(parts: &Parts, out: &mut Vec<u8>) -> Result<(), BadHead> {
    // HTTP/2 and HTTP/3 have no switch of protocols (RFC 9113 section 8.6).
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(BadHead::UnexpectedUpgrade);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
    for (name, value) in &parts.headers {
        push_field(out, name, value)?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_a_response_without_what_belongs_to_the_connection() {
        let text =
            b"HTTP/1.1 404 Not Found\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
            Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nbody";
        let (response, end) = text_to_response(text, false).unwrap();
        assert_eq!((response.status(), &text[end..]), (StatusCode::NOT_FOUND, &b"body"[..]));
        let fields: Vec<_> = response.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(fields, [("set-cookie", &b"a"[..]), ("set-cookie", b"b")]);
    }

    #[test]
    fn interim_responses_are_taken_too() {
        let (response, _) =
            text_to_response(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false).unwrap();
        assert_eq!(response.status().as_u16(), 103);
    }

    #[test]
    fn a_success_without_a_switch_does_not_look_like_a_tunnel() {
        for (status, expected) in [(200, 502), (204, 502), (302, 302), (404, 404)] {
            let text = format!("HTTP/1.1 {status} x\r\n\r\n");
            let (response, _) = text_to_response(text.as_bytes(), true).unwrap();
            assert_eq!(response.status().as_u16(), expected);
        }
    }

    #[test]
    fn a_switch_becomes_the_acceptance_of_a_tunnel_only() {
        let text = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        assert_eq!(text_to_response(text, false).map(|_| ()), Err(BadHead::UnexpectedUpgrade));
        let (response, _) = text_to_response(text, true).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-protocol"]);
    }

    #[test]
    fn a_response_becomes_text() {
        let parts = |status: u16, name: &str| {
            Response::builder().status(status).header(name, "x").body(()).unwrap().into_parts().0
        };
        let mut out = b"before".to_vec();
        response_to_text(&parts(299, "a"), 100, &mut out).unwrap();
        assert_eq!(out, b"beforeHTTP/1.1 299 \r\na: x\r\n\r\n");
        for (bad, expected) in [
            (parts(200, "connection"), BadHead::ConnectionField),
            (parts(101, "a"), BadHead::UnexpectedUpgrade),
            (parts(200, &"a".repeat(100)), BadHead::TooLarge),
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(response_to_text(&bad, 100, &mut out), Err(expected));
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for text in
            ["HTTP/1.1 20 x\r\n\r\n", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "HTTP/1.1 200"]
        {
            assert!(text_to_response(text.as_bytes(), false).is_err(), "{text:?}");
        }
    }
}
