//! Keeping connections on both sides, and requests that are sent ahead.

use tollgate_testkit::{Framing, Gate, Launch, Origin};

use crate::{PROGRAM, forwarding, get, launch};

#[test]
fn both_sides_are_kept_open() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..10 {
        let response = client.request(get("/"));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(response.get("connection"), None);
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 10));
}

#[test]
fn clients_share_idle_upstream_connections() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    for _ in 0..10 {
        assert_eq!(tollgate.request(get("/")).status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_asks_to_close_is_closed() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    let wish = "GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n";
    client.send([wish, &get("/after")].concat());
    let response = client.response();
    assert_eq!(response.get("connection"), Some("close"));
    client.assert_ended();
    // The wish was for this connection only, and nothing after it counts.
    assert_eq!(tollgate.request(get("/")).status, 200);
    assert_eq!(origin.connections(), 1);
    assert!(origin.requests().iter().all(|r| r.target() == "/"));
}

#[test]
fn an_origin_that_closes_does_not_close_the_client() {
    let origin = Origin::start(|connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        }
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..5 {
        let response = client.request(get("/"));
        assert_eq!((response.text().as_str(), response.get("connection")), ("hi", None));
    }
    assert_eq!(origin.connections(), 5);
}

#[test]
fn an_http_1_0_origin_is_asked_on_a_new_connection_each_time() {
    let origin = Origin::start(|connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..3 {
        let response = client.request(get("/"));
        assert_eq!((response.line(), response.text().as_str()), ("HTTP/1.1 200 OK", "hi"));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let origin = Origin::answering(|request| {
        let body = request.target();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let tollgate = forwarding(&origin);
    let paths: Vec<String> = (0..200).map(|n| format!("/{n}")).collect();
    let requests: String = paths.iter().map(|p| get(p)).collect();
    for bytewise in [false, true] {
        let mut client = tollgate.connect();
        if bytewise {
            client.send_bytewise(&requests);
        } else {
            client.send(&requests);
        }
        for path in &paths {
            assert_eq!(&client.response().text(), path);
        }
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_with_bodies_sent_ahead_are_taken_apart() {
    let origin = Origin::echo();
    let tollgate = forwarding(&origin);
    let mut requests = Vec::new();
    let mut bodies = Vec::new();
    for number in 0..60 {
        // A body that looks like a request, to show where the next one really begins.
        let body = format!("GET /{number} HTTP/1.1\r\nHost: evil\r\n\r\n").repeat(1 + number % 40);
        let head = "POST / HTTP/1.1\r\nHost: a\r\n";
        match number % 3 {
            0 => requests.push(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())),
            1 => requests.push(format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            )),
            _ => requests.push(get("/")),
        }
        bodies.push(if number % 3 == 2 { String::new() } else { body });
    }
    let requests = requests.concat();
    for piece in [requests.len(), 1000, 7] {
        let mut client = tollgate.connect();
        let mut sender = client.try_clone();
        let pieces = requests.clone().into_bytes();
        let sending = std::thread::spawn(move || pieces.chunks(piece).for_each(|p| sender.send(p)));
        for (number, body) in bodies.iter().enumerate() {
            assert_eq!(&client.response().text(), body, "response {number} in pieces of {piece}");
        }
        sending.join().unwrap();
    }
}

#[test]
fn a_request_sent_ahead_waits_for_the_one_before() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            if request.target() == "/slow" {
                for_origin.wait();
            }
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{:5}", request.target()));
        }
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send([get("/slow"), get("/next")].concat());
    origin.wait_for_requests(1);
    gate.open();
    assert_eq!(client.response().text(), "/slow");
    assert_eq!(client.response().text(), "/next");
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_responses() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    client.send([get("/1"), get("/2"), get("/3")].concat());
    client.finish_sending();
    for _ in 0..3 {
        assert_eq!(client.response().text(), "hello");
    }
    client.assert_ended();
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_connection_ends_politely_after_its_last_request() {
    let origin = Origin::saying("hello");
    let tollgate = launch(
        "limits: { requests_per_connection: 3 }\nroutes: [{ path: /, to: \"http://{origin}\" }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    client.send(get("/").repeat(5));
    assert_eq!(client.response().get("connection"), None);
    assert_eq!(client.response().get("connection"), None);
    assert_eq!(client.response().get("connection"), Some("close"));
    client.assert_ended();
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn the_pool_can_be_switched_off() {
    let origin = Origin::saying("hello");
    let tollgate = launch(
        "upstreams: { u: { endpoints: [\"{origin}\"], pool: { max_idle: 0 } } }\nroutes: [{ path: /, to: u }]\n",
        &[("origin", &origin.address())],
    );
    let mut client = tollgate.connect();
    for _ in 0..3 {
        assert_eq!(client.request(get("/")).framing, Framing::Length(5));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn bytes_behind_a_response_are_no_response_to_the_next_request() {
    let origin = Origin::start(|connection| {
        if connection.request().is_some() {
            let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood{evil}"));
        }
        connection.rest();
    });
    let tollgate = forwarding(&origin);
    let mut client = tollgate.connect();
    for _ in 0..5 {
        assert_eq!(client.request(get("/")).text(), "good");
    }
    assert_eq!(origin.connections(), 5);
}

/// A connection whose first request came with it is not watched until it has to be. That must not wait for a
/// deadline where there is none.
#[test]
fn a_client_that_goes_is_noticed_also_where_no_deadline_is_set() {
    let origin = Origin::start(|connection| {
        connection.request();
        connection.rest();
    });
    let document = "version: 1\n\
        listen: { address: \"127.0.0.1:0\", defer_accept: true }\n\
        workers: 1\n\
        defaults: { timeouts: { first_byte: none, idle: none } }\n\
        routes: [{ path: /, to: \"http://{origin}\" }]\n";
    let tollgate = Launch::new(PROGRAM, document).with("origin", origin.address()).start();
    let mut client = tollgate.connect();
    client.send(get("/"));
    origin.wait_for_requests(1);
    client.reset();
    origin.wait_for_ended(1);
}
