//! Clients that show certificates.

use tollgate_testkit::{Authority, Origin, TlsClient, Versions, Wanted};

use super::{RESPOND, Site, get};

const MODES: [(&str, Versions); 4] = [
    ("required", Versions::Tls12),
    ("required", Versions::Tls13),
    ("optional", Versions::Tls12),
    ("optional", Versions::Tls13),
];

#[test]
fn certificates_of_clients_are_required_or_asked_for() {
    let stranger = Authority::new("Somebody else");
    for (mode, versions) in MODES {
        let site =
            Site::start(&format!(", client_certificates: {{ ca: \"{{ca}}\", mode: {mode} }}"), "", RESPOND);
        let address = site.tollgate.address();
        let client = |shown| TlsClient::made(&site.authority, "shop.example", versions, shown).forgetful();
        let good = site.authority.make("me", &Wanted::client("me"));
        assert_eq!(client(Some(&good)).connect(address).request(get("shop.example")).text(), "fine");
        let expired = site.authority.make("late", &Wanted::client("late").days(-10, -1));
        let refused = client(Some(&expired)).refusal(address);
        assert!(refused.contains("CertificateExpired"), "{mode} {versions:?}: {refused}");
        // What is for servers only does not name a client.
        let purpose = client(Some(&site.issued)).refusal(address);
        assert!(!purpose.is_empty());
        let foreign = stranger.make("me", &Wanted::client("me"));
        let refused = client(Some(&foreign)).refusal(address);
        assert!(
            refused.contains("UnknownCA") || refused.contains("UnknownCa"),
            "{mode} {versions:?}: {refused}"
        );
        match mode {
            "required" => {
                let refused = client(None).refusal(address);
                assert!(
                    refused.contains("CertificateRequired") || refused.contains("HandshakeFailure"),
                    "{versions:?}: {refused}"
                );
            }
            _ => assert_eq!(client(None).connect(address).request(get("shop.example")).text(), "fine"),
        }
    }
}

#[test]
fn the_origin_hears_of_the_certificate_and_of_no_other() {
    let origin = Origin::saying("fine");
    let routes = "routes: [{ name: all, path: /, to: \"http://{origin}\", retry: none }]\n";
    let tls = ", client_certificates: { ca: \"{ca}\", mode: optional }";
    let site = Site::with(tls, "", routes, &[("origin", &origin.address())]);
    let shown = site.authority.make("me", &Wanted::client("me"));
    let spoofed =
        "GET / HTTP/1.1\r\nHost: shop.example\r\nClient-Cert: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\n\r\n";
    let with = TlsClient::made(&site.authority, "shop.example", Versions::Both, Some(&shown));
    // The second connection resumes, and is still the same client's.
    for round in 0..2 {
        let mut connection = with.connect(site.tollgate.address());
        assert_eq!(connection.request(spoofed).status, 200);
        assert_eq!(connection.handshake().resumed, round == 1);
    }
    let mut without = site.client().connect(site.tollgate.address());
    assert_eq!(without.request(spoofed).status, 200);
    let seen: Vec<(Vec<String>, Vec<String>)> = origin
        .requests()
        .iter()
        .map(|r| {
            let all = |name: &str| r.all(name).into_iter().map(str::to_owned).collect();
            (all("client-cert"), all("client-cert-chain"))
        })
        .collect();
    let field = field(&shown.der());
    assert_eq!(seen[0], (vec![field.clone()], vec![]));
    assert_eq!(seen[1], (vec![field], vec![]));
    assert_eq!(seen[2], (vec![], vec![]));
}

#[test]
fn nobody_can_claim_a_certificate_over_plain_http() {
    let origin = Origin::saying("fine");
    let tollgate = crate::forwarding(&origin);
    let spoofed = "GET / HTTP/1.1\r\nHost: a\r\nClient-Cert: :AAAA:\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(tollgate.request(spoofed).status, 200);
    assert_eq!(origin.only_request().all("client-cert"), Vec::<&str>::new());
    assert_eq!(origin.only_request().all("x-forwarded-proto"), ["http"]);
}

/// A byte sequence of structured fields, written without any of the program's code.
fn field(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from(":");
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().enumerate().fold(0_u32, |n, (at, b)| n | u32::from(*b) << (16 - 8 * at));
        for at in 0..4 {
            match at <= chunk.len() {
                true => text.push(char::from(LETTERS[(number >> (18 - 6 * at)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
    text + ":"
}
