//! Memory and descriptors under what clients and endpoints may do: bounded, and given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate_testkit::{Client, Gate, Origin, Tollgate};

use crate::{descriptors_at_rest, get, launch, wait_until};

fn forwarding(origin: &Origin) -> Tollgate {
    launch(
        "workers: 1\nupstreams: { u: { endpoints: [\"{origin}\"], pool: { max_idle: 0 } } }\nroutes:\n  \
         - { path: /, to: u }\n  - { path: { exact: /ready }, respond: { status: 200 } }\n",
        &[("origin", &origin.address())],
    )
}

fn in_use(tollgate: &Tollgate) -> u64 {
    tollgate.memory_kib().0
}

fn highest(tollgate: &Tollgate) -> u64 {
    tollgate.memory_kib().1
}

#[test]
fn short_connections_leave_nothing_behind() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let before = descriptors_at_rest(&tollgate);
    let mut after_each = Vec::new();
    for _ in 0..5 {
        for _ in 0..2000 {
            assert_eq!(tollgate.request(get("/")).text(), "hello");
        }
        after_each.push(in_use(&tollgate));
    }
    wait_until("all descriptors are given back", || tollgate.descriptors() <= before);
    // The first round warms up. 8000 connections that left a page each would be 32 MiB.
    assert!(after_each[4] <= after_each[0] + 1024, "KiB after each round: {after_each:?}");
}

#[test]
fn slow_heads_cost_little_and_are_given_back() {
    let origin = Origin::saying("hello");
    let tollgate = forwarding(&origin);
    let before = (descriptors_at_rest(&tollgate), in_use(&tollgate));
    let mut clients: Vec<_> = (0..200).map(|_| tollgate.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    }
    // A header line at a time; 16 KiB in all, which is less than the limit.
    for line in 0..64 {
        for client in &mut clients {
            client.send(format!("X-{line}: {}\r\n", "v".repeat(246)));
        }
    }
    wait_until("all are open", || {
        tollgate.metric("tollgate_connections_open{listener=\"127.0.0.1:0\"}") >= 200.0
    });
    assert_eq!(tollgate.request(get("/")).text(), "hello");
    // What was sent, twice (room to grow into), and something for the connection.
    let cost = in_use(&tollgate) - before.1;
    assert!(cost <= 200 * 48, "{cost} KiB for 200 clients");
    clients.into_iter().for_each(Client::reset);
    wait_until("all descriptors are given back", || tollgate.descriptors() <= before.0);
}

#[test]
fn downloads_that_nobody_reads_cost_a_buffer_each() {
    for framing in ["Content-Length: 1000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n10000000\r\n"] {
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        let origin = Origin::start(move |connection| {
            connection.request();
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
            let block = vec![b'x'; 64 * 1024];
            while connection.try_send(&block).is_ok() {
                counted.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
        });
        let tollgate = forwarding(&origin);
        let before = (descriptors_at_rest(&tollgate), in_use(&tollgate));
        let mut clients: Vec<_> = (0..200).map(|_| Client::connect_narrow(tollgate.address())).collect();
        for client in &mut clients {
            client.send(get("/"));
        }
        for client in &mut clients {
            assert_eq!(client.head().status, 200);
        }
        // Full when nothing moves any more. Too early a look could only miss a fault.
        let last = AtomicU64::new(u64::MAX);
        wait_until("everything is full", || {
            std::thread::park_timeout(Duration::from_millis(100));
            let now = sent.load(Ordering::Relaxed);
            last.swap(now, Ordering::Relaxed) == now
        });
        let cost = in_use(&tollgate).saturating_sub(before.1);
        assert!(cost <= 200 * 160, "{cost} KiB for 200 clients, {framing}");
        clients.into_iter().for_each(Client::reset);
        // Some of the pipes that bodies of known length move through are kept.
        wait_until("all descriptors are given back", || tollgate.descriptors() <= before.0 + 2 * 64);
    }
}

#[test]
fn an_upload_to_an_origin_that_reads_late_is_not_kept() {
    const SIZE: u64 = 1 << 30;
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        if connection.head().is_none() {
            return;
        }
        for_origin.wait();
        if connection.skip(SIZE).is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
        }
    });
    let tollgate = forwarding(&origin);
    let before = (descriptors_at_rest(&tollgate), highest(&tollgate));
    let mut client = tollgate.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    // As much as the kernel takes while the origin does not read; then the rest.
    let sent = client.send_until_stuck(Duration::from_millis(300), SIZE);
    assert!(sent < SIZE / 4, "{sent} bytes were taken from the client for an origin that does not read");
    gate.open();
    let block = vec![b'x'; 1 << 20];
    let mut missing = SIZE - sent;
    while missing > 0 {
        let piece = missing.min(block.len() as u64);
        client.send(&block[..piece as usize]);
        missing -= piece;
    }
    assert_eq!(client.response().text(), "done");
    drop(client);
    let cost = highest(&tollgate) - before.1;
    assert!(cost <= 4096, "{cost} KiB more at the most");
    wait_until("all descriptors are given back", || tollgate.descriptors() <= before.0);
}
