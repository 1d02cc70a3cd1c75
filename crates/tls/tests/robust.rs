//! Sessions over wires that take and give little, and with peers that send nonsense.

mod parts;

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

use parts::{Authority, Side, acceptor, carry, client_settings, connector, handshake, sides, ticket_keys};
use proptest::prelude::*;
use tollgate_decision::Reason;
use tollgate_tls::{Acceptor, Connector, ServerSettings, hello};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("CA"));

fn both() -> (Connector, Arc<Acceptor>) {
    let settings = ServerSettings { tickets: Some(ticket_keys()), ..ServerSettings::default() };
    let acceptor = acceptor(settings, vec![AUTHORITY.certificate(&["shop.example"])]);
    (connector(client_settings(AUTHORITY.roots())), acceptor)
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ seed).collect()
}

/// All that a client sends in a handshake and after it.
fn recorded() -> (Vec<u8>, usize) {
    let (connector, acceptor) = both();
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    assert!(client.handshake().is_pending());
    let hello: Vec<u8> = client.end.outgoing.borrow().bytes.iter().copied().collect();
    let len = hello.len();
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    (hello, len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever the windows, all bytes arrive in order in both directions.
    #[test]
    fn narrow_wires_carry_everything(
        window in 1usize..40_000, step in 1usize..40_000, buf in 1usize..70_000,
        up in 1usize..200_000, down in 1usize..200_000,
    ) {
        let (connector, acceptor) = both();
        let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
        for side in [&mut client, &mut server] {
            side.end.window = window;
            side.end.step = step;
        }
        // Small windows make long runs.
        let most = window.min(step).saturating_mul(2_000);
        let (up, down) = (bytes(up.min(most), 1), bytes(down.min(most), 2));
        prop_assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
        prop_assert!(carry(&mut client, &mut server, &up, buf) == up);
        prop_assert!(carry(&mut server, &mut client, &down, buf) == down);
    }

    /// Both directions at once, with a close at the end of each.
    #[test]
    fn both_directions_at_once(window in 30usize..20_000, step in 1usize..20_000, len in 1usize..100_000) {
        let (connector, acceptor) = both();
        let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
        prop_assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
        for side in [&mut client, &mut server] {
            side.end.window = window;
            side.end.step = step;
        }
        let message = bytes(len, 3);
        let mut states = [(client, 0, Vec::new(), false), (server, 0, Vec::new(), false)];
        while states.iter().any(|(.., is_closed)| !is_closed) {
            for (side, sent, got, is_closed) in &mut states {
                if *sent < message.len() {
                    if let Poll::Ready(taken) = side.send(&message[*sent..]) {
                        *sent += taken.expect("taken");
                    }
                } else if let Poll::Ready(closed) = side.close() {
                    closed.expect("closed");
                }
                while !*is_closed && let Poll::Ready(received) = side.recv(5_000) {
                    let received = received.expect("received");
                    *is_closed = received.is_empty();
                    got.extend(received);
                }
            }
        }
        for (_, _, got, _) in states {
            prop_assert!(got == message);
        }
    }

    /// Nonsense in place of any part of the handshake ends it, and nothing panics.
    #[test]
    fn a_spoilt_handshake_ends(at in any::<prop::sample::Index>(), with in 1u8.., from_client: bool) {
        let (connector, acceptor) = both();
        let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
        assert!(client.handshake().is_pending());
        if !from_client {
            assert!(server.handshake().is_pending());
        }
        {
            let end = if from_client { &client.end } else { &server.end };
            let mut pipe = end.outgoing.borrow_mut();
            let at = at.index(pipe.bytes.len());
            // The version in a record's header means nothing (RFC 8446 section 5.1).
            prop_assume!(!is_version(pipe.bytes.make_contiguous(), at));
            pipe.bytes[at] ^= with;
        }
        let mut outcomes = (None, None);
        for _ in 0..10 {
            if outcomes.0.is_none() && let Poll::Ready(outcome) = client.handshake() {
                outcomes.0 = Some(outcome);
                let _ = client.flush();
            }
            if outcomes.1.is_none() && let Poll::Ready(outcome) = server.handshake() {
                outcomes.1 = Some(outcome);
                let _ = server.flush();
            }
        }
        // Where none noticed and none waits for bytes that will not come (a length was spoilt), it was a byte
        // without meaning, such as the version in a plain record's header.
        if (&outcomes.0, &outcomes.1) == (&Some(Ok(())), &Some(Ok(()))) {
            prop_assert!(carry(&mut client, &mut server, b"as ever", 10) == b"as ever");
            prop_assert_eq!(server.session.server_name(), Some("shop.example"));
        }
    }

    /// Nonsense on a connection that carries traffic is an error, never bytes.
    #[test]
    fn spoilt_traffic_is_an_error(at in any::<prop::sample::Index>(), with in 1u8.., len in 1usize..40_000) {
        let (connector, acceptor) = both();
        let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
        prop_assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
        prop_assert!(carry(&mut client, &mut server, b"before", 10) == b"before");
        let message = bytes(len, 4);
        assert!(client.send(&message).is_ready());
        {
            let mut pipe = client.end.outgoing.borrow_mut();
            let at = at.index(pipe.bytes.len());
            pipe.bytes[at] ^= with;
        }
        client.end.close();
        let mut got = Vec::new();
        loop {
            match server.recv(65_536) {
                Poll::Ready(Ok(more)) => {
                    prop_assert!(!more.is_empty());
                    got.extend(more);
                }
                Poll::Ready(Err(error)) => {
                    prop_assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof));
                    break;
                }
                Poll::Pending => prop_assert!(false, "the wire is closed"),
            }
        }
        prop_assert!(got.len() < message.len() && message.starts_with(&got));
        // It stays an error.
        prop_assert!(matches!(server.recv(10), Poll::Ready(Err(_))));
        prop_assert!(matches!(server.send(b"x"), Poll::Ready(Err(_)) | Poll::Ready(Ok(_))));
    }

    /// Any bytes at all.
    #[test]
    fn anything_may_come_first(bytes in prop::collection::vec(any::<u8>(), 1..300), is_tls: bool) {
        let (_, acceptor) = both();
        let (one, other) = parts::wire();
        let mut server = Side { session: acceptor.accept(), end: other };
        let mut bytes = bytes;
        if is_tls {
            let len = bytes.len() as u16;
            let header = [22, 3, 1, (len >> 8) as u8, len as u8];
            bytes.splice(0..0, header);
        }
        one.outgoing.borrow_mut().bytes.extend(&bytes);
        one.close();
        let Poll::Ready(Err(failure)) = server.handshake() else {
            panic!("no handshake");
        };
        prop_assert!(matches!(failure.reason, Reason::NotTls | Reason::TlsHandshakeFailed));
        prop_assert!(matches!(server.handshake(), Poll::Ready(Err(_))));
        prop_assert!(matches!(server.recv(10), Poll::Ready(Err(_))));
    }

    /// Neither panics nor answers that change.
    #[test]
    fn looking_at_anything(bytes in prop::collection::vec(any::<u8>(), 0..600), more: Vec<u8>) {
        let first = hello::peek(&bytes);
        if first != hello::Hello::Partial {
            prop_assert_eq!(hello::peek(&[&bytes[..], &more].concat()), first);
        }
    }

    /// Neither does a hello with a fault, or in pieces.
    #[test]
    fn looking_at_spoilt_hellos(at in any::<prop::sample::Index>(), with: u8, cut in 1usize..200) {
        static HELLO: LazyLock<(Vec<u8>, usize)> = LazyLock::new(recorded);
        let good = &HELLO.0[..HELLO.1];
        let mut spoilt = good.to_vec();
        let at = at.index(spoilt.len());
        spoilt[at] ^= with;
        let whole = hello::peek(&spoilt);
        for len in 0..spoilt.len() {
            let part = hello::peek(&spoilt[..len]);
            prop_assert!(part == hello::Hello::Partial || part == whole, "{len}: {part:?} {whole:?}");
        }
        let pieces = split(good, cut);
        prop_assert_eq!(hello::peek(&pieces), hello::peek(good));
        for len in 0..pieces.len() {
            prop_assert_eq!(hello::peek(&pieces[..len]), hello::Hello::Partial, "{}", len);
        }
    }
}

/// The same message in records of this length.
fn split(record: &[u8], len: usize) -> Vec<u8> {
    let mut pieces = Vec::new();
    for piece in record[5..].chunks(len) {
        pieces.extend([22, 3, 1, (piece.len() >> 8) as u8, piece.len() as u8]);
        pieces.extend(piece);
    }
    pieces
}

#[test]
fn a_hello_in_many_records_is_answered() {
    let (connector, acceptor) = both();
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    assert!(client.handshake().is_pending());
    let hello: Vec<u8> = client.end.outgoing.borrow_mut().bytes.drain(..).collect();
    client.end.outgoing.borrow_mut().bytes.extend(split(&hello, 7));
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
}

#[test]
fn plain_text_and_silence_are_told_apart() {
    let (_, acceptor) = both();
    let failure = |bytes: &[u8]| {
        let (one, other) = parts::wire();
        one.outgoing.borrow_mut().bytes.extend(bytes);
        one.close();
        let mut server = Side { session: acceptor.accept(), end: other };
        let Poll::Ready(Err(failure)) = server.handshake() else {
            panic!("no handshake");
        };
        (failure.reason, failure.detail)
    };
    let (reason, _) = failure(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(reason, Reason::NotTls);
    let silence = failure(b"");
    assert_eq!(silence, (Reason::TlsHandshakeFailed, "the client went away before it sent anything"));
    let cut = failure(&[22, 3, 1, 0, 200, 1]);
    assert_eq!(cut, (Reason::TlsHandshakeFailed, "the client went away in the middle of the handshake"));
    // Records of one byte would need more memory than a hello may take.
    let tiny = failure(&[22, 3, 1, 0, 1, 1].repeat(20_000));
    assert_eq!(tiny.0, Reason::TlsHandshakeFailed);
}

#[test]
fn nothing_more_is_taken_while_ciphertext_waits() {
    let (connector, acceptor) = both();
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    client.end.window = 100;
    let message = bytes(1_000_000, 5);
    assert!(matches!(client.send(&message), Poll::Ready(Ok(65_536))));
    assert!(client.session.wants_flush());
    assert!(client.send(&message[65_536..]).is_pending());
    assert!(client.flush().is_pending());
    client.end.window = usize::MAX;
    assert!(matches!(client.flush(), Poll::Ready(Ok(()))));
    assert!(!client.session.wants_flush());
    // What a small buffer leaves is handed out without the wire.
    assert_eq!(server.recv(10).map(Result::unwrap), Poll::Ready(message[..10].to_vec()));
    assert!(server.session.has_plaintext());
    let mut got = message[..10].to_vec();
    while got.len() < 65_536 {
        let Poll::Ready(Ok(more)) = server.recv(10_000) else {
            panic!("all of it is there");
        };
        got.extend(more);
    }
    assert!(got == message[..65_536] && !server.session.has_plaintext());
}

#[test]
fn keys_are_renewed_when_the_peer_asks() {
    let (_, acceptor) = both();
    let config = parts::plain_client(&AUTHORITY, &[&rustls::version::TLS13]);
    let mut plain = parts::Plain::new(&config, "shop.example");
    let mut server = Side { session: acceptor.accept(), end: plain.other.clone() };
    plain.handshake(&mut server).expect("a handshake");
    for round in 0..5u8 {
        use std::io::{Read, Write};
        plain.client.refresh_traffic_keys().expect("a key update");
        plain.client.writer().write_all(&[round]).expect("written");
        plain.exchange().expect("a good server");
        assert_eq!(server.recv(10).map(Result::unwrap), Poll::Ready(vec![round]));
        assert!(matches!(server.send(&[round]), Poll::Ready(Ok(1))));
        plain.exchange().expect("a good server");
        let mut got = [0; 10];
        assert_eq!(plain.client.reader().read(&mut got).expect("a byte"), 1);
        assert_eq!(got[0], round);
    }
}

/// Whether the byte at this place is one of the version in the header of a record.
fn is_version(records: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some(&[_, _, _, high, low]) = records.get(start..start + 5) {
        if (start + 1..start + 3).contains(&at) {
            return true;
        }
        start += 5 + usize::from(u16::from_be_bytes([high, low]));
    }
    false
}
