//! Bytes through sessions: records, windows, closing.

mod parts;

use std::io::ErrorKind;
use std::task::Poll;

use parts::{Authority, acceptor, carry, client_settings, connector, handshake, sides};
use tollgate_tls::{MinVersion, Profile, ServerSettings};

fn pair(settings: ServerSettings) -> (parts::Side, parts::Side) {
    let authority = Authority::new("CA");
    let acceptor = acceptor(settings, vec![authority.certificate(&["shop.example"])]);
    let connector = connector(client_settings(authority.roots()));
    sides(&connector, "shop.example", &acceptor)
}

fn established(settings: ServerSettings) -> (parts::Side, parts::Side) {
    let (mut client, mut server) = pair(settings);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    (client, server)
}

#[test]
fn an_exchange_is_one_send_each_way() {
    let (mut client, mut server) = established(ServerSettings::default());
    assert_eq!(server.session.server_name(), Some("shop.example"));
    assert_eq!(server.session.version(), Some("TLSv1.3"));
    assert!(server.session.cipher().expect("a cipher").starts_with("TLS13_"));
    assert!(!server.session.resumed());
    for side in [&client, &server] {
        side.end.outgoing.borrow_mut().sends.clear();
    }
    assert_eq!(carry(&mut client, &mut server, b"GET / HTTP/1.1\r\n\r\n", 4096), b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(carry(&mut server, &mut client, &[7; 16 * 1024], 65536), [7; 16 * 1024]);
    assert_eq!(client.end.outgoing.borrow().sends.len(), 1);
    assert_eq!(server.end.outgoing.borrow().sends, [16 * 1024 + 22]);
}

#[test]
fn closing_and_going_are_told_apart() {
    let (mut client, mut server) = established(ServerSettings::default());
    assert_eq!(carry(&mut client, &mut server, b"last", 10), b"last");
    assert!(matches!(client.close(), Poll::Ready(Ok(()))));
    assert!(matches!(client.send(b"more"), Poll::Ready(Err(error)) if error.kind() == ErrorKind::BrokenPipe));
    for _ in 0..3 {
        assert_eq!(server.recv(10).map(Result::ok), Poll::Ready(Some(Vec::new())));
    }
    // A half-closed connection still carries the other way.
    assert_eq!(carry(&mut server, &mut client, b"reply", 10), b"reply");
    assert!(matches!(server.close(), Poll::Ready(Ok(()))));
    assert_eq!(client.recv(10).map(Result::ok), Poll::Ready(Some(Vec::new())));

    let (mut client, mut server) = established(ServerSettings::default());
    assert_eq!(carry(&mut client, &mut server, b"last", 10), b"last");
    client.end.close();
    assert!(matches!(server.recv(10), Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof));
}

#[test]
fn versions_and_profiles() {
    let modern = ServerSettings { profile: Profile::Modern, ..ServerSettings::default() };
    let (client, _) = established(modern);
    assert_eq!(client.session.version(), Some("TLSv1.3"));
    let newest = ServerSettings { min_version: MinVersion::Tls13, ..ServerSettings::default() };
    established(newest);
}

#[test]
fn tls_1_2_carries_and_closes_too() {
    use std::io::{Read, Write};
    let authority = Authority::new("CA");
    let acceptor = acceptor(ServerSettings::default(), vec![authority.certificate(&["shop.example"])]);
    let mut plain =
        parts::Plain::new(&parts::plain_client(&authority, &[&rustls::version::TLS12]), "shop.example");
    let mut server = parts::Side { session: acceptor.accept(), end: plain.other.clone() };
    plain.handshake(&mut server).expect("a handshake");
    assert_eq!(server.session.version(), Some("TLSv1.2"));
    let message: Vec<u8> = (0..60_000u32).map(|at| (at >> 4) as u8).collect();
    plain.client.writer().write_all(&message).expect("written");
    plain.exchange().expect("a good server");
    let mut got = Vec::new();
    while got.len() < message.len() {
        let Poll::Ready(Ok(more)) = server.recv(70_000) else {
            panic!("all of it is there");
        };
        got.extend(more);
    }
    assert!(got == message);
    // The client at the other end holds no more than 16 KiB.
    let message = &message[..10_000];
    assert!(matches!(server.send(message), Poll::Ready(Ok(10_000))));
    assert!(matches!(server.close(), Poll::Ready(Ok(()))));
    plain.exchange().expect("a good server");
    let mut got = Vec::new();
    // The end is an orderly one, else this would be an error.
    plain.client.reader().read_to_end(&mut got).expect("the end");
    assert!(got == message);
    plain.client.send_close_notify();
    plain.exchange().expect("a good server");
    assert_eq!(server.recv(10).map(Result::ok), Poll::Ready(Some(Vec::new())));
}

#[test]
fn quic_has_its_own_settings() {
    let authority = Authority::new("CA");
    let settings = ServerSettings { alpn: vec![b"h2".to_vec()], ..ServerSettings::default() };
    let acceptor = acceptor(settings, vec![authority.certificate(&["shop.example"])]);
    assert_eq!(acceptor.rustls_config_for_quic().alpn_protocols, [b"h3".to_vec()]);
}
