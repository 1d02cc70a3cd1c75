//! Bodies and trailers, in both directions.

use std::sync::mpsc;

use tollgate_testkit::{Framing, Gate};

use super::{Body, Plaza, Speaks, each, pattern};

const LARGE: usize = 3_000_000;

#[test]
fn no_body_stays_none() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let request = asked.request();
            let told = format!("{} {} {:?}", request.method(), request.target(), request.framing);
            asked.answer(200, &[("x-told", &told)], b"");
        });
        let response = plaza.call("GET", "/a?b=c", &[], Body::None).response();
        assert_eq!(response.get("x-told"), Some("GET /a?b=c None"));
        assert_eq!((response.framing, response.text().as_str()), (Framing::Length(0), ""));
    });
}

#[test]
fn a_body_of_known_length_keeps_it() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let told = format!("{:?}", asked.request().framing);
            let body = asked.request().body.clone();
            asked.answer(200, &[("x-told", &told)], &body);
        });
        for size in [0, 1, 70_000] {
            let body = pattern(size);
            let response = plaza.call("POST", "/", &[], Body::Known(size)).exchange(&body);
            assert_eq!(response.get("x-told"), Some(format!("Length({size})").as_str()));
            assert_eq!(response.framing, Framing::Length(size as u64));
            assert!(response.body == body, "{size}");
        }
    });
}

#[test]
fn a_body_of_unknown_length_passes_as_it_comes() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            asked.begin(200, &[], None);
            while let Some(part) = asked.part().filter(|part| !part.is_empty()) {
                assert!(asked.data(&part));
            }
            asked.end(&[]);
        });
        let mut call = plaza.call("POST", "/", &[], Body::Unknown);
        // Each part comes back before the next one is sent: nothing waits for the end.
        assert!(call.data(b"one"));
        let head = call.head();
        assert_eq!(head.get("content-length"), None);
        for part in ["two", "three"] {
            assert!(call.data(part.as_bytes()));
        }
        call.end(&[]);
        let response = call.rest(head).unwrap();
        assert_eq!(response.text(), "onetwothree");
    });
}

#[test]
fn large_bodies_pass_both_ways_at_once() {
    for length in [Body::Known(LARGE), Body::Unknown] {
        each(|pair| {
            let plaza = Plaza::new(pair, |asked| {
                asked.begin(200, &[], None);
                while let Some(part) = asked.part().filter(|part| !part.is_empty()) {
                    assert!(asked.data(&part));
                }
                asked.end(&[]);
            });
            let body = pattern(LARGE);
            let response = plaza.call("POST", "/", &[], length).exchange(&body);
            assert!(response.body == body, "{pair:?} {length:?}");
        });
    }
}

#[test]
fn trailers_pass_both_ways() {
    each(|pair| {
        let (told, seen) = mpsc::channel();
        let plaza = Plaza::new(pair, move |asked| {
            assert!(asked.read());
            let _ = told.send((asked.request().text(), asked.request().trailers.clone()));
            asked.begin(200, &[], None);
            asked.data(b"response");
            asked.end(&[("x-down", "1"), ("x-down", "2")]);
        });
        let mut call = plaza.call("POST", "/", &[("te", "trailers")], Body::Unknown);
        call.data(b"request");
        call.end(&[("x-up", "yes")]);
        let response = call.response();
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        assert_eq!(response.text(), "response");
        assert_eq!(response.trailers, pairs(&[("x-down", "1"), ("x-down", "2")]));
        assert_eq!(seen.recv().unwrap(), ("request".to_owned(), pairs(&[("x-up", "yes")])));
    });
}

#[test]
fn responses_without_a_body_have_none() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            let status = asked.request().target()[1..].parse().unwrap();
            asked.answer(status, &[("etag", "\"x\"")], b"body");
        });
        for (method, status, length) in
            [("HEAD", 200, Some("4")), ("GET", 204, None), ("GET", 304, None), ("GET", 200, Some("4"))]
        {
            let response = plaza.call(method, &format!("/{status}"), &[], Body::None).response();
            assert_eq!((response.status, response.get("content-length")), (status, length), "{method}");
            let body = if (method, status) == ("GET", 200) { "body" } else { "" };
            assert_eq!((response.text().as_str(), response.get("etag")), (body, Some("\"x\"")));
        }
    });
}

#[test]
fn a_response_may_begin_and_end_before_the_request_has_ended() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            asked.part();
            asked.answer(403, &[], b"no");
            // Whatever still comes is not looked at.
            if asked.request().get("x-read").is_some() {
                asked.read();
            }
        });
        let mut call = plaza.call("POST", "/", &[], Body::Known(1_000_000));
        call.data(b"begin");
        let response = call.response();
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
        // The rest may be sent, or not: nobody minds.
        call.data(&pattern(999_995));
        call.end(&[]);
        let response = plaza.call("POST", "/", &[("x-read", "1")], Body::Known(5)).exchange(b"whole");
        assert_eq!(response.status, 403);
    });
}

#[test]
fn a_response_that_has_begun_goes_on_while_the_request_does() {
    each(|pair| {
        let gate = Gate::new();
        let opened = gate.clone();
        let plaza = Plaza::new(pair, move |asked| {
            asked.begin(200, &[], None);
            asked.data(b"first");
            opened.wait();
            assert!(asked.read());
            let last = asked.request().body.len().to_string();
            asked.data(last.as_bytes());
            asked.end(&[]);
        });
        let mut call = plaza.call("PUT", "/", &[], Body::Unknown);
        call.data(b"a");
        let head = call.head();
        gate.open();
        call.data(&[b'b'; 100_000]);
        call.end(&[]);
        assert_eq!(call.rest(head).unwrap().text(), "first100001");
    });
}

#[test]
fn a_client_that_sends_nothing_more_still_gets_its_response() {
    each(|pair| {
        let gate = Gate::new();
        let opened = gate.clone();
        let plaza = Plaza::new(pair, move |asked| {
            assert!(asked.read());
            opened.wait();
            asked.answer(200, &[], b"late");
        });
        let mut call = plaza.call("GET", "/", &[], Body::None);
        if let (Speaks::Http1, super::Called::Http1 { client, .. }) = (pair.client, &mut call) {
            client.finish_sending();
        }
        gate.open();
        assert_eq!(call.response().text(), "late");
    });
}
