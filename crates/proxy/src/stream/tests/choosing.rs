//! What decides before an endpoint is spoken to: PROXY headers, server names, limits.

use std::io::Write;
use std::net::SocketAddr;

use tollgate_decision::Reason;
use tollgate_proxy_protocol::{Details, Parsed, parse, write_v1, write_v2};

use super::plaza::{Endpoints, Plaza, Setup, is_reset, pass, read};
use crate::snapshot::ProxyHeader;
use crate::trust::TrustedProxies;

fn loopback() -> TrustedProxies {
    TrustedProxies::new(vec![("127.0.0.0".parse().unwrap(), 8)])
}

fn addresses() -> tollgate_proxy_protocol::Addresses {
    tollgate_proxy_protocol::Addresses {
        source: "192.0.2.1:40000".parse().unwrap(),
        destination: "198.51.100.2:5432".parse().unwrap(),
    }
}

/// A TLS hello as small as one can be, with this name.
pub fn hello(name: Option<&str>) -> Vec<u8> {
    let long = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let name = name.map(|name| {
        let list = long(&[&[0][..], &long(name.as_bytes())].concat());
        [&[0, 0][..], &long(&list)].concat()
    });
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &long(&[0x13, 1]),
        &[1, 0],
        &long(&name.unwrap_or_else(|| vec![0, 23, 0, 0])),
    ]
    .concat();
    let message = [&[1, 0][..], &long(&body)].concat();
    [&[22, 3, 1][..], &long(&message)].concat()
}

#[test]
fn upstreams_are_told_of_the_client() {
    for version in [ProxyHeader::V1, ProxyHeader::V2] {
        let (endpoints, address) = Endpoints::listen();
        let mut setup = Setup::to(&[address]);
        setup.upstreams[0].1 = Some(version);
        let plaza = Plaza::open(setup);
        let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
        let mut bytes = Vec::new();
        let told = loop {
            bytes.extend(read(&mut origin, 1));
            match parse(&bytes) {
                Parsed::Partial => {}
                Parsed::Complete { header, .. } => break header,
                other => panic!("{other:?}"),
            }
        };
        let both = told.addresses.unwrap();
        assert_eq!((both.source, both.destination), (client.local_addr().unwrap(), plaza.address));
        assert_eq!(told.details.unique_id.is_some(), version == ProxyHeader::V2);
        pass(&mut client, &mut origin, b"hello");
        pass(&mut origin, &mut client, b"hello");
    }
}

#[test]
fn a_listed_peer_speaks_for_its_client() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.proxies = loopback();
    setup.upstreams[0].1 = Some(ProxyHeader::V1);
    let plaza = Plaza::open(setup);
    for version in [1, 2] {
        let mut client = plaza.connect();
        let mut header = Vec::new();
        match version {
            1 => write_v1(&mut header, Some(addresses())),
            _ => write_v2(&mut header, Some(addresses()), &Details::default()),
        }
        // In two pieces, the second with the first bytes of what it announces.
        client.write_all(&header[..9]).unwrap();
        client.write_all(&[&header[9..], b"data"].concat()).unwrap();
        let mut origin = endpoints.accept();
        let expected = b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 5432\r\ndata";
        assert_eq!(read(&mut origin, expected.len()), expected);
    }
    plaza.ended(Reason::ConnectionEnded, 2);
    let entries = plaza.all_recorded(2);
    assert!(entries.iter().all(|entry| entry.client.address == addresses().source.ip()));
}

#[test]
fn a_listed_peer_must_send_a_header_and_others_send_what_they_like() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.proxies = loopback();
    let plaza = Plaza::open(setup);
    for bad in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 1 2 3 4\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"]
    {
        let mut client = plaza.connect();
        client.write_all(bad).unwrap();
        assert!(is_reset(&mut client));
    }
    plaza.ended(Reason::BadProxyHeader, 3);
    let details: Vec<_> = plaza.all_recorded(3).into_iter().filter_map(|entry| entry.record.detail).collect();
    assert_eq!(details.len(), 3, "{details:?}");

    let plaza = Plaza::open(Setup::to(&[address]));
    let (mut client, mut origin) = (plaza.connect(), endpoints.accept());
    pass(&mut client, &mut origin, b"PROXY UNKNOWN\r\n");
}

/// CVE-2024-23324 and CVE-2024-23325 are about other proxies that fell over these.
#[test]
fn headers_without_an_address_keep_the_peers() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.proxies = loopback();
    let plaza = Plaza::open(setup);
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let binary = |command: u8, family: u8, rest: &[u8]| {
        [signature, &[command, family, 0, rest.len() as u8][..], rest].concat()
    };
    let headers = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x20, 0, b""),
        binary(0x20, 0x21, &[0; 36]),
        binary(0x21, 0, b""),
        binary(0x21, 0x12, &[1; 12]),
        binary(0x21, 0x31, &[0; 216]),
    ];
    for header in &headers {
        let mut client = plaza.connect();
        client.write_all(header).unwrap();
        let mut origin = endpoints.accept();
        pass(&mut client, &mut origin, b"x");
    }
    plaza.ended(Reason::ConnectionEnded, headers.len() as u64);
    let entries = plaza.all_recorded(headers.len());
    assert!(entries.iter().all(|entry| entry.client.address == entry.client.peer));
}

#[test]
fn limits_are_those_of_the_client_that_a_header_names() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.proxies = loopback();
    setup.per_address = Some(1);
    let plaza = Plaza::open(setup);
    let announce = |source: &str| {
        let source: SocketAddr = source.parse().unwrap();
        let mut header = Vec::new();
        write_v1(&mut header, Some(tollgate_proxy_protocol::Addresses { source, ..addresses() }));
        let mut client = plaza.connect();
        client.write_all(&header).unwrap();
        client
    };
    let first = announce("192.0.2.1:1");
    let origins = [endpoints.accept()];
    let second = announce("192.0.2.2:1");
    let more = endpoints.accept();
    assert!(is_reset(&mut announce("192.0.2.1:2")));
    plaza.ended(Reason::ClientAddressFull, 1);
    drop((first, second, origins, more));
    plaza.ended(Reason::ConnectionEnded, 2);
    let _third = announce("192.0.2.1:3");
    endpoints.accept();
}

#[test]
fn connections_go_where_the_name_in_their_hello_says() {
    let servers = [Endpoints::listen(), Endpoints::listen(), Endpoints::listen()];
    let mut setup = Setup::to(&[]);
    setup.upstreams = servers.iter().map(|(_, address)| (vec![*address], None)).collect();
    setup.service.names = [("a.example".to_owned(), 0), ("*.b.example".to_owned(), 1)].into();
    setup.service.otherwise = None;
    let plaza = Plaza::open(setup);
    for (name, server) in [("a.example", 0), ("A.EXAMPLE", 0), ("x.b.example", 1)] {
        let hello = hello(Some(name));
        let mut client = plaza.connect();
        let (first, second) = hello.split_at(hello.len() / 2);
        client.write_all(first).unwrap();
        client.write_all(second).unwrap();
        let mut origin = servers[server].0.accept();
        assert_eq!(read(&mut origin, hello.len()), hello, "{name}");
        pass(&mut origin, &mut client, b"server hello");
    }
    plaza.ended(Reason::ConnectionEnded, 3);
    for bytes in [hello(Some("c.example")), hello(None)] {
        let mut client = plaza.connect();
        client.write_all(&bytes).unwrap();
        assert!(is_reset(&mut client));
    }
    plaza.ended(Reason::UnknownServerName, 2);
    let mut client = plaza.connect();
    client.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
    assert!(is_reset(&mut client));
    plaza.ended(Reason::NotTls, 1);
}

#[test]
fn what_has_no_name_goes_to_the_upstream_for_all_others() {
    let (endpoints, address) = Endpoints::listen();
    let mut setup = Setup::to(&[address]);
    setup.service.names = [("a.example".to_owned(), 0)].into();
    let plaza = Plaza::open(setup);
    for bytes in [hello(Some("c.example")), hello(None), b"SSH-2.0".to_vec()] {
        let mut client = plaza.connect();
        client.write_all(&bytes).unwrap();
        let mut origin = endpoints.accept();
        assert_eq!(read(&mut origin, bytes.len()), bytes);
    }
}

#[test]
fn who_does_not_begin_in_time_is_given_up() {
    let mut setup = Setup::to(&[]);
    setup.service.names = [("a.example".to_owned(), 0)].into();
    setup.service.timeouts.prelude_ms = 200;
    let plaza = Plaza::open(setup);
    let mut client = plaza.connect();
    client.write_all(&hello(Some("a.example"))[..20]).unwrap();
    assert!(is_reset(&mut client));
    plaza.ended(Reason::PreludeTimeout, 1);
    let mut client = plaza.connect();
    client.write_all(&hello(Some("a.example"))[..20]).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(is_reset(&mut client));
    plaza.ended(Reason::ClientClosed, 1);
}
