use std::net::IpAddr;

use tollgate_proxy::snapshot::{HttpService, HttpVersions, Service, TcpTimeouts};

use crate::Place;

fn versions(http1: bool, http2: bool, http3: bool) -> HttpVersions {
    HttpVersions { http1, http2, http3 }
}

#[test]
fn http_listeners_are_as_the_document_says() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    let (snapshot, _) = place.right(
        "
listen:
  - '127.0.0.1:80'
  - https://shop.example
  - { address: ':8443', tls: { certificates: { cert: cert.pem, key: key.pem } }, hsts: true }
  - { address: ':8444', tls: { acme: b.example, handshake_timeout: 3s }, protocols: [h2, h3],
      hsts: { max_age: 2s, include_subdomains: true, preload: false } }
  - { address: ':8080', redirect_https: 8443, proxy_protocol: 10.0.0.0/8, max_connections: 5 }
  - { address: 'https://proxied.example:444', proxy_protocol: 10.0.0.0/8, redirect_https: false }
routes: [{ to: '127.0.0.1:1' }]
",
    );
    let http = |at: usize| -> &HttpService {
        match &snapshot.listeners[at].service {
            Service::Http(http) => http,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((http(0).versions, http(0).tls.is_some()), (versions(true, true, false), false));
    assert_eq!((http(1).versions, http(1).tls.is_some()), (versions(true, true, true), true));
    assert_eq!((http(1).handshake_ms, http(1).hsts.as_deref()), (10_000, None));
    assert_eq!(snapshot.listeners[1].name, "https://shop.example");
    assert_eq!(snapshot.listeners[1].address.port(), 443);
    assert_eq!(http(2).versions, versions(true, true, false));
    assert_eq!(http(2).hsts.as_deref(), Some("max-age=31536000"));
    let alpn = |at: usize| http(at).tls.as_ref().unwrap().settings().alpn.clone();
    assert_eq!(alpn(2), [b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()]);
    assert_eq!(alpn(3), [b"h2".to_vec()]);
    assert_eq!((http(3).versions, http(3).handshake_ms), (versions(false, true, true), 3000));
    assert_eq!(http(3).hsts.as_deref(), Some("max-age=2; includeSubDomains"));
    assert_eq!((http(4).redirect_https, http(4).tls.is_some()), (Some(8443), false));
    assert_eq!(snapshot.listeners[4].max_connections, Some(5));
    let peer: IpAddr = "10.1.2.3".parse().unwrap();
    assert!(snapshot.listeners[4].proxy_header_from.contains(peer));
    assert!(!snapshot.listeners[0].proxy_header_from.contains(peer));
    // No PROXY header can come before HTTP/3.
    assert_eq!((http(5).versions, http(5).redirect_https), (versions(true, true, false), None));
}

#[test]
fn tcp_and_udp_listeners_lead_to_upstreams() {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    let (snapshot, _) = place.right(
        "
listen:
  - { tcp: ':5432', to: db }
  - { tcp: ':5433', to: '10.0.0.9:5432', idle_timeout: 5s,
      tls: { certificates: { cert: cert.pem, key: key.pem }, handshake_timeout: 4s } }
  - { tcp: ':8883', sni: { mqtt.example: other, '*.b.example': '10.0.0.8:1' } }
  - { udp: ':5432', to: '10.0.0.9:5432' }
  - { udp: ':53', to: db, name: dns, flows: { idle_timeout: 1s, max: 7, max_per_address: 3 } }
defaults: { timeouts: { connect: 9s } }
timeouts: { head: 2s }
upstreams:
  db: { endpoints: ['10.0.0.1:5432'], timeouts: { connect: none }, retry: none }
  other: ['10.0.0.2:1']
",
    );
    let upstream = |index: u32| snapshot.upstreams[index as usize].name().to_string();
    let tcp = |at: usize| match &snapshot.listeners[at].service {
        Service::Tcp(tcp) => tcp,
        other => panic!("{other:?}"),
    };
    let names: Vec<&str> = snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(names, ["tcp://:5432", "tcp://:5433", "tcp://:8883", "udp://:5432", "dns"]);
    assert_eq!(tcp(0).otherwise.map(upstream).as_deref(), Some("db"));
    let timeouts = TcpTimeouts { prelude_ms: 2000, connect_ms: u64::MAX, idle_ms: 3_600_000 };
    assert_eq!((tcp(0).timeouts, tcp(0).connect_retries, tcp(0).names.len()), (timeouts, 0, 0));
    assert_eq!(tcp(1).otherwise.map(upstream).as_deref(), Some("10.0.0.9:5432"));
    let timeouts = TcpTimeouts { prelude_ms: 4000, connect_ms: 9000, idle_ms: 5000 };
    assert_eq!((tcp(1).timeouts, tcp(1).connect_retries), (timeouts, 2));
    assert_eq!(tcp(1).tls.as_ref().map(|tls| tls.settings().alpn.len()), Some(0));
    let names: Vec<_> = tcp(2).names.iter().map(|(name, index)| (name.as_str(), upstream(*index))).collect();
    assert_eq!(names, [("mqtt.example", "other".to_owned()), ("*.b.example", "10.0.0.8:1".to_owned())]);
    assert_eq!(tcp(2).otherwise, None);
    let udp = |at: usize| match &snapshot.listeners[at].service {
        Service::Udp(udp) => (upstream(udp.upstream), udp.idle_ms, udp.max_flows, udp.max_flows_per_address),
        other => panic!("{other:?}"),
    };
    assert_eq!(udp(3), ("10.0.0.9:5432".to_owned(), 30_000, 65_536, 1024));
    assert_eq!(udp(4), ("db".to_owned(), 1000, 7, 3));
    assert_eq!(snapshot.upstreams.len(), 4, "an address is one upstream however often it stands there");
    assert_eq!(snapshot.transports.len(), 4);
}
