//! Faults on purpose.

use tollgate_testkit::Origin;
use tollgate_testkit::http2::Http2Client;

use crate::verbs::verb;
use crate::{get, launch};

fn faulty(origin: &Origin, fault: &str) -> tollgate_testkit::Tollgate {
    launch(
        "admin: { listen: \"127.0.0.1:0\" }\nrecorder: { sample: 100% }\nroutes: [{ name: all, path: /, to: \"http://{origin}\", fault: {fault} }]\n",
        &[("origin", &origin.address()), ("fault", &fault)],
    )
}

#[test]
fn a_share_fails_on_purpose_and_why_says_so() {
    let origin = Origin::saying("fine");
    let tollgate = faulty(&origin, "{ abort: { status: 599, share: 50% } }");
    let mut client = tollgate.connect();
    let mut failed = Vec::new();
    for _ in 0..200 {
        let response = client.request(get("/"));
        match response.status {
            200 => assert_eq!(response.text(), "fine"),
            status => {
                assert_eq!((status, response.reason().as_deref()), (599, Some("fault_injected")));
                failed.push(response.get("x-request-id").unwrap().to_owned());
            }
        }
    }
    assert!((50..150).contains(&failed.len()), "{} of 200", failed.len());
    assert_eq!(origin.requests().len(), 200 - failed.len());
    let why = verb(&tollgate, &["why", failed.last().unwrap()]);
    assert!(why.stdout.contains("status 599 on purpose") && !why.stdout.contains("doubt"), "{why:?}");
}

#[test]
fn a_delay_is_waited_and_told() {
    let origin = Origin::saying("fine");
    let tollgate = faulty(&origin, "{ delay: { by: 30ms, jitter: 5ms }, when: X-Chaos }");
    let plain = tollgate.request(get("/"));
    let delayed = tollgate.request("GET / HTTP/1.1\r\nHost: a\r\nX-Chaos: 1\r\n\r\n");
    assert_eq!((plain.text(), delayed.text()), ("fine".to_owned(), "fine".to_owned()));
    let why = |response: &tollgate_testkit::Response| {
        verb(&tollgate, &["why", response.get("x-request-id").unwrap()]).stdout
    };
    assert!(why(&plain).contains("policy      fault: passed\n"), "{}", why(&plain));
    let told = why(&delayed);
    assert!(told.contains("delayed by 3") && told.contains("on purpose, after waiting"), "{told}");
}

#[test]
fn in_shadow_nothing_happens() {
    let origin = Origin::saying("fine");
    let tollgate = faulty(&origin, "{ delay: 10m, abort: 503, shadow: true }");
    assert_eq!(tollgate.request(get("/")).text(), "fine");
    tollgate.await_metric(
        "tollgate_policy_decisions_total{policy=\"fault\",route=\"all\",outcome=\"would_stop\"}",
        1.0,
    );
}

#[test]
fn a_call_gets_a_status_of_grpc() {
    let origin = Origin::saying("fine");
    let tollgate = faulty(&origin, "{ abort: 503 }");
    let fields = [("content-type", "application/grpc"), ("te", "trailers")];
    let mut call = Http2Client::connect(tollgate.address()).begin("POST", "/shop.Orders/Get", &fields);
    call.sending.finish();
    let response = call.response();
    assert_eq!((response.status, response.get("grpc-status")), (200, Some("14")));
}
