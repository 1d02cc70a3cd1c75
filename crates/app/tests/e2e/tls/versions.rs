//! Versions, ciphers, groups and application protocols, with OpenSSL as a second opinion.

use std::net::SocketAddr;
use std::process::Command;

use tollgate_testkit::{Output, TlsClient, Versions, run};

use super::{RESPOND, Site, get};

/// What OpenSSL says of a handshake; it sends nothing more.
fn openssl(address: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-servername", "shop.example"]);
    run(command.args(arguments))
}

fn agrees(address: SocketAddr, arguments: &[&str]) -> bool {
    let output = openssl(address, arguments);
    // Without a connection it still prints its summary, with no cipher in it.
    output.code == Some(0) && !output.stdout.contains("Cipher is (NONE)")
}

#[test]
fn versions_below_the_minimum_are_refused() {
    for (minimum, expected) in [("1.2", [true, true]), ("1.3", [false, true])] {
        let site = Site::start(&format!(", min_version: \"{minimum}\""), "", RESPOND);
        let address = site.tollgate.address();
        for (versions, expected) in [Versions::Tls12, Versions::Tls13].into_iter().zip(expected) {
            let client = TlsClient::made(&site.authority, "shop.example", versions, None);
            if expected {
                assert_eq!(client.connect(address).request(get("shop.example")).text(), "fine");
            } else {
                let refused = client.refusal(address);
                assert!(refused.contains("ProtocolVersion"), "{refused}");
            }
        }
        let openssl = ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"]
            .map(|version| agrees(address, &[version, "-cipher", "ALL:@SECLEVEL=0"]));
        assert_eq!(openssl, [false, false, expected[0], expected[1]], "minimum {minimum}");
    }
}

#[test]
fn profiles_decide_about_ciphers_and_groups() {
    let intermediate = Site::start(", profile: intermediate", "", RESPOND);
    let modern = Site::start(", profile: modern", "", RESPOND);
    let [old, new] = [&intermediate, &modern].map(|site| site.tollgate.address());
    assert!(agrees(old, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]));
    assert!(agrees(old, &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]));
    for weak in
        ["ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384", "eNULL:aNULL@SECLEVEL=0"]
    {
        assert!(!agrees(old, &["-tls1_2", "-cipher", weak]), "{weak}");
    }
    assert!(!agrees(new, &["-tls1_2"]));
    for cipher in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        assert!(agrees(new, &["-tls1_3", "-ciphersuites", cipher]), "{cipher}");
        assert!(agrees(old, &["-tls1_3", "-ciphersuites", cipher]), "{cipher}");
    }
    assert!(!agrees(new, &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"]));
    for address in [old, new] {
        for group in ["X25519", "P-256"] {
            assert!(agrees(address, &["-tls1_3", "-groups", group]), "{group}");
        }
        for group in ["P-521", "ffdhe2048"] {
            assert!(!agrees(address, &["-tls1_3", "-groups", group]), "{group}");
        }
    }
}

#[test]
fn the_application_protocol_is_agreed_on() {
    let site = Site::start("", "", RESPOND);
    let address = site.tollgate.address();
    let spoken = |offered: &[&str]| site.client().forgetful().alpn(offered).connect(address).handshake().alpn;
    assert_eq!(spoken(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(spoken(&["h2"]).as_deref(), Some("h2"));
    assert_eq!(spoken(&["http/1.1", "h2"]).as_deref(), Some("h2"));
    assert_eq!(spoken(&["spdy/3", "http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(spoken(&[]), None);
    let refused = site.client().alpn(&["spdy/3"]).refusal(address);
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    // Without ALPN it is HTTP/1.1.
    assert_eq!(site.client().connect(address).request(get("shop.example")).text(), "fine");
}

#[test]
fn a_listener_for_http_1_does_not_agree_on_http_2() {
    let site = Site::start("", ", protocols: [h1]", RESPOND);
    let address = site.tollgate.address();
    let both = site.client().forgetful().alpn(&["h2", "http/1.1"]).connect(address);
    assert_eq!(both.handshake().alpn.as_deref(), Some("http/1.1"));
    let refused = site.client().alpn(&["h2"]).refusal(address);
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}
