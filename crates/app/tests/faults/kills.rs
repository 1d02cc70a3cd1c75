//! Endpoints that are killed, and come back.

use tollgate_testkit::{Client, Origin, refusing};

use crate::load::Load;
use crate::{descriptors_at_rest, get, launch, origin_in_a_process, wait_until};

const THREE: &str = "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\"]\n    \
                     ejection: { base: 100ms, max: 100ms }\n    pool: { idle_timeout: 500ms }\nroutes:\n  \
                     - { path: /, to: u }\n  - { path: { exact: /ready }, respond: { status: 200 } }\n";

#[test]
fn killing_endpoints_under_load_fails_no_request_that_may_be_repeated_and_repeats_no_other() {
    const KILLS: usize = 24;
    const BETWEEN: usize = 250;
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let mut origins: Vec<_> = (0..3).map(|_| origin_in_a_process(&executed)).collect();
    let [a, b, c] = [0, 1, 2].map(|n: usize| origins[n].address());
    let tollgate = launch(THREE, &[("a", &a), ("b", &b), ("c", &c)]);
    let descriptors = descriptors_at_rest(&tollgate);
    let load = Load { clients: 32, post_every: 10, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        for kill in 0..KILLS {
            outcomes.wait_for_more(BETWEEN);
            origins[kill % 3].kill();
            outcomes.wait_for_more(BETWEEN);
            origins[kill % 3].restart();
        }
        outcomes.wait_for_more(BETWEEN);
    });
    outcomes.assert_no_failures();
    for address in [a, b, c] {
        let active = format!("tollgate_endpoint_active_requests{{upstream=\"u\",endpoint=\"{address}\"}}");
        wait_until("nothing is in flight", || tollgate.metric(&active) == 0.0);
    }
    // A worker that had not begun yet when the start was looked at opens a few for itself.
    wait_until("all descriptors are given back", || tollgate.descriptors() <= descriptors + 8);
    let answered = outcomes.assert_posts_executed_once(&executed);
    assert!(answered >= KILLS, "too few POSTs to mean anything");
    let total = outcomes.answered();
    assert!(total * 9 / 10 >= 10_000, "{total} requests");
}

#[test]
fn a_response_whose_endpoint_is_killed_is_cut_never_complete() {
    let directory = tempfile::tempdir().unwrap();
    let mut origin = origin_in_a_process(&directory.path().join("executed"));
    let tollgate = launch(
        "routes: [{ name: all, path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    // So much that it cannot be all on its way while the client does not read.
    const SIZE: usize = 64 << 20;
    for framing in ["", "&chunked"] {
        origin.restart();
        let mut client = Client::connect_narrow(tollgate.address());
        client.send(get(&format!("/?id=x&size={SIZE}{framing}")));
        let response = client.head();
        assert_eq!(response.status, 200);
        origin.kill();
        let cut = client.try_body(response).unwrap_err();
        let partial = cut.partial.unwrap();
        assert!(cut.reset && partial.body.len() < SIZE, "{framing}: {} bytes", partial.body.len());
    }
}

#[test]
fn a_post_that_was_not_sent_is_sent_elsewhere() {
    let origin = Origin::echo();
    let (dead, _port) = refusing();
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{dead}\", \"{origin}\"], ejection: none } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("dead", &dead), ("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    for number in 0..40 {
        let body = format!("body {number:4}");
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(client.request(format!("{head}{body}")).text(), body);
    }
    assert_eq!(origin.requests().len(), 40);
    assert!(tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}") >= 10.0);
}

#[test]
fn a_post_that_was_sent_is_not_sent_again() {
    let origin = Origin::start(|connection| {
        connection.request();
    });
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"] } }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    for _ in 0..10 {
        let response = tollgate.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!((response.status, response.reason().as_deref()), (502, Some("upstream_closed")));
    }
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn an_idle_connection_that_has_ended_unseen_takes_no_attempt_away() {
    let origin = Origin::start(|connection| {
        let answers = usize::from(connection.index() != 1);
        for _ in 0..answers {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
        connection.request();
    });
    let tollgate = launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{origin}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 2 } }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).text(), "hi");
    // The first connection ends under it, the first attempt fails, the second succeeds.
    assert_eq!(client.request(get("/")).text(), "hi");
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_request_whose_idle_connection_dies_with_its_endpoint_goes_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let (mut killed, other) = (origin_in_a_process(&executed), origin_in_a_process(&executed));
    let tollgate = launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{killed}\", \"{other}\"], ejection: none } }\n\
         routes: [{ path: /, to: u, retry: { attempts: 2 } }]\n",
        &[("killed", &killed.address()), ("other", &other.address())],
    );
    let mut clients = [tollgate.connect(), tollgate.connect()];
    for _ in 0..5 {
        killed.restart();
        for number in 0..4 {
            assert_eq!(clients[number % 2].request(get("/?id=1;&size=2")).text(), "1;");
        }
        // Both have an idle connection. One request is sent on the one to the stopped endpoint, which then
        // dies, so that first this connection ends, and then no new one can be made.
        killed.stop();
        let active =
            format!("tollgate_endpoint_active_requests{{upstream=\"u\",endpoint=\"{}\"}}", killed.address());
        clients.iter_mut().for_each(|client| client.send(get("/?id=2;&size=2")));
        wait_until("a request is there", || tollgate.metric(&active) == 1.0);
        killed.kill();
        for client in &mut clients {
            let response = client.response();
            assert_eq!((response.status, response.text().as_str()), (200, "2;"));
        }
    }
}
