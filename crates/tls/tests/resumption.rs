//! Sessions that are resumed, and those that must not be.

mod parts;

use std::sync::Arc;

use parts::{Authority, acceptor, carry, client_settings, connector, handshake, sides, ticket_keys};
use tollgate_runtime::Clock;
use tollgate_tls::{
    Acceptor, ClientCertificates, ClientSettings, Connector, MinVersion, ServerSettings, TicketKeys,
};

/// Connects, exchanges a little, and tells whether both sides resumed.
fn visit(connector: &Connector, acceptor: &Arc<Acceptor>) -> bool {
    let (mut client, mut server) = sides(connector, "shop.example", acceptor);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    assert_eq!(carry(&mut client, &mut server, b"?", 10), b"?");
    assert_eq!(carry(&mut server, &mut client, b"!", 10), b"!");
    assert_eq!(client.session.resumed(), server.session.resumed());
    client.session.resumed()
}

fn with(keys: &Arc<TicketKeys>) -> ServerSettings {
    ServerSettings { tickets: Some(keys.clone()), ..ServerSettings::default() }
}

#[test]
fn the_second_visit_resumes_also_at_another_worker_and_after_one_rotation() {
    let authority = Authority::new("CA");
    let keys = ticket_keys();
    let fresh = || acceptor(with(&keys), vec![authority.certificate(&["shop.example"])]);
    let client = || connector(client_settings(authority.roots()));
    let regular = client();
    assert!(!visit(&regular, &fresh()));
    assert!(visit(&regular, &fresh()));
    let (early, late) = (client(), client());
    assert!(!visit(&early, &fresh()));
    assert!(!visit(&late, &fresh()));
    keys.rotate().expect("randomness");
    assert!(visit(&early, &fresh()));
    keys.rotate().expect("randomness");
    assert!(!visit(&late, &fresh()));
    assert!(visit(&late, &fresh()));
}

#[test]
fn a_process_that_takes_over_knows_the_tickets_of_the_one_before() {
    let authority = Authority::new("CA");
    let keys = ticket_keys();
    let acceptor =
        |keys: &Arc<TicketKeys>| acceptor(with(keys), vec![authority.certificate(&["shop.example"])]);
    let client = || connector(client_settings(authority.roots()));
    let (early, late, later) = (client(), client(), client());
    assert!(!visit(&early, &acceptor(&keys)));
    keys.rotate().expect("randomness");
    assert!(!visit(&late, &acceptor(&keys)));
    let restore = |saved: &[u8]| {
        TicketKeys::restore(Clock::new(), std::time::Duration::from_secs(3600), saved).map(Arc::new)
    };
    let next = restore(&keys.save()).unwrap();
    assert!(visit(&early, &acceptor(&next)) && visit(&late, &acceptor(&next)));
    // And the other way, while both run.
    assert!(!visit(&later, &acceptor(&next)) && visit(&later, &acceptor(&keys)));
    // An old secret does not become young again.
    let mut old = keys.save();
    old[..8].copy_from_slice(&7_200_001_u64.to_be_bytes());
    assert!(!visit(&late, &acceptor(&restore(&old).unwrap())));
    for wrong in [&[][..], &old[..8], &old[..20], &[old.as_slice(), &[0]].concat()] {
        assert!(restore(wrong).is_none());
    }
}

#[test]
fn the_ticket_rides_with_the_first_response() {
    let authority = Authority::new("CA");
    let acceptor = acceptor(with(&ticket_keys()), vec![authority.certificate(&["shop.example"])]);
    let connector = connector(client_settings(authority.roots()));
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    assert!(!server.session.wants_flush());
    let flight = server.end.outgoing.borrow().sends.len();
    assert_eq!(flight, 1, "the server's part of the handshake is one send");
    assert_eq!(carry(&mut client, &mut server, b"?", 10), b"?");
    assert_eq!(carry(&mut server, &mut client, b"!", 10), b"!");
    let sends = server.end.outgoing.borrow().sends.clone();
    assert_eq!(sends.len(), 2);
    assert!(sends[1] > 23, "{sends:?}");
}

#[test]
fn tls_1_2_resumes_by_tickets_too() {
    let authority = Authority::new("CA");
    let certificate = authority.certificate(&["shop.example"]);
    let acceptor = acceptor(with(&ticket_keys()), vec![certificate]);
    let client = parts::plain_client(&authority, &[&rustls::version::TLS12]);
    for expected in [false, true, true] {
        let mut plain = parts::Plain::new(&client, "shop.example");
        let mut server = parts::Side { session: acceptor.accept(), end: plain.other.clone() };
        plain.handshake(&mut server).expect("a handshake");
        assert_eq!(server.session.version(), Some("TLSv1.2"));
        assert_eq!(server.session.resumed(), expected);
    }
}

#[test]
fn without_ticket_keys_nothing_is_resumed() {
    let authority = Authority::new("CA");
    let acceptor = acceptor(ServerSettings::default(), vec![authority.certificate(&["shop.example"])]);
    let settings = connector(client_settings(authority.roots()));
    assert!(!visit(&settings, &acceptor));
    assert!(!visit(&settings, &acceptor));
    let settings = ClientSettings { resumed_names: 0, ..client_settings(authority.roots()) };
    let settings = connector(settings);
    let acceptor = parts::acceptor(with(&ticket_keys()), vec![authority.certificate(&["shop.example"])]);
    assert!(!visit(&settings, &acceptor));
    assert!(!visit(&settings, &acceptor));
}

/// CVE-2025-23419: a session from where no certificate is asked for must not open a door that wants one.
#[test]
fn a_ticket_does_not_get_around_the_rule_for_client_certificates() {
    let (authority, ours, theirs) = (Authority::new("CA"), Authority::new("ours"), Authority::new("theirs"));
    let keys = ticket_keys();
    let certificate = authority.certificate(&["shop.example"]);
    let server = |client_certificates, min_version| {
        let settings = ServerSettings { client_certificates, min_version, ..with(&keys) };
        acceptor(settings, vec![certificate.clone()])
    };
    let rules = || {
        [
            ClientCertificates::Off,
            ClientCertificates::Optional(ours.roots()),
            ClientCertificates::Required(ours.roots()),
            ClientCertificates::Optional(theirs.roots()),
        ]
    };
    for (at, first) in rules().into_iter().enumerate() {
        for (other, second) in rules().into_iter().enumerate() {
            let certificate = Some(ours.certificate(&["client-1"]));
            let certificate = if other == 3 || at == 3 { None } else { certificate };
            let settings = ClientSettings { certificate, ..client_settings(authority.roots()) };
            if settings.certificate.is_none() && (at == 2 || other == 2) {
                continue;
            }
            let connector = connector(settings);
            assert!(!visit(&connector, &server(first.clone(), MinVersion::Tls12)));
            let resumed = visit(&connector, &server(second, MinVersion::Tls13));
            assert_eq!(resumed, at == other, "from {at} to {other}");
        }
    }
    // A session that is resumed has the certificate that it was opened with.
    let certificate = Some(ours.certificate(&["client-1"]));
    let connector = connector(ClientSettings { certificate, ..client_settings(authority.roots()) });
    let required = server(ClientCertificates::Required(ours.roots()), MinVersion::Tls12);
    assert!(!visit(&connector, &required));
    let (mut client, mut server) = sides(&connector, "shop.example", &required);
    assert_eq!(handshake(&mut client, &mut server), (Ok(()), Ok(())));
    assert!(server.session.resumed() && server.session.peer_certificate().is_some());
}
