//! Time-outs: each kind for each pair, on streams that others share.

use super::{Body, Plaza, each};

#[test]
fn a_response_that_does_not_begin_in_time_is_an_answer() {
    each(|pair| {
        let route = "retry: none, timeouts: { first_byte: 200ms }";
        let plaza = Plaza::with(pair, "", route, |asked| {
            assert!(asked.read());
            if asked.request().target() == "/wait" {
                return asked.wait_for_cancel();
            }
            asked.answer(200, &[], b"ok");
        });
        let caller = plaza.connect();
        let response = caller.call("GET", "/wait", &[], Body::None).response();
        assert_eq!((response.status, response.reason().as_deref()), (504, Some("first_byte_timeout")));
        assert_eq!(caller.call("GET", "/", &[], Body::None).response().text(), "ok");
    });
}

#[test]
fn a_response_that_stops_is_a_cut() {
    each(|pair| {
        let plaza = Plaza::with(pair, "", "retry: none, timeouts: { idle: 300ms }", |asked| {
            assert!(asked.read());
            asked.begin(200, &[], None);
            asked.data(b"part");
            asked.wait_for_cancel();
        });
        let mut call = plaza.call("GET", "/", &[], Body::None);
        let head = call.head();
        let partial = call.rest(head).expect_err("a part was taken for the whole");
        assert!(partial.is_none_or(|partial| partial.text() == "part"));
    });
}

#[test]
fn an_exchange_that_takes_too_long_in_all_is_ended() {
    each(|pair| {
        let plaza = Plaza::with(pair, "", "retry: none, timeouts: { total: 300ms }", |asked| {
            assert!(asked.read());
            asked.wait_for_cancel();
        });
        let response = plaza.call("GET", "/", &[], Body::None).response();
        assert_eq!((response.status, response.reason().as_deref()), (504, Some("total_timeout")));
    });
}

#[test]
fn a_request_that_stops_is_an_answer() {
    each(|pair| {
        let plaza = Plaza::with(pair, "timeouts: { body: 300ms }", "retry: none", |asked| {
            assert!(!asked.read());
        });
        let mut call = plaza.call("POST", "/", &[], Body::Known(10));
        call.data(b"part");
        let response = call.response();
        assert_eq!((response.status, response.reason().as_deref()), (408, Some("body_timeout")));
    });
}
