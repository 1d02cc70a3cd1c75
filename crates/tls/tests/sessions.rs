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
