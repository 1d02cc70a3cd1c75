//! Which certificate a client is shown.

mod parts;

use std::sync::Arc;

use parts::{Authority, acceptor, client_settings, connector, handshake, sides};
use rcgen::CustomExtension;
use tollgate_decision::Reason;
use tollgate_tls::{
    Acceptor, Certificate, ClientCertificates, ClientSettings, Connector, HandshakeFailure, KeyKind,
    ServerSettings, UnknownNames,
};

/// The client's reason for refusing, or the certificate that it saw.
fn seen(connector: &Connector, host: &str, acceptor: &Arc<Acceptor>) -> Result<Vec<u8>, HandshakeFailure> {
    let (mut client, mut server) = sides(connector, host, acceptor);
    let (at_client, _) = handshake(&mut client, &mut server);
    at_client.map(|()| client.session.peer_certificate().expect("a certificate").to_vec())
}

fn leaf(certificate: &Certificate) -> Vec<u8> {
    certificate.chain().next().expect("a leaf").to_vec()
}

fn anything(settings: ClientSettings) -> Connector {
    connector(ClientSettings { insecure_accept_any_certificate: true, ..settings })
}

#[test]
fn exact_names_come_before_wildcards_and_those_before_the_default() {
    let authority = Authority::new("CA");
    let names: [&[&str]; 4] =
        [&["default.example"], &["*.shop.example", "shop.example"], &["a.shop.example"], &["127.0.0.1"]];
    let all: Vec<_> = names.iter().map(|names| authority.certificate(names)).collect();
    let acceptor = acceptor(ServerSettings::default(), all.clone());
    let connector = anything(client_settings(authority.roots()));
    for (host, expected) in [
        ("default.example", 0),
        ("shop.example", 1),
        ("b.shop.example", 1),
        ("A.SHOP.example", 2),
        ("b.a.shop.example", 0),
        ("other.example", 0),
        // A client does not send an address as SNI.
        ("127.0.0.1", 0),
    ] {
        assert_eq!(seen(&connector, host, &acceptor).expect(host), leaf(&all[expected]), "{host}");
    }
    for (sni, host, expected) in [
        (Some("shop.example"), "shop.example", true),
        (Some("shop.example"), "SHOP.example", true),
        (Some("shop.example"), "c.shop.example", true),
        (Some("shop.example"), "a.shop.example", false),
        (Some("a.shop.example"), "shop.example", false),
        (None, "default.example", true),
        (None, "shop.example", false),
        (Some("other.example"), "default.example", true),
        (Some("other.example"), "shop.example", false),
        (Some("shop.example"), "nobody.example", true),
    ] {
        assert_eq!(acceptor.same_certificate(sni, host), expected, "{sni:?} {host}");
    }
}

#[test]
fn unknown_names_can_be_refused() {
    let authority = Authority::new("CA");
    let settings = ServerSettings { unknown_names: UnknownNames::Refuse, ..ServerSettings::default() };
    let acceptor = acceptor(settings, vec![authority.certificate(&["shop.example"])]);
    let connector = anything(client_settings(authority.roots()));
    seen(&connector, "shop.example", &acceptor).expect("known");
    seen(&connector, "127.0.0.1", &acceptor).expect("no name");
    let (mut client, mut server) = sides(&connector, "other.example", &acceptor);
    let (at_client, at_server) = handshake(&mut client, &mut server);
    let failure = at_server.expect_err("refused");
    assert_eq!(failure.reason, Reason::NoCertificate);
    assert_eq!(server.session.server_name(), Some("other.example"));
    let failure = at_client.expect_err("refused");
    assert_eq!(failure.reason, Reason::UpstreamTlsFailed);
    assert_eq!(failure.to_string(), "the peer refused: access_denied");
}

#[test]
fn a_listener_without_certificates_says_so() {
    let connector = anything(client_settings(Authority::new("CA").roots()));
    let acceptor = acceptor(ServerSettings::default(), Vec::new());
    let (mut client, mut server) = sides(&connector, "shop.example", &acceptor);
    let (_, at_server) = handshake(&mut client, &mut server);
    assert_eq!(at_server.expect_err("refused").reason, Reason::NoCertificate);
    // It takes effect as soon as there is one.
    let authority = Authority::new("CA");
    let certificate = authority.certificate(&["shop.example"]);
    acceptor.certificates().put(certificate.clone());
    assert_eq!(seen(&connector, "shop.example", &acceptor).expect("known"), leaf(&certificate));
    let fresh = authority.certificate(&["shop.example"]);
    acceptor.certificates().put(fresh.clone());
    assert_eq!(seen(&connector, "shop.example", &acceptor).expect("known"), leaf(&fresh));
    assert!(acceptor.certificates().remove("shop.example"));
    assert!(!acceptor.certificates().remove("shop.example"));
    assert!(!acceptor.certificates().covers("shop.example"));
}

/// A client that can check signatures of these schemes only.
fn client_of(schemes: &[rustls::SignatureScheme], roots: &Authority) -> Option<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let mapping: Vec<_> =
        all.mapping.iter().filter(|(scheme, _)| schemes.contains(scheme)).copied().collect();
    provider.signature_verification_algorithms =
        rustls::crypto::WebPkiSupportedAlgorithms { all: all.all, mapping: Vec::leak(mapping) };
    let mut store = rustls::RootCertStore::empty();
    store.add(rustls::pki_types::CertificateDer::from_pem_slice(roots.pem().as_bytes()).ok()?).ok()?;
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(builder.with_root_certificates(store).with_no_client_auth())
}

/// The certificate that a plain rustls client sees.
fn plain_handshake(
    config: rustls::ClientConfig,
    acceptor: &Arc<Acceptor>,
) -> Result<Vec<u8>, HandshakeFailure> {
    let mut plain = parts::Plain::new(&Arc::new(config), "shop.example");
    let mut server = parts::Side { session: acceptor.accept(), end: plain.other.clone() };
    plain.handshake(&mut server)?;
    Ok(plain.client.peer_certificates().expect("certificates")[0].to_vec())
}

#[test]
fn ecdsa_and_rsa_stand_side_by_side() {
    use rustls::SignatureScheme as S;
    let authority = Authority::new("CA");
    let (chain, key) = authority.issue_with(&["shop.example"], &rcgen::PKCS_RSA_SHA256, |_| {});
    let rsa = Certificate::from_pem("rsa", chain.as_bytes(), key.as_bytes()).expect("a certificate");
    let ecdsa = authority.certificate(&["shop.example"]);
    let acceptor = acceptor(ServerSettings::default(), vec![rsa.clone(), ecdsa.clone()]);
    let kinds: Vec<_> = acceptor.certificates().describe().iter().map(|what| what.kind).collect();
    assert_eq!(kinds, [KeyKind::Rsa, KeyKind::Ecdsa]);
    let config = |schemes: &[S]| client_of(schemes, &authority).expect("a config");
    // The authority's own signature is checked with any scheme of the list.
    let all = [S::RSA_PSS_SHA256, S::ECDSA_NISTP256_SHA256];
    assert_eq!(plain_handshake(config(&all), &acceptor), Ok(leaf(&ecdsa)));
    assert_eq!(plain_handshake(config(&all[..1]), &acceptor), Ok(leaf(&rsa)));
    assert_eq!(plain_handshake(config(&all[1..]), &acceptor), Ok(leaf(&ecdsa)));
    let failure = plain_handshake(config(&[S::ED25519]), &acceptor).expect_err("no signature in common");
    assert_eq!(failure.reason, Reason::TlsHandshakeFailed);
    assert!(failure.detail.contains("signature"), "{failure}");
}

#[test]
fn what_is_wrong_with_an_endpoints_certificate_is_said() {
    let authority = Authority::new("CA");
    let issue = |change: fn(&mut rcgen::CertificateParams)| {
        let (chain, key) = authority.issue_with(&["shop.example"], &rcgen::PKCS_ECDSA_P256_SHA256, change);
        let certificate =
            Certificate::from_pem("it", chain.as_bytes(), key.as_bytes()).expect("a certificate");
        acceptor(ServerSettings::default(), vec![certificate])
    };
    let good = issue(|_| {});
    let expired = issue(|params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let future = issue(|params| params.not_before = rcgen::date_time_ymd(2900, 1, 1));
    let critical = issue(|params| {
        let mut odd = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions.push(odd);
    });
    let trusted = connector(client_settings(authority.roots()));
    let foreign = connector(client_settings(Authority::new("another").roots()));
    seen(&trusted, "shop.example", &good).expect("a good certificate");
    for (connector, host, acceptor, detail) in [
        (&trusted, "other.example", &good, "the certificate is not for this name"),
        (&trusted, "127.0.0.1", &good, "the certificate is not for this name"),
        (&trusted, "shop.example", &expired, "the certificate has expired"),
        (&trusted, "shop.example", &future, "the certificate is not valid yet"),
        (&trusted, "shop.example", &critical, "the certificate is refused"),
        (&foreign, "shop.example", &good, "the certificate's issuer is not known"),
    ] {
        let failure = seen(connector, host, acceptor).expect_err(detail);
        assert_eq!((failure.reason, failure.detail), (Reason::UpstreamCertificateRefused, detail));
        let any = anything(client_settings(authority.roots()));
        // Without understanding a certificate, its key cannot be checked either.
        assert_eq!(seen(&any, host, acceptor).is_ok(), !Arc::ptr_eq(acceptor, &critical));
    }
    // The name that is set is verified, not the host.
    let settings = ClientSettings { name: Some("shop.example".into()), ..client_settings(authority.roots()) };
    seen(&connector(settings), "127.0.0.1", &good).expect("the name that is set");
}

#[test]
fn application_protocols() {
    let authority = Authority::new("CA");
    let protocol = |name: &str| name.as_bytes().to_vec();
    let server = |alpn: &[&str]| {
        let alpn = alpn.iter().map(|name| protocol(name)).collect();
        let settings = ServerSettings { alpn, ..ServerSettings::default() };
        acceptor(settings, vec![authority.certificate(&["shop.example"])])
    };
    let client = |alpn: &str, must_agree| {
        let alpn = Some(protocol(alpn));
        connector(ClientSettings { alpn, must_agree, ..client_settings(authority.roots()) })
    };
    let both = server(&["h2", "http/1.1"]);
    for (offered, agreed) in [("h2", "h2"), ("http/1.1", "http/1.1")] {
        let (mut at_client, mut at_server) = sides(&client(offered, true), "shop.example", &both);
        assert_eq!(handshake(&mut at_client, &mut at_server), (Ok(()), Ok(())));
        assert_eq!(at_client.session.alpn(), Some(agreed.as_bytes()));
        assert_eq!(at_server.session.alpn(), Some(agreed.as_bytes()));
    }
    let (mut at_client, mut at_server) = sides(&client("smtp", false), "shop.example", &both);
    let (at_client, at_server) = handshake(&mut at_client, &mut at_server);
    assert_eq!(at_client.expect_err("refused").reason, Reason::UpstreamAlpnMismatch);
    assert_eq!(at_server.expect_err("refused").reason, Reason::AlpnMismatch);
    // A server without protocols: good enough for HTTP/1.1, not for HTTP/2.
    let none = server(&[]);
    seen(&client("http/1.1", false), "shop.example", &none).expect("nothing agreed upon");
    let failure = seen(&client("h2", true), "shop.example", &none).expect_err("no HTTP/2");
    assert_eq!(failure.reason, Reason::UpstreamAlpnMismatch);
}

#[test]
fn client_certificates() {
    let (authority, ours, theirs) = (Authority::new("CA"), Authority::new("ours"), Authority::new("theirs"));
    let server = |client_certificates| {
        let settings = ServerSettings { client_certificates, ..ServerSettings::default() };
        acceptor(settings, vec![authority.certificate(&["shop.example"])])
    };
    let client = |certificate: Option<&Certificate>| {
        let certificate = certificate.cloned();
        connector(ClientSettings { certificate, ..client_settings(authority.roots()) })
    };
    let good = ours.certificate(&["client-1"]);
    let bad = theirs.certificate(&["client-1"]);
    let off = server(ClientCertificates::Off);
    let optional = server(ClientCertificates::Optional(ours.roots()));
    let required = server(ClientCertificates::Required(ours.roots()));
    let refused = Some(Reason::ClientCertificateRefused);
    for (acceptor, shown, expected, is_known) in [
        (&off, None, None, false),
        (&off, Some(&good), None, false),
        (&optional, None, None, false),
        (&optional, Some(&good), None, true),
        (&optional, Some(&bad), refused, false),
        (&required, None, Some(Reason::ClientCertificateMissing), false),
        (&required, Some(&good), None, true),
        (&required, Some(&bad), refused, false),
    ] {
        let (mut at_client, mut at_server) = sides(&client(shown), "shop.example", acceptor);
        let (_, outcome) = handshake(&mut at_client, &mut at_server);
        assert_eq!(outcome.as_ref().err().map(|failure| failure.reason), expected, "{outcome:?}");
        let known = at_server.session.peer_certificate();
        assert_eq!(known, is_known.then(|| leaf(&good)).as_deref());
        if expected.is_some() {
            // In TLS 1.3 the client learns of it only when it receives.
            let std::task::Poll::Ready(Err(error)) = at_client.recv(10) else {
                panic!("the client hears of it");
            };
            let said = tollgate_tls::describe_error(&error).expect("an alert");
            assert!(said.starts_with("the peer refused: "), "{said}");
        }
    }
}

#[test]
fn challenges_are_answered_to_authorities_only() {
    let authority = Authority::new("CA");
    let required = ClientCertificates::Required(authority.roots());
    let settings = ServerSettings {
        alpn: vec![b"h2".to_vec()],
        client_certificates: required,
        unknown_names: UnknownNames::Refuse,
        ..ServerSettings::default()
    };
    let acceptor = acceptor(settings, Vec::new());
    let (chain, key) = authority.issue_with(&["new.example"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.custom_extensions.push(CustomExtension::new_acme_identifier(&[7; 32]));
    });
    let answer = Certificate::from_pem("answer", chain.as_bytes(), key.as_bytes()).expect("a certificate");
    acceptor.certificates().put_challenge("New.example", &answer);
    let acme = |alpn: &str| {
        let alpn = Some(alpn.as_bytes().to_vec());
        anything(ClientSettings { alpn, ..client_settings(authority.roots()) })
    };
    // Like an authority, this client does not look for a chain.
    let mut config = Arc::unwrap_or_clone(Arc::new(parts::Staples::default()).client());
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut plain = parts::Plain::new(&Arc::new(config), "new.example");
    let mut server = parts::Side { session: acceptor.accept(), end: plain.other.clone() };
    plain.handshake(&mut server).expect("an answer");
    assert_eq!(plain.client.peer_certificates().expect("certificates")[0].as_ref(), leaf(&answer));
    assert_eq!(server.session.alpn(), Some(&b"acme-tls/1"[..]));
    for (alpn, host) in [("h2", "new.example"), ("acme-tls/1", "other.example")] {
        let (mut client, mut server) = sides(&acme(alpn), host, &acceptor);
        let (_, outcome) = handshake(&mut client, &mut server);
        assert_eq!(outcome.expect_err("refused").reason, Reason::NoCertificate, "{alpn} {host}");
    }
    assert!(acceptor.certificates().remove_challenge("new.example"));
    assert!(!acceptor.certificates().remove_challenge("new.example"));
    let (mut client, mut server) = sides(&acme("acme-tls/1"), "new.example", &acceptor);
    handshake(&mut client, &mut server).1.expect_err("the challenge is over");
}
