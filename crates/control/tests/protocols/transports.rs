use std::sync::Arc;

use tollgate_control::compile::Predecessor;
use tollgate_proxy::snapshot::{ProxyHeader, UpstreamProtocol};

use crate::Place;

#[test]
fn upstreams_are_spoken_to_as_the_document_says() {
    let place = Place::new();
    place.certificate("ca.pem", "ca-key.pem", "a.example");
    let (snapshot, _) = place.right(
        "
listen: ':80'
upstreams:
  plain: ['10.0.0.1:1']
  header: { endpoints: ['10.0.0.1:2'], proxy_protocol: v2 }
  known: { endpoints: ['10.0.0.1:3'], protocol: h2c, max_streams: 7 }
  secret: { endpoints: ['10.0.0.1:4'], protocol: h2, tls: { ca: ca.pem } }
  calls: { endpoints: ['10.0.0.1:5'], protocol: grpc }
  secret-calls: { endpoints: ['https://10.0.0.1:6'], protocol: grpc }
  off: { endpoints: ['10.0.0.1:7'], tls: false }
routes:
  - { path: /1, to: plain }
  - { path: /2, to: header }
  - { path: /3, to: known }
  - { path: /4, to: secret }
  - { path: /5, to: calls }
  - { path: /6, to: secret-calls }
  - { path: /7, to: off }
  - { path: /8, to: 'https://10.0.0.1:8' }
  - { path: /9, to: 'http://10.0.0.1:8' }
",
    );
    let told: Vec<_> = snapshot
        .upstreams
        .iter()
        .zip(&snapshot.transports)
        .map(|(upstream, t)| {
            let endpoint = upstream.endpoint(0).unwrap().name().to_string();
            (
                upstream.name().to_string(),
                endpoint,
                t.protocol,
                t.tls.is_some(),
                t.proxy_header,
                t.max_streams,
            )
        })
        .collect();
    let expected = |name: &str, port: u16, protocol, tls, header, streams| {
        (name.to_owned(), format!("10.0.0.1:{port}"), protocol, tls, header, streams)
    };
    use UpstreamProtocol::{Http1, Http2};
    assert_eq!(
        told,
        [
            expected("plain", 1, Http1, false, None, 1),
            expected("header", 2, Http1, false, Some(ProxyHeader::V2), 1),
            expected("known", 3, Http2, false, None, 7),
            expected("secret", 4, Http2, true, None, 100),
            expected("calls", 5, Http2, false, None, 100),
            expected("secret-calls", 6, Http2, true, None, 100),
            expected("off", 7, Http1, false, None, 1),
            expected("https://10.0.0.1:8", 8, Http1, true, None, 1),
            expected("10.0.0.1:8", 8, Http1, false, None, 1),
        ]
    );
}

#[test]
fn connections_go_on_where_the_way_of_speaking_stays() {
    let place = Place::new();
    place.certificate("ca.pem", "ca-key.pem", "a.example");
    let text = "
listen: ':80'
upstreams: { a: { endpoints: ['10.0.0.1:1', '10.0.0.2:1'], tls: { ca: ca.pem }, balance: random } }
routes: [{ to: a }]
";
    let (first, plans) = place.right(text);
    let before = Predecessor::of(&first, &plans);
    let after = |text: &str| place.right_after(&before, text).0.transports[0].clone();
    let same = |text: &str| Arc::ptr_eq(&first.transports[0], &after(text));
    assert!(same(text));
    assert!(same(&text.replace("random", "round_robin")), "another upstream, the same connections");
    assert!(same(&text.replace(", '10.0.0.2:1'", "")));
    for (from, to) in [
        ("tls:", "protocol: h2, tls:"),
        ("tls:", "proxy_protocol: v1, tls:"),
        ("{ ca: ca.pem }", "true"),
        ("ca.pem }", "ca.pem, name: b.example }"),
        ("tls: { ca: ca.pem }", "tls: false"),
    ] {
        let changed = after(&text.replace(from, to));
        assert_ne!(changed.id, first.transports[0].id, "{to}");
    }
    // The same document, but the file says something else.
    place.certificate("ca.pem", "ca-key.pem", "a.example");
    assert!(!same(text));
}
