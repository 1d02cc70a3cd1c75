//! Which certificate a client gets.

use tollgate_testkit::{
    Authority, Issued, KeyKind, Launch, SignatureScheme, TlsClient, Tollgate, Versions, Wanted,
};

use super::{PRELUDE, RESPOND, Site, get};
use crate::PROGRAM;

fn launch(certificates: &[&Issued], tls: &str) -> Tollgate {
    let list: Vec<String> = certificates.iter().map(|issued| issued.yaml()).collect();
    let list = list.join(", ");
    let document = format!(
        "{PRELUDE}listen: {{ address: \"127.0.0.1:0\", name: web, tls: {{ certificates: [{list}]{tls} }} }}\n{RESPOND}"
    );
    Launch::new(PROGRAM, &document).start()
}

/// The certificate that a client is shown that asks for this name.
fn shown(authority: &Authority, tollgate: &Tollgate, name: &str) -> Vec<u8> {
    let client = TlsClient::new(authority, name).forgetful().trusting_all();
    let connection = client.connect(tollgate.address());
    connection.handshake().chain[0].clone()
}

#[test]
fn the_name_that_is_asked_for_decides() {
    let authority = Authority::new("Test CA");
    let default = authority.issue("default", &["default.example"]);
    let exact = authority.issue("exact", &["shop.example", "www.shop.example"]);
    let wild = authority.issue("wild", &["*.shop.example"]);
    let tollgate = launch(&[&default, &exact, &wild], "");
    for (name, expected) in [
        ("shop.example", &exact),
        ("SHOP.example", &exact),
        ("www.shop.example", &exact),
        ("api.shop.example", &wild),
        ("a.b.shop.example", &default),
        ("other.example", &default),
        ("default.example", &default),
    ] {
        assert_eq!(shown(&authority, &tollgate, name), expected.der().to_vec(), "{name}");
    }
    let nameless = TlsClient::new(&authority, "default.example").without_sni();
    let mut connection = nameless.connect(tollgate.address());
    assert_eq!(connection.handshake().chain[0], default.der().to_vec());
    assert_eq!(connection.request(get("default.example")).status, 200);
}

#[test]
fn an_unknown_name_is_refused_where_the_document_says_so() {
    let site = Site::start(", unknown_names: refuse", "", RESPOND);
    let refused = site.client().for_name("other.example").refusal(site.tollgate.address());
    assert!(
        refused.contains("UnrecognisedName")
            || refused.contains("AccessDenied")
            || refused.contains("HandshakeFailure"),
        "{refused}"
    );
    // Who asks for no name gets the default.
    let mut nameless = site.client().without_sni().connect(site.tollgate.address());
    assert_eq!(nameless.request(get("shop.example")).text(), "fine");
}

#[test]
fn the_key_is_one_that_the_client_can_check() {
    let authority = Authority::new("Test CA");
    let ecdsa = authority.issue("ecdsa", &["shop.example"]);
    let rsa = authority.make("rsa", &Wanted::new(&["shop.example"]).kind(KeyKind::Rsa));
    // The cheaper one is taken where both will do, whatever stands first.
    let tollgate = launch(&[&rsa, &ecdsa], "");
    assert_eq!(shown(&authority, &tollgate, "shop.example"), ecdsa.der().to_vec());
    for versions in [Versions::Tls12, Versions::Tls13] {
        let client = TlsClient::made(&authority, "shop.example", versions, None);
        let old = client.checking_only(&[SignatureScheme::RSA_PSS_SHA256]);
        let connection = old.connect(tollgate.address());
        assert_eq!(connection.handshake().chain[0], rsa.der().to_vec(), "{versions:?}");
    }
}

#[test]
fn a_request_for_a_host_of_another_certificate_is_misdirected() {
    let authority = Authority::new("Test CA");
    let shop = authority.issue("shop", &["shop.example", "www.shop.example"]);
    let bank = authority.issue("bank", &["bank.example"]);
    let tollgate = launch(&[&shop, &bank], "");
    let mut client = TlsClient::new(&authority, "shop.example").connect(tollgate.address());
    for (host, status) in [
        ("shop.example", 200),
        ("www.shop.example:8443", 200),
        ("bank.example", 421),
        ("BANK.example", 421),
        ("bank.example.", 421),
        ("unknown.example", 200),
        ("shop.example", 200),
    ] {
        assert_eq!(client.request(get(host)).status, status, "{host}");
    }
    let mut nameless = TlsClient::new(&authority, "shop.example").without_sni().connect(tollgate.address());
    assert_eq!(nameless.request(get("bank.example")).status, 421);
    // Over HTTP/2, too.
    let port = tollgate.address().port();
    let run = |host: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--http2",
            "--write-out",
            "%{http_version} %{http_code}",
            "--output",
            "/dev/null",
        ]);
        curl.args(["--cacert", authority.roots().to_str().unwrap(), "--noproxy", "*"]);
        curl.args(["--connect-to", &format!("::127.0.0.1:{port}"), "--header", &format!("Host: {host}")]);
        curl.arg("https://shop.example/");
        tollgate_testkit::run(&mut curl).stdout
    };
    assert_eq!([run("shop.example"), run("bank.example")], ["2 200", "2 421"]);
}
