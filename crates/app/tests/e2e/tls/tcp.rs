//! TLS around connections that are carried as they are, and PROXY headers before it.

use tollgate_testkit::{Authority, Client, Ending, Launch, Origin, TlsClient, TlsOrigin, Tollgate};

use super::PRELUDE;
use crate::PROGRAM;

fn launch(document: &str) -> Tollgate {
    Launch::new(PROGRAM, &format!("{PRELUDE}{document}")).start()
}

#[test]
fn tls_ends_at_a_tcp_listener_and_begins_anew_to_its_upstream() {
    let authority = Authority::new("Test CA");
    let front = authority.issue("front", &["db.example"]);
    let back = authority.issue("back", &["db.internal"]);
    let script = |connection: &mut tollgate_testkit::Connection| {
        let said = connection.bytes(5).unwrap();
        connection.send(&said);
        assert!(connection.rest().is_empty());
        connection.send("bye");
    };
    let plain = Origin::start(script);
    let secured = Origin::start_secured(&TlsOrigin::new(&back), script);
    let upstream_tls = format!(", tls: {{ ca: \"{}\", name: db.internal }}", authority.roots().display());
    for (origin, tls) in [(&plain, ""), (&secured, &*upstream_tls)] {
        let tollgate = launch(&format!(
            "listen: {{ tcp: \"127.0.0.1:0\", name: db, tls: {{ certificates: {} }}, to: db }}\n\
             upstreams: {{ db: {{ endpoints: [\"{}\"]{tls} }} }}\n",
            front.yaml(),
            origin.address()
        ));
        let mut client = TlsClient::new(&authority, "db.example").connect(tollgate.address());
        client.send("hello");
        assert_eq!(client.read_exact(5), b"hello");
        // Each side's end is told to the other, in TLS's own words.
        client.finish_sending();
        assert_eq!(client.ending(), Ending::Closed(b"bye".to_vec()));
        let series =
            "tollgate_tls_handshakes_total{listener=\"db\",result=\"ok\",version=\"1.3\",resumed=\"false\"}";
        tollgate.await_metric(series, 1.0);
    }
    let seen: Vec<_> = plain.received().concat();
    assert_eq!(seen, b"hello");
}

#[test]
fn a_proxy_header_comes_before_tls_in_both_directions() {
    let authority = Authority::new("Test CA");
    let front = authority.issue("front", &["shop.example"]);
    let back = authority.issue("back", &["origin.example"]);
    // What comes before TLS is read by hand; then the connection ends.
    let origin = Origin::start(|connection| {
        let mut header = Vec::new();
        while !header.ends_with(b"\r\n") {
            header.extend(connection.bytes(1).unwrap());
        }
        let hello = connection.bytes(3).unwrap();
        assert_eq!(hello[..2], [22, 3], "no TLS behind the header");
    });
    let tollgate = launch(&format!(
        "listen: {{ address: \"127.0.0.1:0\", name: web, proxy_protocol: [\"127.0.0.0/8\"], tls: {{ certificates: {} }} }}\n\
         upstreams: {{ api: {{ endpoints: [\"{}\"], proxy_protocol: v1, tls: {{ ca: \"{}\", name: origin.example }} }} }}\n\
         routes: [{{ path: /api, to: api, retry: none }}, {{ path: /, respond: {{ status: 200, body: fine }} }}]\n",
        front.yaml(),
        origin.address(),
        authority.roots().display()
    ));
    let _ = back;
    let tls = TlsClient::new(&authority, "shop.example");
    let mut client = Client::connect(tollgate.address());
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n");
    let mut client = tls.on(client);
    assert_eq!(client.request("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").text(), "fine");
    assert_eq!(client.request("GET /api HTTP/1.1\r\nHost: shop.example\r\n\r\n").status, 502);
    origin.wait_for_ended(1);
    let received = origin.received()[0].clone();
    assert!(received.starts_with(b"PROXY TCP4 192.0.2.7 "), "{:?}", String::from_utf8_lossy(&received));
    // Who must send a header and does not, gets no handshake.
    let refused = tls.try_on(Client::connect(tollgate.address()));
    assert!(refused.is_err());
}
