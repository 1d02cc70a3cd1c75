//! Bytes both ways, ends, resets, and the time between.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use tollgate_decision::Reason;
use tollgate_runtime::Random;

use super::plaza::{Endpoints, Plaza, Setup, dead, is_reset, pass, reset, rest, until};
use crate::stream::tcp::{Caller, connection};

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::from_seed(seed);
    (0..length / 8).flat_map(|_| random.next_u64().to_le_bytes()).collect()
}

/// Sends everything and then the end, in a thread.
fn sender(stream: &TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

#[test]
fn large_transfers_go_both_ways_at_once() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (up, down) = (noise(1, 9 << 20), noise(2, 7 << 20));
    let mut client = plaza.connect();
    let mut origin = endpoints.accept();
    let senders = [sender(&client, up.clone()), sender(&origin, down.clone())];
    let receiver = std::thread::spawn(move || rest(&mut origin));
    assert!(rest(&mut client) == down, "the way down is not what was sent");
    assert!(receiver.join().unwrap() == up, "the way up is not what was sent");
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    plaza.ended(Reason::ConnectionEnded, 1);
    let (listener, upstream) = (&plaza.shard.listeners[0], &plaza.shard.upstreams[0]);
    let expected = (up.len() as u64, down.len() as u64);
    assert_eq!((listener.received_bytes.get(), listener.sent_bytes.get()), expected);
    assert_eq!((upstream.sent_bytes.get(), upstream.received_bytes.get()), expected);
    until(|| listener.closed.get() == 1);
}

#[test]
fn small_and_large_pieces_take_turns() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    for round in 0..200 {
        let size = if round % 20 == 19 { 400_000 } else { 64 };
        let bytes = noise(round, size);
        let copy = bytes.clone();
        let mut from = origin.try_clone().unwrap();
        pass(&mut client, &mut origin, b"next");
        let sending = std::thread::spawn(move || from.write_all(&copy).unwrap());
        assert!(super::plaza::read(&mut client, bytes.len()) == bytes, "round {round}");
        sending.join().unwrap();
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, origin) = (plaza.connect(), endpoints.accept());
    let bytes = noise(3, 64 << 20);
    let sender = sender(&origin, bytes.clone());
    // More than all buffers on the way hold, so it stops; another connection goes on meanwhile.
    let (mut other, mut other_origin) = (plaza.connect(), endpoints.accept());
    pass(&mut other, &mut other_origin, b"meanwhile");
    assert!(!sender.is_finished());
    drop((other, other_origin));
    assert!(rest(&mut client) == bytes);
    sender.join().unwrap();
}

#[test]
fn either_side_may_end_first_and_still_receive() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut client, &mut origin, b"question");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut origin), b"");
    pass(&mut origin, &mut client, b"answer");
    drop(origin);
    assert_eq!(rest(&mut client), b"");
    plaza.ended(Reason::ConnectionEnded, 1);

    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut origin, &mut client, b"greeting");
    origin.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), b"");
    pass(&mut client, &mut origin, b"more");
    drop(client);
    assert_eq!(rest(&mut origin), b"");
    plaza.ended(Reason::ConnectionEnded, 2);
}

#[test]
fn resets_are_passed_on() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut origin, &mut client, b"some");
    reset(origin);
    assert!(is_reset(&mut client));
    let entry = plaza.recorded(Reason::UpstreamClosed);
    assert_eq!(entry.record.detail, Some("the endpoint reset the connection"));
    assert_eq!((entry.bytes.received, entry.bytes.sent), (0, 4));

    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut client, &mut origin, b"some");
    reset(client);
    assert!(is_reset(&mut origin));
    let entry = plaza.recorded(Reason::ClientClosed);
    assert_eq!(entry.record.detail, Some("the client reset the connection"));
}

#[test]
fn a_connection_that_carries_nothing_for_too_long_ends() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.service.timeouts.idle_ms = 300;
    let plaza = Plaza::open(setup);
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut client, &mut origin, b"once");
    assert_eq!((rest(&mut client), rest(&mut origin)), (Vec::new(), Vec::new()));
    plaza.ended(Reason::ConnectionIdle, 1);
}

#[test]
fn another_endpoint_is_tried_where_one_is_dead() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[dead(), address]);
    setup.service.connect_retries = 2;
    let plaza = Plaza::open(setup);
    for _ in 0..4 {
        let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
        pass(&mut client, &mut origin, b"through");
    }
    plaza.ended(Reason::ConnectionEnded, 4);
    let upstream = &plaza.shard.upstreams[0];
    assert!(upstream.connects_failed.get() >= 1);
    assert_eq!(upstream.retries.get(), upstream.connects_failed.get());
    assert_eq!(upstream.connections_opened.get(), 4);
    assert_eq!(plaza.snapshot.upstreams[0].in_flight(), 0);
    assert_eq!(plaza.snapshot.upstreams[0].active_retries(), 0);
}

#[test]
fn without_an_endpoint_the_client_is_reset() {
    let plaza = Plaza::open(Setup::to(&[dead()]));
    let mut client = plaza.connect();
    assert!(is_reset(&mut client));
    let entry = plaza.recorded(Reason::ConnectFailed);
    assert!(entry.record.detail.is_some_and(|detail| detail.contains("refused")));
    assert_eq!((entry.record.attempts, entry.names.endpoints.len()), (1, 1));
    drop(plaza);
    let plaza = Plaza::open(Setup::to(&[]));
    assert!(is_reset(&mut plaza.connect()));
    plaza.ended(Reason::NoEndpoint, 1);
}

#[test]
fn open_connections_outlive_their_listener_and_a_drain() {
    let (endpoints, address) = Endpoints::listen();
    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut client, &mut origin, b"before");
    plaza.remove_listener();
    assert!(TcpStream::connect(plaza.address).is_err());
    pass(&mut client, &mut origin, b"after");
    pass(&mut origin, &mut client, b"and back");
    plaza.drain();
    pass(&mut origin, &mut client, b"still there");
    drop((client, origin));
    plaza.ended(Reason::ConnectionEnded, 1);
}

fn future_size<F: Future>(_: impl Fn(Caller) -> F) -> usize {
    size_of::<F>()
}

/// A connection that waits is this future, an exchange and little else.
#[test]
fn a_waiting_connection_is_small() {
    let (future, exchange) = (future_size(connection), size_of::<crate::exchange::Exchange>());
    assert!(future <= 640, "{future} bytes");
    assert!(future + exchange <= 2560, "{future} and {exchange} bytes");
}
