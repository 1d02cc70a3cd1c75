//! Exchanges that one side gives up: the other side hears of it, and nobody takes a part for the whole.

use std::sync::mpsc;

use tollgate_testkit::{Gate, PATIENCE};

use super::{Body, Plaza, Speaks, each};

#[test]
fn an_endpoint_hears_of_a_client_that_gives_up_in_the_middle_of_its_request() {
    each(|pair| {
        let (told, heard) = mpsc::channel();
        let plaza = Plaza::new(pair, move |asked| {
            asked.part();
            let _ = told.send("begun");
            let whole = asked.read();
            let _ = told.send(if whole { "whole" } else { "cut" });
        });
        let mut call = plaza.call("POST", "/", &[], Body::Known(100_000));
        call.data(&[b'x'; 50_000]);
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("begun"));
        call.cancel();
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("cut"));
        // An unfinished body of unknown length is no end either.
        let mut call = plaza.call("POST", "/", &[], Body::Unknown);
        call.data(&[b'x'; 50_000]);
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("begun"));
        call.cancel();
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("cut"));
    });
}

#[test]
fn an_endpoint_hears_of_a_client_that_gives_up_waiting() {
    each(|pair| {
        let (told, heard) = mpsc::channel();
        let plaza = Plaza::new(pair, move |asked| {
            assert!(asked.read());
            let _ = told.send("asked");
            asked.wait_for_cancel();
            let _ = told.send("cancelled");
        });
        let call = plaza.call("GET", "/", &[], Body::None);
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("asked"));
        call.cancel();
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("cancelled"));
    });
}

#[test]
fn an_endpoint_hears_of_a_client_that_gives_up_in_the_middle_of_the_response() {
    each(|pair| {
        let (told, heard) = mpsc::channel();
        let plaza = Plaza::new(pair, move |asked| {
            assert!(asked.read());
            asked.begin(200, &[], None);
            asked.data(&[b'x'; 1_000]);
            asked.wait_for_cancel();
            let _ = told.send("cancelled");
        });
        let mut call = plaza.call("GET", "/", &[], Body::None);
        call.head();
        call.cancel();
        assert_eq!(heard.recv_timeout(PATIENCE), Ok("cancelled"));
    });
}

#[test]
fn an_endpoint_that_gives_up_before_its_head_is_an_answer() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            asked.cut();
        });
        let reason = if pair.origin == Speaks::Http1 { "upstream_closed" } else { "upstream_reset" };
        for (method, body) in [("GET", Body::None), ("POST", Body::Known(0))] {
            let mut call = plaza.call(method, "/", &[], body);
            call.end(&[]);
            let response = call.response();
            assert_eq!((response.status, response.reason().as_deref()), (502, Some(reason)), "{method}");
        }
    });
}

#[test]
fn an_endpoint_that_gives_up_behind_its_head_is_a_cut() {
    for length in [Some(100_000), None] {
        each(|pair| {
            let plaza = Plaza::new(pair, move |asked| {
                assert!(asked.read());
                asked.begin(200, &[], length);
                asked.data(&[b'x'; 1_000]);
                asked.cut();
            });
            let mut call = plaza.call("GET", "/", &[], Body::None);
            match call.try_response() {
                // The head may have been on its way, or not.
                Ok(response) => assert_eq!(response.status, 502, "a part was taken for the whole"),
                Err(Some(partial)) => assert!(partial.body.len() <= 1_000),
                Err(None) => {}
            }
        });
    }
}

#[test]
fn a_connection_that_breaks_behind_a_head_is_a_cut() {
    each(|pair| {
        let gate = Gate::new();
        let seen = gate.clone();
        let plaza = Plaza::new(pair, move |asked| {
            assert!(asked.read());
            asked.begin(200, &[], None);
            asked.data(&[b'x'; 1_000]);
            seen.wait();
            asked.abort();
        });
        let mut call = plaza.call("GET", "/", &[], Body::None);
        let head = call.head();
        gate.open();
        let partial = call.rest(head).expect_err("a part was taken for the whole");
        assert!(partial.is_none_or(|partial| partial.body.len() <= 1_000));
    });
}

#[test]
fn an_idempotent_request_is_tried_again_after_a_reset_and_a_post_is_not() {
    each(|pair| {
        let tries = std::sync::atomic::AtomicUsize::new(0);
        let route = "retry: { attempts: 2, backoff: 1ms }";
        let plaza = Plaza::with(pair, "", route, move |asked| {
            asked.read();
            match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 {
                0 => asked.cut(),
                _ => asked.answer(200, &[], b"second"),
            }
        });
        let response = plaza.call("PUT", "/", &[], Body::Known(4)).exchange(b"body");
        assert_eq!((response.status, response.text().as_str()), (200, "second"));
        let response = plaza.call("POST", "/", &[], Body::Known(4)).exchange(b"body");
        assert_eq!(response.status, 502);
    });
}

#[test]
fn a_client_that_goes_disturbs_no_other_stream() {
    each(|pair| {
        let plaza = Plaza::new(pair, |asked| {
            assert!(asked.read());
            asked.begin(200, &[], None);
            if asked.request().target() == "/wait" {
                asked.wait_for_cancel();
                return;
            }
            for _ in 0..10 {
                asked.data(&[b'y'; 10_000]);
            }
            asked.end(&[]);
        });
        let caller = plaza.connect();
        let waiting: Vec<_> = (0..10).map(|_| caller.call("GET", "/wait", &[], Body::None)).collect();
        let mut other = caller.call("GET", "/", &[], Body::None);
        for mut call in waiting {
            call.head();
            call.cancel();
        }
        assert_eq!(other.response().body.len(), 100_000);
        assert_eq!(caller.call("GET", "/", &[], Body::None).response().body.len(), 100_000);
    });
}
