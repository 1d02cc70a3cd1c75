//! TLS on listeners and to upstreams.

mod certificates;
mod clients;
mod connections;
mod replaced;
mod resumption;
mod stapling;
mod tcp;
mod upstreams;
mod versions;

use std::fmt::Display;

use tollgate_testkit::{Authority, Issued, Launch, TlsClient, Tollgate};

use crate::PROGRAM;

const PRELUDE: &str = "version: 1\nworkers: 1\naccess_log: none\nrecorder: { sample: 100% }\n\
                       admin: { listen: \"127.0.0.1:0\" }\n";
/// A route that answers by itself, with what it knows of the client.
const RESPOND: &str = "routes: [{ name: all, path: /, respond: { status: 200, body: fine } }]\n";

/// The program with one listener, `web`, that has these TLS settings beside one certificate.
struct Site {
    authority: Authority,
    issued: Issued,
    tollgate: Tollgate,
}

impl Site {
    /// For `shop.example`. `tls` are further settings of the listener's TLS, each with a comma before it, `listener`
    /// those of the listener.
    fn start(tls: &str, listener: &str, routes: &str) -> Self {
        Self::with(tls, listener, routes, &[])
    }

    fn with(tls: &str, listener: &str, routes: &str, values: &[(&str, &dyn Display)]) -> Self {
        let authority = Authority::new("Test CA");
        let issued = authority.issue("shop", &["shop.example"]);
        let document = format!(
            "{PRELUDE}listen: {{ address: \"127.0.0.1:0\", name: web, tls: {{ certificates: {}{tls} }}{listener} }}\n{routes}",
            issued.yaml()
        );
        let document = document.replace("{ca}", authority.roots().to_str().unwrap());
        let launch = Launch::new(PROGRAM, &document);
        let tollgate = values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start();
        Self { authority, issued, tollgate }
    }

    /// A client that asks for `shop.example`.
    fn client(&self) -> TlsClient {
        TlsClient::new(&self.authority, "shop.example")
    }
}

/// A GET of a host.
fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE, "it did not come to be that {what}");
    }
}
