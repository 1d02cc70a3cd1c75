//! OCSP answers that are fetched and stapled; OpenSSL is the responder, and looks at what it gets.

use std::path::PathBuf;
use std::process::Command;

use tollgate_testkit::{Authority, Connection, Launch, Origin, Tollgate, Wanted, run};

use super::{PRELUDE, RESPOND, until};
use crate::PROGRAM;
use crate::verbs::{json_of, verb};

/// Where the responder's files are.
fn folder(authority: &Authority) -> PathBuf {
    authority.directory().to_owned()
}

/// Lets OpenSSL answer one question.
fn respond(connection: &mut Connection, folder: &std::path::Path) {
    let Some(request) = connection.request() else { return };
    assert_eq!(request.get("content-type"), Some("application/ocsp-request"));
    let file = |name: &str| folder.join(name).display().to_string();
    std::fs::write(file("question.der"), &request.body).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["ocsp", "-index", &file("index.txt"), "-CA", &file("ca.pem")]);
    openssl.args(["-rsigner", &file("ca.pem"), "-rkey", &file("ca-key.pem"), "-ndays", "7"]);
    openssl.args(["-reqin", &file("question.der"), "-respout", &file("answer.der")]);
    let output = run(&mut openssl);
    assert_eq!(output.code, Some(0), "{output:?}");
    let answer = std::fs::read(file("answer.der")).unwrap();
    connection.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    ));
    connection.send(answer);
}

/// What OpenSSL says of the staple that it gets.
fn staple(tollgate: &Tollgate) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &tollgate.address().to_string(), "-servername", "shop.example"]);
    let told = run(openssl.arg("-status")).stdout;
    let begin = told.find("OCSP").unwrap_or_else(|| panic!("{told}"));
    told[begin..].chars().take(600).collect()
}

/// The program with a certificate whose responder says `status` of it (a line of OpenSSL's index).
fn launch(status: &str) -> (Tollgate, Origin, Authority) {
    let authority = Authority::new("Test CA");
    let files = folder(&authority);
    std::fs::write(files.join("index.txt"), status).unwrap();
    let kept = files.clone();
    let origin = Origin::start(move |connection| respond(connection, &kept));
    let url = format!("http://{}/ocsp", origin.address());
    let issued = authority.make("shop", &Wanted::new(&["shop.example"]).serial(0x1234).responder(&url));
    let document = format!(
        "{PRELUDE}listen: {{ address: \"127.0.0.1:0\", name: web, tls: {{ certificates: {} }} }}\n{RESPOND}",
        issued.yaml()
    );
    let tollgate = Launch::new(PROGRAM, &document).start();
    (tollgate, origin, authority)
}

#[test]
fn an_answer_is_fetched_and_stapled() {
    let (tollgate, origin, _authority) = launch("V\t490101000000Z\t\t1234\tunknown\t/CN=shop.example\n");
    origin.wait_for_requests(1);
    until("the answer is stapled", || {
        json_of(&verb(&tollgate, &["status", "--json"]))["certificates"][0]["stapled"] == true
    });
    let told = staple(&tollgate);
    assert!(
        told.contains("OCSP Response Status: successful") && told.contains("Cert Status: good"),
        "{told}"
    );
    assert_eq!(origin.only_request().method(), "POST");
}

#[test]
fn an_answer_that_says_revoked_is_told_and_not_stapled() {
    let (tollgate, _origin, _authority) =
        launch("R\t490101000000Z\t250101000000Z\t1234\tunknown\t/CN=shop.example\n");
    let said = tollgate.stderr_line("OCSP");
    assert!(said.contains("the certificate is revoked"), "{said}");
    assert!(staple(&tollgate).contains("no response sent"));
}
