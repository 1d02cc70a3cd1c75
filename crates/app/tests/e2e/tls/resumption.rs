//! Sessions that are resumed.

use tollgate_testkit::{Launch, TlsClient, Tollgate, Versions, Wanted};

use super::{PRELUDE, RESPOND, Site, get};
use crate::PROGRAM;

/// Whether a connection resumed an earlier session. It is used, so that tickets come.
fn resumes(client: &TlsClient, tollgate: &Tollgate, at: usize) -> bool {
    let mut connection = client.connect(tollgate.addresses()[at]);
    assert_eq!(connection.request(get("shop.example")).status, 200);
    connection.handshake().resumed
}

#[test]
fn sessions_are_resumed_on_all_workers_and_after_a_reload() {
    let authority = tollgate_testkit::Authority::new("Test CA");
    let issued = authority.issue("shop", &["shop.example"]);
    let document = |body: &str| {
        format!(
            "version: 1\nworkers: 2\naccess_log: none\nlisten: {{ address: \"127.0.0.1:0\", tls: {{ certificates: {} }} }}\n\
             routes: [{{ path: /, respond: {{ status: 200, body: {body} }} }}]\n",
            issued.yaml()
        )
    };
    let tollgate = Launch::new(PROGRAM, &document("one")).start();
    for versions in [Versions::Tls12, Versions::Tls13] {
        let client = TlsClient::made(&authority, "shop.example", versions, None);
        assert!(!resumes(&client, &tollgate, 0));
        // The kernel gives connections to workers by their ports: some of many come to each.
        assert!((0..20).all(|_| resumes(&client, &tollgate, 0)), "{versions:?}");
        let said = tollgate.reload(&document(if versions == Versions::Tls12 { "two" } else { "three" }));
        assert!(said.contains("is in force"), "{said}");
        assert!((0..4).all(|_| resumes(&client, &tollgate, 0)), "{versions:?}, after a reload");
    }
}

#[test]
fn nothing_is_resumed_where_tickets_are_off() {
    let site = Site::start(", session_tickets: false", "", RESPOND);
    for versions in [Versions::Tls12, Versions::Tls13] {
        let client = TlsClient::made(&site.authority, "shop.example", versions, None);
        assert!((0..3).all(|_| !resumes(&client, &site.tollgate, 0)), "{versions:?}");
    }
}

#[test]
fn data_before_the_end_of_the_handshake_is_not_invited() {
    for tls in ["", ", early_data: true"] {
        let site = Site::start(tls, "", RESPOND);
        let client =
            TlsClient::made(&site.authority, "shop.example", Versions::Tls13, None).with_early_data();
        assert!(!resumes(&client, &site.tollgate, 0));
        let session = client.connect(site.tollgate.address());
        assert!(session.handshake().resumed);
        assert!(!session.offers_early_data());
        // Who asks for it is told.
        assert_eq!(site.tollgate.stderr().contains("early data is not taken yet"), !tls.is_empty());
    }
}

#[test]
fn a_session_of_one_listener_does_not_open_another_that_wants_certificates() {
    let authority = tollgate_testkit::Authority::new("Test CA");
    let issued = authority.issue("shop", &["shop.example"]);
    let shown = authority.make("me", &Wanted::client("me"));
    let (cert, ca) = (issued.yaml(), authority.roots());
    let ca = ca.display();
    let document = format!(
        "{PRELUDE}listen:\n  - {{ address: \"127.0.0.1:0\", tls: {{ certificates: {cert} }} }}\n  \
         - {{ address: \"127.0.0.1:0\", tls: {{ certificates: {cert}, client_certificates: {{ ca: \"{ca}\", mode: required }} }} }}\n  \
         - {{ address: \"127.0.0.1:0\", tls: {{ certificates: {cert}, client_certificates: {{ ca: \"{ca}\", mode: optional }} }} }}\n\
         {RESPOND}"
    );
    let tollgate = Launch::new(PROGRAM, &document).listeners(3).start();
    for versions in [Versions::Tls12, Versions::Tls13] {
        let without = TlsClient::made(&authority, "shop.example", versions, None);
        assert!(!resumes(&without, &tollgate, 0));
        assert!(resumes(&without, &tollgate, 0));
        let refused = without.refusal(tollgate.addresses()[1]);
        assert!(refused.contains("CertificateRequired") || refused.contains("HandshakeFailure"), "{refused}");
        // And with one, a session of the listener that asks for none says nothing about it.
        let with = TlsClient::made(&authority, "shop.example", versions, Some(&shown));
        assert!(!resumes(&with, &tollgate, 0));
        assert!(!resumes(&with, &tollgate, 1));
        assert!(resumes(&with, &tollgate, 1));
        assert!(!resumes(&with, &tollgate, 2));
    }
}
