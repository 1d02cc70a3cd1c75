//! Random heads survive the way to text and back, and no head becomes two messages.

use http::header::{COOKIE, HOST};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use proptest::prelude::*;
use tollgate_streams::text::{
    RequestShape, lines_to_trailers, request_to_text, response_to_text, text_to_request, text_to_response,
    trailers_to_lines,
};

/// A field that ends at no single hop. Values are any bytes that the `http` crate takes.
fn field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        3 => "x-[a-z0-9!#$%&'*+.^_`|~-]{0,12}",
        1 => prop_oneof![Just("accept"), Just("cookie"), Just("etag"), Just("via")].prop_map(str::to_owned),
    ];
    let value = proptest::collection::vec(prop_oneof![4 => 0x21_u8..0x7f, 1 => 0x80_u8..=0xff], 0..24);
    (name, value).prop_map(|(name, value)| {
        (name.parse().expect("a token"), HeaderValue::from_bytes(&value).expect("no control bytes"))
    })
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec(field(), 0..12).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    })
}

/// The map with its crumbs of cookies joined, as a text has them.
fn joined(mut map: HeaderMap) -> HeaderMap {
    let crumbs: Vec<&[u8]> = map.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let crumbs: Vec<&[u8]> = crumbs.into_iter().filter(|crumb| !crumb.is_empty()).collect();
        let whole = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("no control bytes");
        map.insert(COOKIE, whole);
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_survives(map in fields(), path in "/[a-z0-9/%._~-]{0,20}(\\?[a-z=&]{0,9})?", has_body: bool) {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://a.example:8443{path}"))
            .body(())
            .expect("valid");
        *request.headers_mut() = map.clone();
        let uri = request.uri().clone();
        let shape = RequestShape { has_body, tunnel: None, allow_connect: false, max_size: 65536, max_fields: 100 };
        let mut text = Vec::new();
        request_to_text(&request.into_parts().0, &shape, &mut text).expect("well formed");
        // Exactly one empty line, at the end: one message.
        prop_assert_eq!(text.windows(4).position(|w| w == b"\r\n\r\n"), Some(text.len() - 4));
        text.extend_from_slice(b"body");
        let (back, end) = text_to_request(&text, &Scheme::HTTPS).expect("own text");
        prop_assert_eq!(&text[end..], b"body");
        prop_assert_eq!(back.uri(), &uri);
        prop_assert!(!back.headers().contains_key(HOST));
        prop_assert_eq!(back.headers(), &joined(map));
    }

    #[test]
    fn a_response_survives(map in fields(), status in (200_u16..600), interim: bool) {
        let status = if interim { 103 } else { status };
        let mut response = Response::builder().status(status).body(()).expect("valid");
        *response.headers_mut() = map.clone();
        let mut text = Vec::new();
        response_to_text(&response.into_parts().0, 65536, &mut text).expect("well formed");
        let (back, end) = text_to_response(&text, false).expect("own text");
        prop_assert_eq!(end, text.len());
        prop_assert_eq!(back.status().as_u16(), status);
        prop_assert_eq!(back.headers(), &map);
    }

    #[test]
    fn trailers_survive(mut map in fields()) {
        map.remove(COOKIE);
        let mut lines = Vec::new();
        trailers_to_lines(&map, 65536, &mut lines).expect("well formed");
        prop_assert_eq!(lines_to_trailers(&lines).expect("own lines"), map);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut head = b"GET / HTTP/1.1\r\nhost: a\r\n".to_vec();
        head.extend_from_slice(&bytes);
        let _ = text_to_request(&bytes, &Scheme::HTTP);
        let _ = text_to_request(&head, &Scheme::HTTP);
        let _ = text_to_response(&bytes, true);
        let _ = lines_to_trailers(&bytes);
    }
}
