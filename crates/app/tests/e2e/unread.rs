//! Bytes that nobody reads: what a client sends and Tollgate has no use for must not cost it the answer.

use tollgate_testkit::{Ending, Origin};

use crate::{get, launch};

/// A socket that is closed with unread bytes in it resets its connection, and the reset overtakes the
/// answer in the client's own kernel.
#[test]
fn an_answer_without_an_origin_reaches_a_client_that_sends_a_body() {
    let origin = Origin::saying("");
    let tollgate = launch(
        "routes:\n\
         - { path: /moved, redirect: { path: { full: /new }, status: 302 } }\n\
         - { path: /fixed, respond: { status: 410, body: gone } }\n\
         - { path: /, to: \"http://{origin}\" }\n",
        &[("origin", &origin.address())],
    );
    for (path, status) in [("/moved", 302), ("/fixed", 410)] {
        for wish in ["", "Connection: close\r\n"].repeat(5) {
            let mut client = tollgate.connect();
            client.send(format!(
                "POST {path} HTTP/1.1\r\nHost: a.example\r\n{wish}Content-Length: 300000\r\n\r\n"
            ));
            // All is sent before anything is read, as simple clients do.
            client.send(vec![b'x'; 300_000]);
            let response = client.response();
            assert_eq!((response.status, response.get("connection")), (status, Some("close")));
            assert_eq!(client.ending(), Ending::Closed(Vec::new()));
        }
    }
    assert_eq!(origin.connections(), 0);
}

/// The last request of a connection is answered although more were sent ahead.
#[test]
fn the_last_answer_of_a_connection_reaches_a_client_that_sent_ahead() {
    let origin = Origin::saying("hello");
    let tollgate = launch(
        "limits: { requests_per_connection: 2 }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    for _ in 0..10 {
        let mut client = tollgate.connect();
        let mut sender = client.try_clone();
        let sending = std::thread::spawn(move || {
            // More than one read takes. The connection may end while it is sent.
            let _ = sender.try_send(get("/").repeat(20_000));
        });
        assert_eq!(client.response().text(), "hello");
        let last = client.response();
        assert_eq!((last.text().as_str(), last.get("connection")), ("hello", Some("close")));
        assert_eq!(client.ending(), Ending::Closed(Vec::new()));
        sending.join().unwrap();
    }
}
