//! Another document while running.

use tollgate_testkit::{Client, Launch, Origin};

use crate::{PROGRAM, get};

fn respond(body: &str) -> String {
    format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nroutes:\n  - {{ path: /, respond: {{ status: 200, body: {body} }} }}\n"
    )
}

#[test]
fn the_next_request_of_an_open_connection_is_served_by_the_new_document() {
    let tollgate = Launch::new(PROGRAM, &respond("one")).start();
    let mut client = tollgate.connect();
    assert_eq!(client.request(get("/")).text(), "one");
    let said = tollgate.reload(&respond("two"));
    assert!(said.contains("document 2 is in force"), "{said}");
    assert_eq!(client.request(get("/")).text(), "two");
}

#[test]
fn a_bad_document_leaves_the_running_one_and_says_what_is_wrong() {
    let tollgate = Launch::new(PROGRAM, &respond("one")).start();
    let mut client = tollgate.connect();
    let said = tollgate.reload("version: 1\nlisten: \":0\"\nrouts: []\n");
    assert!(said.contains("reload refused, what runs goes on as it was"), "{said}");
    tollgate.stderr_line("tollgate.yaml:3:1");
    assert_eq!(client.request(get("/")).text(), "one");
    // And the next good one is taken.
    assert!(tollgate.reload(&respond("three")).contains("document 2 is in force"));
    assert_eq!(client.request(get("/")).text(), "three");
}

#[test]
fn a_document_that_says_the_same_changes_nothing() {
    let tollgate = Launch::new(PROGRAM, &respond("one")).start();
    let said = tollgate.reload(&respond("one"));
    assert!(said.contains("nothing changed, document 1 stays in force"), "{said}");
}

#[test]
fn a_listener_that_cannot_be_bound_refuses_the_document_whole() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tollgate = Launch::new(PROGRAM, &respond("one")).start();
    let address = taken.local_addr().unwrap();
    let text = respond("two").replace("\"127.0.0.1:0\"", &format!("[\"127.0.0.1:0\", \"{address}\"]"));
    let said = tollgate.reload(&text);
    assert!(said.contains("refused") && said.contains(&format!("cannot listen on {address}")), "{said}");
    assert_eq!(tollgate.connect().request(get("/")).text(), "one");
}

#[test]
fn listeners_come_and_go_without_touching_the_others() {
    let tollgate = Launch::new(PROGRAM, &respond("one")).start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut kept = tollgate.connect();
    assert_eq!(kept.request(get("/")).text(), "one");

    let both = respond("two").replace("\"127.0.0.1:0\"", &format!("[\"{free}\", \"127.0.0.1:0\"]"));
    assert!(tollgate.reload(&both).contains("document 2 is in force"));
    let mut added = Client::connect(free);
    assert_eq!(added.request(get("/")).text(), "two");
    assert_eq!(kept.request(get("/")).text(), "two");

    // The added one goes again: its idle connection is closed, the other's is not.
    assert!(tollgate.reload(&respond("three")).contains("document 3 is in force"));
    added.assert_ended();
    assert!(std::net::TcpStream::connect(free).is_err());
    assert_eq!(kept.request(get("/")).text(), "three");
}

#[test]
fn an_exchange_under_way_ends_on_the_document_it_began_with() {
    let origin = Origin::saying("ok");
    let text = |origin: &Origin, to: &str| {
        format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nupstreams:\n  a: [\"{}\"]\nroutes:\n  - {{ path: /, {to} }}\n",
            origin.address()
        )
    };
    let tollgate = Launch::new(PROGRAM, &text(&origin, "to: a")).start();
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    origin.wait_for_connections(1);
    let said = tollgate.reload(&text(&origin, "respond: { status: 418, body: teapot }"));
    assert!(said.contains("document 2 is in force"), "{said}");
    client.send("67890");
    assert_eq!(client.response().status, 200);
    assert_eq!(client.request(get("/")).status, 418);
}
