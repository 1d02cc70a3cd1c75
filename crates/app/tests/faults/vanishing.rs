//! Clients that vanish in the middle of an exchange leave nothing behind.

use tollgate_testkit::{Client, Gate, Origin, Tollgate};

use crate::{get, launch, wait_until};

fn forwarding(origin: &Origin) -> Tollgate {
    launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{origin}\"] } }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    )
}

/// Nothing is in flight, and all connections to the origin have ended.
fn assert_nothing_is_left(tollgate: &Tollgate, origin: &Origin, before: usize) {
    origin.wait_for_ended(origin.connections());
    let active =
        format!("tollgate_endpoint_active_requests{{upstream=\"u\",endpoint=\"{}\"}}", origin.address());
    wait_until("nothing is in flight", || tollgate.metric(&active) == 0.0);
    wait_until("all descriptors are given back", || tollgate.descriptors() <= before);
}

const TIMES: usize = 20;

#[test]
fn in_the_middle_of_a_request_body() {
    let origin = Origin::start(|connection| {
        connection.head();
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.descriptors();
    for framing in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
        let first = origin.connections();
        let clients: Vec<_> = (0..TIMES)
            .map(|_| {
                let mut client = tollgate.connect();
                client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
                client
            })
            .collect();
        origin.wait_for_connections(first + TIMES);
        clients.into_iter().for_each(Client::reset);
        assert_nothing_is_left(&tollgate, &origin, before);
    }
}

#[test]
fn with_an_ordered_close_in_the_middle_of_a_request_body() {
    let origin = Origin::start(|connection| {
        connection.head();
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.descriptors();
    for _ in 0..TIMES {
        let mut client = tollgate.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart");
        drop(client);
    }
    origin.wait_for_connections(TIMES);
    assert_nothing_is_left(&tollgate, &origin, before);
}

#[test]
fn while_waiting_for_the_response() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.descriptors();
    let clients: Vec<_> = (0..TIMES)
        .map(|_| {
            let mut client = tollgate.connect();
            client.send(get("/"));
            client
        })
        .collect();
    origin.wait_for_requests(TIMES);
    clients.into_iter().for_each(Client::reset);
    assert_nothing_is_left(&tollgate, &origin, before);
}

#[test]
fn while_waiting_for_a_connection_to_the_endpoint() {
    let silent = tollgate_testkit::Silent::new();
    let tollgate = launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{silent}\"], timeouts: { connect: 300ms } } }\n\
         routes: [{ path: /, to: u }]\n",
        &[("silent", &silent.address())],
    );
    let before = tollgate.descriptors();
    let active =
        format!("tollgate_endpoint_active_requests{{upstream=\"u\",endpoint=\"{}\"}}", silent.address());
    let mut client = tollgate.connect();
    client.send(get("/"));
    wait_until("it is being connected to", || tollgate.metric(&active) == 1.0);
    client.reset();
    wait_until("nothing is in flight", || tollgate.metric(&active) == 0.0);
    wait_until("all descriptors are given back", || tollgate.descriptors() <= before);
}

#[test]
fn in_the_middle_of_the_response() {
    for framing in
        ["Content-Length: 100000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4000000\r\n", "\r\n"]
    {
        let origin = Origin::start(move |connection| {
            connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
            let block = vec![b'x'; 64 * 1024];
            for _ in 0..1024 {
                if connection.try_send(&block).is_err() {
                    return;
                }
            }
            panic!("somebody took all of it");
        });
        let tollgate = forwarding(&origin);
        // Bodies of known length move through pipes, some of which are kept.
        let before = tollgate.descriptors() + 2 * 64;
        let clients: Vec<_> = (0..TIMES)
            .map(|_| {
                let mut client = Client::connect_narrow(tollgate.address());
                client.send(get("/"));
                client.head();
                client
            })
            .collect();
        clients.into_iter().for_each(Client::reset);
        assert_nothing_is_left(&tollgate, &origin, before);
    }
}

#[test]
fn with_requests_sent_ahead() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        if connection.request().is_some() {
            for_origin.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        }
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.descriptors();
    let mut client = tollgate.connect();
    client.send(get("/").repeat(100));
    origin.wait_for_requests(1);
    client.reset();
    gate.open();
    assert_nothing_is_left(&tollgate, &origin, before);
}
