//! Chromium: a page, a fetch and a WebSocket, over HTTP/2 and over HTTP/3.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_testkit::{Issued, Launch, Origin};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::foreign::{Foreign, program};
use crate::python::python;
use crate::{NAME, PROGRAM, certified};

/// Tells by a request what it saw: by which protocols the page and what it fetched came, and what was echoed.
const PAGE: &str = "<script>\
    const came = kind => performance.getEntriesByType(kind)[0].nextHopProtocol;\
    fetch('/fetched').then(answer => answer.text()).then(text => {\
      const socket = new WebSocket(`wss://${location.host}/socket`);\
      const tell = what => fetch('/told', { method: 'POST', body: `${came('navigation')} ${came('resource')} ${text} ${what}` });\
      socket.onerror = () => tell('error');\
      socket.onopen = () => socket.send('m'.repeat(1 << 20));\
      socket.onmessage = message => { socket.close(3001, 'enough'); tell(message.data.length); };\
    });\
    </script>";

const DOCUMENT: &str = "version: 1\nworkers: 2\n\
    listen: { address: \"127.0.0.1:0\", tls: { certificates: [{cert}] }, protocols: [h1, h2, h3] }\n\
    routes:\n  - { name: socket, path: /socket, to: \"http://127.0.0.1:{socket}\" }\n  - { name: all, path: /, to: \"http://{origin}\" }\n";

/// The hash of a certificate's public key, as Chromium wants to be told whom to trust.
fn key_hash(cert: &Issued) -> String {
    let der = cert.der();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    STANDARD.encode(digest(&SHA256, parsed.public_key().raw))
}

/// A Chromium that reaches nothing but this machine, knows its name and trusts this certificate, and runs until it is
/// ended.
pub fn command(chromium: &Path, profile: &Path, cert: &Issued) -> Command {
    let mut command = Command::new(chromium);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    let rules = format!("MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    command.args(["--remote-debugging-port=0", &format!("--host-resolver-rules={rules}")]);
    command.arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(cert)));
    command.arg(format!("--user-data-dir={}", profile.display()));
    command
}

fn site() -> Origin {
    Origin::answering(|request| {
        let (kind, body) = match request.target() {
            "/" => ("text/html", PAGE),
            _ => ("text/plain", "fetched"),
        };
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    })
}

/// What the page told, and the line of the log about its WebSocket.
fn visit(more: &[&str]) -> Option<(String, String)> {
    let chromium = program("chromium", "chromium")?;
    let mut server = python("ws_server.py")?;
    let mut server = Foreign::start(&mut server);
    let socket = server.line("port ").trim().rsplit(' ').next().unwrap_or_default().to_owned();
    let (_authority, cert) = certified();
    let origin = site();
    let tollgate = Launch::new(PROGRAM, DOCUMENT)
        .with("cert", cert.yaml())
        .with("socket", socket)
        .with("origin", origin.address())
        .start();
    let port = tollgate.address().port();
    let profile = tempfile::tempdir().unwrap();
    let mut command = command(&chromium, profile.path(), &cert);
    command.args(more.iter().map(|argument| argument.replace("ORIGIN", &format!("{NAME}:{port}"))));
    let browser = Foreign::start(command.arg(format!("https://{NAME}:{port}/")));
    let line = tollgate.stdout_line(0, "\"url.path\":\"/told\"");
    assert!(line.contains("\"http.response.status_code\":200"), "{line}");
    let told = origin.requests().into_iter().find(|request| request.target() == "/told").unwrap();
    let line = tollgate.stdout_line(0, "\"url.path\":\"/socket\"");
    drop(browser);
    Some((String::from_utf8(told.body).unwrap(), line))
}

#[test]
fn a_page_and_its_websocket_come_over_http2() {
    let Some((told, line)) = visit(&["--disable-quic"]) else { return };
    assert_eq!(told, "h2 h2 fetched 1048576");
    // In a stream of the connection that the page came by (RFC 8441).
    assert!(line.contains("\"network.protocol.version\":\"2\""), "{line}");
}

#[test]
fn a_page_comes_over_http3() {
    let Some((told, line)) = visit(&["--enable-quic", "--origin-to-force-quic-on=ORIGIN"]) else { return };
    assert_eq!(told, "h3 h3 fetched 1048576");
    // Chromium opens sockets in HTTP/3 connections no more than most do.
    assert!(line.contains("\"network.protocol.version\":\"1.1\"") || line.contains("\"3\""), "{line}");
}
