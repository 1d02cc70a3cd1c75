//! Bodies far larger than what may be held: neither side's slowness may turn into memory.

use std::sync::mpsc;
use std::time::Duration;

use tollgate_testkit::{Client, Gate, Origin, PATIENCE, Tollgate};

use crate::{forwarding, get};

const SIZE: u64 = 300 * 1024 * 1024;
/// What sockets and buffers between the two may hold while the taker does not take.
const ON_THE_WAY: u64 = 48 * 1024 * 1024;
/// What the program may grow by, in KiB.
const GROWTH: u64 = 12 * 1024;
/// Nothing moved for so long: nothing more will before the taker takes.
const STUCK: Duration = Duration::from_millis(700);

fn assert_small(tollgate: &Tollgate, before: (u64, u64)) {
    let after = tollgate.memory_kib();
    assert!(after.1 < before.1 + GROWTH, "from {before:?} to {after:?} KiB");
}

/// The frame around a body of [`SIZE`]: before it and after it.
fn frames(chunked: bool) -> (String, &'static str) {
    if chunked {
        // One chunk; the program writes chunks of its own.
        (format!("Transfer-Encoding: chunked\r\n\r\n{SIZE:x}\r\n"), "\r\n0\r\n\r\n")
    } else {
        (format!("Content-Length: {SIZE}\r\n\r\n"), "")
    }
}

fn upload(chunked: bool) {
    let read_on = Gate::new();
    let for_origin = read_on.clone();
    let (done, finished) = mpsc::channel();
    let origin = Origin::start(move |connection| {
        connection.head();
        for_origin.wait();
        let mut got = 0;
        if chunked {
            while let Some(size) = connection.chunk_size() {
                if size == 0 {
                    break;
                }
                connection.skip(size + 2);
                got += size;
            }
        } else if connection.skip(SIZE).is_some() {
            got = SIZE;
        }
        done.send(got).unwrap();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.memory_kib();
    let (head, tail) = frames(chunked);
    let mut client = tollgate.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}"));
    let sent = client.send_until_stuck(STUCK, SIZE);
    assert!(sent < ON_THE_WAY, "{sent} bytes are on their way to an origin that reads nothing");
    assert_small(&tollgate, before);
    read_on.open();
    assert_eq!(client.send_until_stuck(PATIENCE, SIZE - sent), SIZE - sent);
    client.send(tail);
    assert_eq!(finished.recv_timeout(PATIENCE).unwrap(), SIZE);
    assert_eq!(client.response().text(), "ok");
    assert_small(&tollgate, before);
}

fn download(chunked: bool) {
    let (stuck, at) = mpsc::channel();
    let origin = Origin::start(move |connection| {
        connection.request();
        let (head, tail) = frames(chunked);
        connection.send(format!("HTTP/1.1 200 OK\r\n{head}"));
        let sent = connection.send_until_stuck(STUCK, SIZE);
        stuck.send(sent).unwrap();
        connection.send_until_stuck(PATIENCE, SIZE - sent);
        connection.send(tail);
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.memory_kib();
    let mut client = tollgate.connect();
    client.send(get("/"));
    assert_eq!(client.head().status, 200);
    let sent = at.recv_timeout(PATIENCE).unwrap();
    assert!(sent < ON_THE_WAY, "{sent} bytes are on their way to a client that reads nothing");
    assert_small(&tollgate, before);
    if chunked {
        let mut got = 0;
        while let Some(size) = client.chunk_size().filter(|size| *size > 0) {
            client.skip(size + 2);
            got += size;
        }
        assert_eq!(got, SIZE);
    } else {
        client.skip(SIZE);
    }
    assert_small(&tollgate, before);
}

#[test]
fn an_upload_waits_for_its_origin() {
    upload(false);
}

#[test]
fn a_chunked_upload_waits_for_its_origin() {
    upload(true);
}

#[test]
fn a_download_waits_for_its_client() {
    download(false);
}

#[test]
fn a_chunked_download_waits_for_its_client() {
    download(true);
}

/// One byte a chunk is the most that framing can cost; it must not be kept.
#[test]
fn tiny_chunks_take_no_memory() {
    let origin = Origin::start(|connection| {
        let mut count: u64 = 0;
        connection.head();
        while let Some(size) = connection.chunk_size().filter(|size| *size > 0) {
            connection.skip(size + 2);
            count += size;
        }
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{count:7}"));
    });
    let tollgate = forwarding(&origin);
    let before = tollgate.memory_kib();
    let mut client = tollgate.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunks = "1\r\nx\r\n".repeat(10_000);
    for _ in 0..100 {
        client.send(&chunks);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "1000000");
    assert_small(&tollgate, before);
}

#[test]
fn connections_that_wait_take_little_memory() {
    let origin = Origin::saying("ok");
    let tollgate = forwarding(&origin);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(tollgate.request(&request).status, 200);
    let (before, _) = tollgate.memory_kib();
    let mut clients: Vec<Client> = (0..400).map(|_| tollgate.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.request(&request).status, 200);
    }
    let (after, _) = tollgate.memory_kib();
    assert!(after.saturating_sub(before) < 400 * 8, "{} KiB for 400 idle connections", after - before);
}
