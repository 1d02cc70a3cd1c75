//! Ending politely while requests come in: none is lost.

use tollgate_testkit::{Client, Gate, Origin};

use rustix::process::Signal;

use crate::{get, launch};

const CLIENTS: usize = 64;

#[test]
fn requests_under_way_are_answered_and_the_process_ends_well() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            for_origin.wait();
            let body = request.target();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let mut tollgate =
        launch("routes: [{ path: /, to: \"http://{origin}\" }]\n", &[("origin", &origin.address())]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| tollgate.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{number}")));
    }
    origin.wait_for_requests(CLIENTS);
    tollgate.terminate();
    tollgate.stderr_line("draining");
    gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, format!("/{number}")));
        client.assert_ended();
    }
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn requests_that_arrived_before_the_end_began_are_answered() {
    let origin = Origin::saying("hello");
    let mut tollgate =
        launch("routes: [{ path: /, to: \"http://{origin}\" }]\n", &[("origin", &origin.address())]);
    // Idle connections, and some that the process has not even accepted.
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| tollgate.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.request(get("/")).text(), "hello");
    }
    tollgate.signal(Signal::STOP);
    clients.extend((0..CLIENTS).map(|_| tollgate.connect()));
    clients.iter_mut().for_each(|client| client.send(get("/")));
    tollgate.terminate();
    tollgate.signal(Signal::CONT);
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.try_response();
        let response = response.unwrap_or_else(|broken| panic!("client {number}: {broken:?}"));
        assert_eq!((response.text().as_str(), response.get("connection")), ("hello", Some("close")));
    }
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn clients_that_leave_when_they_are_told_to_lose_nothing() {
    let origin = Origin::saying("hello");
    let mut tollgate = launch(
        "shutdown: { delay: 300ms }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    let address = tollgate.address();
    let answered: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    for count in 0.. {
                        if client.try_send(get("/")).is_err() {
                            return count;
                        }
                        match client.try_response() {
                            Ok(response) => assert_eq!(response.text(), "hello"),
                            // Closed between two requests: what every client must be ready for.
                            Err(broken) if broken.partial.is_none() && count > 0 => return count,
                            Err(broken) => panic!("request {count}: {broken:?}"),
                        }
                    }
                    0
                })
            })
            .collect();
        origin.wait_for_requests(1000);
        tollgate.terminate();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(answered >= 1000);
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn a_request_that_outlasts_the_grace_is_answered_with_the_reason_and_the_exit_tells() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.request();
        for_origin.wait();
    });
    let mut tollgate = launch(
        "shutdown: { grace: 200ms }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    client.send(get("/"));
    origin.wait_for_requests(1);
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(1));
    let response = client.response();
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("draining")));
    gate.open();
}
