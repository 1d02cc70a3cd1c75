//! WebSocket with Python's `websockets` on both sides.

use std::time::Duration;

use crate::foreign::Foreign;
use crate::python::python;
use crate::{certified, launch};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn sockets_pass_with_and_without_tls() {
    let Some(mut server) = python("ws_server.py") else { return };
    let mut server = Foreign::start(&mut server);
    let port = server.line("port ").trim().rsplit(' ').next().unwrap_or_default().to_owned();
    let (authority, cert) = certified();
    let document = "listen:\n  - { address: \"127.0.0.1:0\", tls: { certificates: [{cert}] } }\n  - \"127.0.0.1:0\"\n\
                    routes: [{ path: { exact: / }, to: \"http://127.0.0.1:{port}\", retry: none }]\n";
    let tollgate = launch(2, document, &[("cert", &cert.yaml()), ("port", &port)]);
    for (scheme, address) in ["wss", "ws"].iter().zip(tollgate.addresses()) {
        let Some(mut client) = python("ws_client.py") else { return };
        client.arg(format!("{scheme}://{address}/")).arg(authority.roots());
        let said = Foreign::start(&mut client).succeed(LIMIT);
        assert!(said.ends_with("all is well\n"), "{said}");
    }
}
