use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::{Addresses, Details, Header, Parsed, V1_MAX, V2_MAX, parse, write_v1, write_v2};
use crate::checksum::crc32c;

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn complete(bytes: &[u8]) -> (Header<'_>, usize) {
    match parse(bytes) {
        Parsed::Complete { header, consumed } => (header, consumed),
        other => panic!("{other:?} for \"{}\"", bytes.escape_ascii()),
    }
}

#[test]
fn lines_of_version_1() {
    let (header, consumed) = complete(b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\nGET /");
    assert_eq!(header.addresses, Some(addresses("192.0.2.1:40000", "198.51.100.2:443")));
    assert_eq!(consumed, 45);
    let (header, _) = complete(b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n");
    assert_eq!(header.addresses, Some(addresses("[2001:db8::1]:0", "[::ffff:1.2.3.4]:65535")));
    for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"] {
        assert_eq!(complete(line.as_bytes()), (Header::default(), line.len()));
    }
}

#[test]
fn what_no_line_of_version_1_may_be() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \u{664}\r\n",
    ] {
        assert!(matches!(parse(line.as_bytes()), Parsed::Malformed(_)), "{line:?}");
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'a'; V1_MAX]].concat();
    assert!(matches!(parse(&endless), Parsed::Malformed(_)));
    assert_eq!(parse(&endless[..V1_MAX - 1]), Parsed::Partial);
}

#[test]
fn other_bytes_are_told_at_the_first_that_differs() {
    for bytes in [&b"G"[..], b"PROXYS", b"\r\n\r\nG", b"\x16", b"\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(parse(bytes), Parsed::Other, "{}", bytes.escape_ascii());
        assert_eq!(parse(&bytes[..bytes.len() - 1]), Parsed::Partial);
    }
}

/// A header of version 2 with this command, family and rest.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = crate::v2::SIGNATURE.to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&(rest.len() as u16).to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn headers_that_keep_the_connections_own_addresses() {
    for (command, family, rest) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, &[0; 3]),
        (0x20, 0xff, &[0xff; 40]),
        (0x21, 0x00, &[]),
        (0x21, 0x00, &[1, 2, 3]),
        (0x21, 0x01, &[0xff; 12]),
        (0x21, 0x12, &[1; 12]),
        (0x21, 0x22, &[1; 36]),
        (0x21, 0x31, &[0; 216]),
        (0x21, 0x32, &[b'/'; 216]),
    ] {
        let bytes = binary(command, family, rest);
        assert_eq!(complete(&bytes), (Header::default(), bytes.len()), "{command:x} {family:x}");
    }
}

#[test]
fn what_no_header_of_version_2_may_be() {
    let with = |tlv: &[u8]| [&[0; 12], tlv].concat();
    for (command, family, rest) in [
        (0x11, 0x11, vec![0; 12]),
        (0x22, 0x11, vec![0; 12]),
        (0x21, 0x13, vec![0; 12]),
        (0x21, 0x41, vec![0; 12]),
        (0x21, 0x11, vec![]),
        (0x21, 0x11, vec![0; 11]),
        (0x21, 0x21, vec![0; 12]),
        (0x21, 0x31, vec![0; 215]),
        // Details that are cut, twice there, too long, wrong or no text.
        (0x21, 0x11, with(&[1])),
        (0x21, 0x11, with(&[1, 0, 2, 0])),
        (0x21, 0x11, with(&[2, 0, 1, b'a', 2, 0, 1, b'a'])),
        (0x21, 0x11, with(&[&[5, 0, 129][..], &[0; 129]].concat())),
        (0x21, 0x11, with(&[3, 0, 4, 1, 2, 3, 4])),
        (0x21, 0x11, with(&[3, 0, 3, 1, 2, 3])),
        (0x21, 0x11, with(&[2, 0, 1, 0xff])),
        (0x21, 0x11, with(&[0x20, 0, 4, 1, 0, 0, 0])),
        (0x21, 0x11, with(&[0x20, 0, 7, 1, 0, 0, 0, 0, 0x21, 0])),
        (0x21, 0x11, vec![0; V2_MAX]),
    ] {
        let bytes = binary(command, family, &rest);
        assert!(matches!(parse(&bytes), Parsed::Malformed(_)), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_said_of_tls_is_read() {
    let mut tls = vec![0x20, 0, 0, 0x07, 0, 0, 0, 0];
    for (kind, value) in [(0x21, "TLSv1.3"), (0x22, "alice"), (0x23, "TLS_AES_128_GCM_SHA256"), (0x24, "x")] {
        tls.extend_from_slice(&[kind, 0, value.len() as u8]);
        tls.extend_from_slice(value.as_bytes());
    }
    tls[2] = (tls.len() - 3) as u8;
    let bytes = binary(0x21, 0x11, &[&[0; 12], &tls[..]].concat());
    let told = complete(&bytes).0.details.tls.unwrap();
    assert!(told.encrypted && told.certificate && told.verified);
    assert_eq!((told.version, told.common_name), (Some("TLSv1.3"), Some("alice")));
    assert_eq!(told.cipher, Some("TLS_AES_128_GCM_SHA256"));
    // "Verified" is also said where nothing was shown.
    let bytes = binary(0x21, 0x11, &[&[0; 12][..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat());
    assert!(!complete(&bytes).0.details.tls.unwrap().verified);
}

#[test]
fn each_changed_bit_under_a_checksum_is_found() {
    let mut bytes = Vec::new();
    let details = Details { authority: Some("a.example"), ..Details::default() };
    write_v2(&mut bytes, Some(addresses("1.2.3.4:5", "6.7.8.9:10")), &details);
    for bit in 16 * 8..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match parse(&changed) {
            Parsed::Malformed(_) => {}
            // The type of the checksum itself: then there is none.
            Parsed::Complete { .. } if bit / 8 == bytes.len() - 7 => {}
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    let end = bytes.len() - 4;
    let sum = crc32c(&[&bytes[..end], &[0; 4]]);
    assert_eq!(bytes[end..], sum.to_be_bytes());
}

#[test]
fn a_pair_of_two_families_is_written_as_one() {
    let mixed = addresses("1.2.3.4:5", "[2001:db8::1]:6");
    let mut line = Vec::new();
    write_v1(&mut line, Some(mixed));
    assert_eq!(complete(&line).0.addresses, Some(addresses("[::ffff:1.2.3.4]:5", "[2001:db8::1]:6")));
    let mapped = addresses("[::ffff:1.2.3.4]:5", "6.7.8.9:10");
    line.clear();
    write_v1(&mut line, Some(mapped));
    assert_eq!(line, b"PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n");
    line.clear();
    write_v1(&mut line, None);
    assert_eq!(line, b"PROXY UNKNOWN\r\n");
    line.clear();
    write_v2(&mut line, None, &Details::default());
    assert_eq!(complete(&line), (Header::default(), 16));
}

fn any_pair() -> impl Strategy<Value = Addresses> {
    let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
    let v6 = any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_canonical());
    let ip = prop_oneof![v4, v6];
    (ip.clone(), any::<u16>(), ip, any::<u16>()).prop_map(|(a, p, b, q)| Addresses {
        source: SocketAddr::new(a, p),
        destination: SocketAddr::new(b, q),
    })
}

/// As it is read again: IPv4 addresses beside IPv6 ones come back mapped.
fn canonical(pair: Addresses) -> Addresses {
    let one = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
    Addresses { source: one(pair.source), destination: one(pair.destination) }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        pair in any_pair(),
        alpn in prop::option::of(prop::collection::vec(any::<u8>(), 0..256)),
        authority in prop::option::of("[a-zä.]{0,80}"),
        unique_id in prop::option::of(prop::collection::vec(any::<u8>(), 0..=128)),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let details = Details {
            alpn: alpn.as_deref(),
            authority: authority.as_deref(),
            unique_id: unique_id.as_deref(),
            tls: None,
        };
        for version in [1, 2] {
            let mut bytes = b"before".to_vec();
            let expected = match version {
                1 => { write_v1(&mut bytes, Some(pair)); Details::default() }
                _ => { write_v2(&mut bytes, Some(pair), &details); details }
            };
            let mut bytes = bytes.split_off(6);
            let length = bytes.len();
            for cut in 0..length {
                prop_assert_eq!(parse(&bytes[..cut]), Parsed::Partial, "version {}, {} bytes", version, cut);
            }
            bytes.extend_from_slice(&rest);
            let (header, consumed) = complete(&bytes);
            prop_assert_eq!(consumed, length);
            prop_assert_eq!(header.addresses.map(canonical), Some(canonical(pair)));
            prop_assert_eq!(header.details, expected);
        }
    }

    /// Once it is known what bytes are, more of them change nothing.
    #[test]
    fn any_bytes_are_something(
        version in 0..3usize,
        family in prop::sample::select(vec![0u8, 0x11, 0x12, 0x21, 0x22, 0x31, 0x41]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        more in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let whole = match version {
            0 => bytes,
            1 => [b"PROXY ".as_slice(), &bytes].concat(),
            _ => binary(0x21, family, &bytes),
        };
        let longer = [whole.as_slice(), &more].concat();
        match parse(&whole) {
            Parsed::Partial => prop_assert!(whole.len() < V2_MAX),
            known => prop_assert_eq!(parse(&longer), known),
        }
    }
}
