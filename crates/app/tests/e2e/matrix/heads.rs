//! Heads: interim ones, fields that may not pass, hosts, refusals.

use super::{Body, Plaza, Speaks, each, forwarding};

#[test]
fn interim_responses_pass() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            asked.interim(103, &[("link", "</a.css>; rel=preload")]);
            asked.interim(103, &[("link", "</b.css>; rel=preload")]);
            asked.answer(200, &[], b"ok");
        });
        let mut call = plaza.call("GET", "/", &[], Body::None);
        for name in ["a", "b"] {
            let interim = call.interim();
            let link = format!("</{name}.css>; rel=preload");
            assert_eq!((interim.status, interim.get("link")), (103, Some(link.as_str())));
        }
        let response = call.response();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    });
}

#[test]
fn a_body_may_wait_for_continue() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert_eq!(asked.request().get("expect"), Some("100-continue"));
            asked.interim(100, &[]);
            assert!(asked.read());
            let body = asked.request().body.clone();
            asked.answer(200, &[], &body);
        });
        let mut call = plaza.call("POST", "/", &[("expect", "100-continue")], Body::Known(5));
        assert_eq!(call.interim().status, 100);
        call.data(b"hello");
        call.end(&[]);
        assert_eq!(call.response().text(), "hello");
    });
}

#[test]
fn fields_of_a_connection_stay_on_it_and_others_pass() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let request = asked.request();
            let host = request.get(":authority").or(request.get("host")).unwrap_or_default();
            let told =
                format!("{host} {} {}", request.all("x-many").join("+"), request.all("cookie").join("; "));
            for name in ["connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"] {
                assert_eq!(request.get(name), None);
            }
            asked.answer(200, &[("x-told", &told), ("x-many", "1"), ("x-many", "2")], b"");
        });
        let fields = [("x-many", "a"), ("x-many", "b"), ("cookie", "c=1"), ("cookie", "d=2")];
        let response = plaza.call("GET", "/", &fields, Body::None).response();
        assert_eq!(response.get("x-told"), Some("a.example a+b c=1; d=2"));
        assert_eq!(response.all("x-many"), ["1", "2"]);
        if pair.client == Speaks::Http2 {
            assert_eq!((response.get("connection"), response.get("transfer-encoding")), (None, None));
            assert!(response.names().iter().all(|name| !name.bytes().any(|b| b.is_ascii_uppercase())));
        }
    });
}

#[test]
fn what_forwarded_says_of_the_client_names_what_it_spoke() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let request = asked.request();
            let told = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
                .map(|name| request.get(name).unwrap_or("-").to_owned());
            assert!(request.get("x-request-id").is_some_and(|id| !id.is_empty()));
            asked.answer(200, &[("x-told", &told.join(" "))], b"");
        });
        let response = plaza.call("GET", "/", &[], Body::None).response();
        assert_eq!(response.get("x-told"), Some("127.0.0.1 http a.example"));
        assert!(response.get("x-request-id").is_some_and(|id| !id.is_empty()));
    });
}

#[test]
fn an_id_of_the_request_is_the_same_on_all_sides() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let id = asked.request().get("x-request-id").unwrap_or_default().to_owned();
            asked.answer(200, &[("x-told", &id)], b"");
        });
        let caller = plaza.connect();
        let ids: Vec<_> = (0..3)
            .map(|_| {
                let response = caller.call("GET", "/", &[], Body::None).response();
                assert_eq!(response.get("x-request-id"), response.get("x-told"));
                response.get("x-told").unwrap().to_owned()
            })
            .collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    });
}

#[test]
fn refusals_are_answers_with_their_reason() {
    each(|pair| {
        let plaza = Plaza::with(pair, "limits: { body_size: 1000B }", "retry: none", |asked| {
            // The body is too large, so its end never comes.
            asked.read();
            asked.answer(200, &[], b"");
        });
        let mut call = plaza.call("POST", "/", &[], Body::Known(1_001));
        let response = call.response();
        assert_eq!((response.status, response.reason().as_deref()), (413, Some("body_too_large")));
        let mut call = plaza.call("POST", "/", &[], Body::Unknown);
        call.data(&[b'x'; 1_001]);
        let response = call.response();
        assert_eq!((response.status, response.reason().as_deref()), (413, Some("body_too_large")));
        let mut call = plaza.call("POST", "/", &[("expect", "a miracle")], Body::Known(5));
        let response = call.response();
        assert_eq!((response.status, response.reason().as_deref()), (417, Some("bad_expectation")));
        let response = plaza.call("GET", "/a%2fb", &[], Body::None).response();
        assert_eq!((response.status, response.reason().as_deref()), (400, Some("bad_path")));
        let long = format!("/{}", "x".repeat(20_000));
        let response = plaza.call("GET", &long, &[], Body::None).response();
        assert_eq!((response.status, response.reason().as_deref()), (414, Some("target_too_long")));
        // A refused stream leaves the connection as it was.
        let caller = plaza.connect();
        assert_eq!(caller.call("GET", "/%00", &[], Body::None).response().status, 400);
        assert_eq!(caller.call("GET", "/", &[], Body::None).response().status, 200);
    });
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_an_answer() {
    each(|pair| {
        let (refusing, _held) = tollgate_testkit::refusing();
        let protocol = if pair.origin == Speaks::Http1 { "h1" } else { "h2c" };
        let tollgate = forwarding("", "retry: none", protocol, &refusing);
        let caller = match pair.client {
            Speaks::Http1 => super::Caller::Http1(tollgate.address()),
            Speaks::Http2 => {
                super::Caller::Http2(tollgate_testkit::http2::Http2Client::connect(tollgate.address()))
            }
        };
        for _ in 0..3 {
            let response = caller.call("GET", "/", &[], Body::None).response();
            assert_eq!((response.status, response.reason().as_deref()), (502, Some("connect_failed")));
        }
    });
}
