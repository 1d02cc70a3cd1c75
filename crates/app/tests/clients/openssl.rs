//! OpenSSL as the client and as the server of TLS.

use std::fmt::Display;
use std::io::Write;
use std::process::Command;

use tollgate_testkit::{KeyKind, Tollgate, Wanted};

use crate::foreign::{Foreign, free_address, program, succeed};
use crate::{NAME, certified, launch};

const ANSWER: &str = "routes: [{ path: /, respond: { status: 200, body: \"hello\" } }]\n";

/// What `openssl s_client` says of a connection that it closes after the handshake, with its exit code.
fn s_client(tollgate: &Tollgate, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new(program("openssl", "openssl")?);
    command.args(["s_client", "-connect", &tollgate.address().to_string()]).args(arguments);
    // Its standard input is empty.
    let (status, said) = Foreign::start(&mut command).end(tollgate_testkit::PATIENCE);
    Some((status.success(), said))
}

fn listening(tls: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let document = format!("listen: {{ address: \"127.0.0.1:0\", tls: {tls} }}\n{ANSWER}");
    launch(1, &document, values)
}

#[test]
fn versions_protocols_and_chains_are_as_told() {
    let (authority, cert) = certified();
    let tollgate = listening("{ certificates: [{cert}] }", &[("cert", &cert.yaml())]);
    let ca = authority.roots();
    let trust = ["-CAfile", ca.to_str().unwrap(), "-verify_return_error", "-servername", NAME];
    for (version, called) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let asked = [&trust[..], &[version, "-alpn", "h2,http/1.1"]].concat();
        let Some((succeeded, said)) = s_client(&tollgate, &asked) else { return };
        assert!(succeeded && said.contains("Verify return code: 0 (ok)"), "{said}");
        assert!(said.contains(called) && said.contains("ALPN protocol: h2"), "{said}");
    }
    let (_, said) = s_client(&tollgate, &[&trust[..], &["-alpn", "http/1.1"]].concat()).unwrap();
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    assert!(!s_client(&tollgate, &old).unwrap().0, "TLS 1.1 was spoken");
    let nonsense = s_client(&tollgate, &["-alpn", "nonsense"]).unwrap();
    assert!(!nonsense.0 && nonsense.1.contains("no application protocol"), "{nonsense:?}");
}

#[test]
fn sessions_are_resumed_in_both_versions() {
    let (_authority, cert) = certified();
    let tollgate = listening("{ certificates: [{cert}] }", &[("cert", &cert.yaml())]);
    let directory = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = directory.path().join(version);
        let session = session.to_str().unwrap();
        // Tickets of TLS 1.3 come after the handshake: with an answer they are there.
        let request = format!("printf 'GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\nConnection: close\\r\\n\\r\\n'");
        let Some(openssl) = program("openssl", "openssl") else { return };
        let connect = |more: &str| {
            let connected = format!(
                "{request} | {} s_client -ign_eof -servername {NAME} -connect {} {version} {more}",
                openssl.display(),
                tollgate.address()
            );
            succeed(Command::new("sh").args(["-c", &connected]))
        };
        let said = connect(&format!("-sess_out {session}"));
        assert!(said.contains("New, ") && said.contains("hello"), "{said}");
        // Whichever worker it comes to.
        for _ in 0..6 {
            let said = connect(&format!("-sess_in {session}"));
            assert!(said.contains("Reused, ") && said.contains("hello"), "{version}: {said}");
        }
    }
}

#[test]
fn certificates_are_chosen_by_name_and_by_the_kind_of_key() {
    let (authority, first) = certified();
    let rsa = authority.make("rsa", &Wanted::new(&[NAME]).kind(KeyKind::Rsa));
    let other = authority.issue("other", &["*.other.example"]);
    let tollgate = listening(
        "{ certificates: [{first}, {rsa}, {other}] }",
        &[("first", &first.yaml()), ("rsa", &rsa.yaml()), ("other", &other.yaml())],
    );
    let shown = |arguments: &[&str]| s_client(&tollgate, arguments).map(|(_, said)| said);
    let Some(said) = shown(&["-servername", "a.other.example"]) else { return };
    assert!(said.contains("subject=CN = *.other.example"), "{said}");
    let said = shown(&["-servername", NAME, "-sigalgs", "RSA-PSS+SHA256"]).unwrap();
    assert!(said.contains("Peer signature type: RSA-PSS"), "{said}");
    let said = shown(&["-servername", NAME, "-sigalgs", "ECDSA+SHA256"]).unwrap();
    assert!(said.contains("Peer signature type: ECDSA"), "{said}");
    assert!(shown(&["-noservername"]).unwrap().contains(&format!("subject=CN = {NAME}")));
}

#[test]
fn clients_are_asked_for_certificates() {
    let (authority, cert) = certified();
    let client = authority.make("client", &Wanted::client("buyer"));
    let ca = authority.roots();
    let tollgate = listening(
        "{ certificates: [{cert}], client_certificates: { ca: \"{ca}\", mode: required } }",
        &[("cert", &cert.yaml()), ("ca", &ca.display())],
    );
    let shown = ["-cert", client.cert.to_str().unwrap(), "-key", client.key.to_str().unwrap()];
    let Some((succeeded, said)) = s_client(&tollgate, &shown) else { return };
    assert!(succeeded, "{said}");
    // TLS 1.2, where the refusal is part of the handshake.
    let (succeeded, said) = s_client(&tollgate, &["-tls1_2"]).unwrap();
    assert!(!succeeded && said.contains("alert"), "{said}");
}

#[test]
fn openssl_serves_as_an_origin() {
    let (authority, cert) = certified();
    let Some(openssl) = program("openssl", "openssl") else { return };
    let ca = authority.roots();
    for (version, name, status) in
        [("-tls1_2", NAME, 200), ("-tls1_3", NAME, 200), ("-tls1_3", "wrong.example", 502)]
    {
        let address = free_address();
        let mut server = Command::new(&openssl);
        server.args(["s_server", "-www", version, "-accept", &address.to_string()]);
        let _server = Foreign::serve(server.arg("-cert").arg(&cert.cert).arg("-key").arg(&cert.key), address);
        let document = "listen: \"127.0.0.1:0\"\nupstreams: { origin: { endpoints: [\"{origin}\"], tls: { ca: \"{ca}\", name: {name} } } }\n\
                        routes: [{ path: /, to: origin, retry: none }]\n";
        let tollgate = launch(1, document, &[("origin", &address), ("ca", &ca.display()), ("name", &name)]);
        let response = tollgate.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(response.status, status, "{response:?}");
        if status == 200 {
            assert!(response.text().contains("s_server -www"), "{response:?}");
        }
    }
}

#[test]
fn half_a_handshake_holds_nobody_up() {
    let (_authority, cert) = certified();
    let tollgate =
        listening("{ certificates: [{cert}], handshake_timeout: 500ms }", &[("cert", &cert.yaml())]);
    let mut half: Vec<_> =
        (0..50).map(|_| std::net::TcpStream::connect(tollgate.address()).unwrap()).collect();
    half.iter_mut().for_each(|stream| stream.write_all(&[0x16, 3, 1, 0, 200, 1]).unwrap());
    let Some((succeeded, said)) = s_client(&tollgate, &["-servername", NAME]) else { return };
    assert!(succeeded, "{said}");
}
