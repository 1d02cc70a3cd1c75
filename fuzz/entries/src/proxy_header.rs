//! PROXY headers: however one is cut into reads, the result is the same, and what was read can be written.

use tollgate_proxy_protocol::{Details, Parsed, V2_MAX, parse, write_v1, write_v2};

pub(crate) fn run(data: &[u8]) {
    let whole = parse(data);
    for cut in 0..data.len().min(V2_MAX + 1) {
        match parse(&data[..cut]) {
            Parsed::Partial => assert!(cut < V2_MAX, "{cut} bytes are not enough"),
            known => assert_eq!(known, whole, "cut at {cut}"),
        }
    }
    let Parsed::Complete { header, consumed } = whole else { return };
    assert!(consumed <= data.len());
    let Some(addresses) = header.addresses else { return };
    let details = Details { tls: None, ..header.details };
    let mut bytes = Vec::new();
    write_v1(&mut bytes, Some(addresses));
    let end = bytes.len();
    write_v2(&mut bytes, Some(addresses), &details);
    for (again, details) in [(&bytes[..end], Details::default()), (&bytes[end..], details)] {
        let Parsed::Complete { header, consumed } = parse(again) else {
            panic!("what was written cannot be read: {}", again.escape_ascii());
        };
        assert_eq!(consumed, again.len());
        let read = header.addresses.map(|a| (a.source.ip().to_canonical(), a.source.port()));
        assert_eq!(read, Some((addresses.source.ip().to_canonical(), addresses.source.port())));
        let fits = |value: Option<usize>| value.is_none_or(|length| length <= 255);
        if fits(details.alpn.map(<[u8]>::len)) && fits(details.authority.map(str::len)) {
            assert_eq!(header.details, details);
        }
    }
}
