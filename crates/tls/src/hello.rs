//! What a client asks for in its first message, without a handshake: for routing by name with TLS passed
//! through, and for choosing a listener's settings.

use rustls::pki_types::DnsName;

/// The longest ClientHello that is looked at. Those of browsers with post-quantum keys have about 2 KiB.
const HELLO_MAX: usize = 16 * 1024;

/// The longest payload of a plain record (RFC 8446 section 5.1).
const PAYLOAD_MAX: usize = 16 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// How many bytes [`peek`] looks at: enough for the longest hello, unless its records are absurdly small.
pub const BYTES_MAX: usize = HELLO_MAX + 1024;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The beginning of a ClientHello.
    Partial,
    /// Not TLS.
    NotTls,
    /// TLS, but not a ClientHello that makes sense, or one beyond 16 KiB.
    Malformed,
    /// A whole ClientHello.
    Complete {
        /// The DNS name asked for (SNI), in lower case, without a dot at the end.
        server_name: Option<Box<str>>,
        /// The application protocols offered.
        alpn: Alpn,
        /// The client would rather have ChaCha20 than AES, which its machine has no instructions for.
        prefers_chacha: bool,
    },
}

/// The application protocols that a client offers, the best first (RFC 7301).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpn(Box<[u8]>);

impl Alpn {
    /// The protocols.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        // Checked when it was taken from the hello.
        let mut rest = Fields(&self.0);
        std::iter::from_fn(move || rest.short())
    }
}

/// Looks at the first bytes of a connection. All bytes that came so far are to be given each time; once it is
/// not [`Hello::Partial`], more bytes do not change the answer.
pub fn peek(bytes: &[u8]) -> Hello {
    match peek_within(&bytes[..bytes.len().min(BYTES_MAX)]) {
        Hello::Partial if bytes.len() >= BYTES_MAX => Hello::Malformed,
        hello => hello,
    }
}

fn peek_within(bytes: &[u8]) -> Hello {
    let mut fragments = Fragments { rest: bytes };
    let first = match fragments.next() {
        Fragment::Whole(first) => first,
        Fragment::Partial(part) => return check_start(part),
        Fragment::NotTls => return Hello::NotTls,
    };
    let Some(len) = hello_len(first) else {
        return across_records(first, fragments);
    };
    if first.first() != Some(&CLIENT_HELLO) || len > HELLO_MAX {
        return Hello::Malformed;
    }
    match first.get(4..4 + len) {
        Some(body) => parse(body),
        None => across_records(first, fragments),
    }
}

/// The hello is in several records: puts them together.
fn across_records(first: &[u8], mut fragments: Fragments<'_>) -> Hello {
    let mut message = first.to_vec();
    loop {
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Hello::Malformed;
        }
        if let Some(len) = hello_len(&message) {
            if len > HELLO_MAX {
                return Hello::Malformed;
            }
            if let Some(body) = message.get(4..4 + len) {
                return parse(body);
            }
        }
        match fragments.next() {
            Fragment::Whole(more) => message.extend_from_slice(more),
            Fragment::Partial(_) => return Hello::Partial,
            Fragment::NotTls => return Hello::Malformed,
        }
    }
}

/// A record that is not complete: whether what is there can be the beginning of a hello.
fn check_start(part: &[u8]) -> Hello {
    match part.first() {
        Some(&CLIENT_HELLO) | None => Hello::Partial,
        Some(_) => Hello::Malformed,
    }
}

/// The length of the handshake message, from its header.
fn hello_len(message: &[u8]) -> Option<usize> {
    let header = message.get(1..4)?;
    Some(usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]))
}

enum Fragment<'a> {
    /// A record's payload.
    Whole(&'a [u8]),
    /// What is there of a record's payload.
    Partial(&'a [u8]),
    /// What is there cannot be a handshake record.
    NotTls,
}

/// The handshake records.
struct Fragments<'a> {
    rest: &'a [u8],
}

impl<'a> Fragments<'a> {
    fn next(&mut self) -> Fragment<'a> {
        let rest = self.rest;
        // Version 3.0 (SSL 3) to 3.4 may stand on a record; all newer ones write 3.1 or 3.3.
        let fits = |at: usize, good: &dyn Fn(u8) -> bool| rest.get(at).is_none_or(|byte| good(*byte));
        if !fits(0, &|kind| kind == HANDSHAKE)
            || !fits(1, &|major| major == 3)
            || !fits(2, &|minor| minor <= 4)
        {
            return Fragment::NotTls;
        }
        let Some(len) = rest.get(3..5).map(|len| usize::from(u16::from_be_bytes([len[0], len[1]]))) else {
            return Fragment::Partial(&[]);
        };
        if len == 0 || len > PAYLOAD_MAX {
            return Fragment::NotTls;
        }
        match rest.get(5..5 + len) {
            Some(payload) => {
                self.rest = &rest[5 + len..];
                Fragment::Whole(payload)
            }
            None => Fragment::Partial(&rest[5..]),
        }
    }
}

/// Reads a ClientHello's body (RFC 8446 section 4.1.2).
fn parse(body: &[u8]) -> Hello {
    parse_fields(body).unwrap_or(Hello::Malformed)
}

fn parse_fields(body: &[u8]) -> Option<Hello> {
    let mut fields = Fields(body);
    fields.take(2 + 32)?;
    fields.short()?;
    let prefers_chacha = begins_with_chacha(fields.long()?);
    fields.short()?;
    let (mut server_name, mut alpn) = (None, Alpn::default());
    if !fields.0.is_empty() {
        let mut extensions = Fields(fields.long()?);
        while !extensions.0.is_empty() {
            let kind = extensions.number()?;
            let mut content = Fields(extensions.long()?);
            match kind {
                SERVER_NAME => server_name = host_name(content.long()?)?,
                ALPN => alpn = protocols(content.long()?)?,
                _ => {}
            }
        }
    }
    fields.0.is_empty().then_some(Hello::Complete { server_name, alpn, prefers_chacha })
}

/// Whether the best of a client's suites is one with ChaCha20.
fn begins_with_chacha(suites: &[u8]) -> bool {
    // Values that mean nothing, so that servers stay used to such (RFC 8701), stand before the best.
    let is_grease = |suite: &[u8]| suite[0] == suite[1] && suite[0] & 0x0f == 0x0a;
    let best = suites.chunks_exact(2).find(|suite| !is_grease(suite));
    matches!(best, Some([0x13, 0x03] | [0xcc, 0xa8 | 0xa9]))
}

/// The DNS name in a list of server names (RFC 6066 section 3). Anything else that stands there is as no name.
fn host_name(list: &[u8]) -> Option<Option<Box<str>>> {
    const HOST_NAME: u8 = 0;
    let mut fields = Fields(list);
    let mut found = None;
    while !fields.0.is_empty() {
        let kind = fields.take(1)?[0];
        let name = fields.long()?;
        if kind == HOST_NAME && found.is_none() {
            found = Some(name);
        }
    }
    let name = found.and_then(|name| DnsName::try_from(name).ok());
    Some(name.map(|name| name.as_ref().trim_end_matches('.').to_ascii_lowercase().into()))
}

fn protocols(list: &[u8]) -> Option<Alpn> {
    let mut fields = Fields(list);
    while !fields.0.is_empty() {
        fields.short()?;
    }
    Some(Alpn(list.into()))
}

/// Bytes that are read field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?[0];
        self.take(usize::from(len))
    }

    /// Bytes behind a length of two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Hello, peek};

    fn sized(kind: &[u8], content: &[u8]) -> Vec<u8> {
        [kind, &(content.len() as u16).to_be_bytes(), content].concat()
    }

    /// A ClientHello with these extensions, in one record.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let body = [&[3, 3], &[9; 32][..], &[0], &[0, 2, 0x13, 1], &[1, 0], &sized(&[], extensions)].concat();
        sized(&[22, 3, 1], &sized(&[1, 0], &body))
    }

    fn name(text: &str) -> Vec<u8> {
        sized(&[0, 0], &sized(&[], &sized(&[0], text.as_bytes())))
    }

    fn seen(extensions: &[u8]) -> (Option<String>, Vec<Vec<u8>>) {
        match peek(&hello(extensions)) {
            Hello::Complete { server_name, alpn, .. } => {
                (server_name.map(String::from), alpn.iter().map(<[u8]>::to_vec).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_that_begins_with_chacha_prefers_it() {
        for (suites, expected) in [
            (&[0x13, 0x03, 0x13, 0x01][..], true),
            (&[0x1a, 0x1a, 0xcc, 0xa9, 0xc0, 0x2b], true),
            (&[0xcc, 0xa8], true),
            (&[0x13, 0x01, 0x13, 0x03], false),
            (&[0x2a, 0x2a, 0xc0, 0x2b, 0xcc, 0xa9], false),
            (&[0x2a, 0x2a], false),
            (&[], false),
            (&[0x13], false),
        ] {
            assert_eq!(super::begins_with_chacha(suites), expected, "{suites:x?}");
        }
    }

    #[test]
    fn names_and_protocols_are_read() {
        assert_eq!(seen(&[]), (None, Vec::new()));
        assert_eq!(seen(&name("Shop.Example.")), (Some("shop.example".into()), Vec::new()));
        assert_eq!(seen(&name("10.0.0.1")).0, None);
        assert_eq!(seen(&name("sh\0op")).0, None);
        let alpn = sized(&[0, 16], &sized(&[], b"\x02h2\x08http/1.1"));
        let (server_name, protocols) = seen(&[alpn, sized(&[0xfa, 0xfa], b"x"), name("a.b")].concat());
        assert_eq!(
            (server_name.as_deref(), &*protocols),
            (Some("a.b"), &[b"h2".to_vec(), b"http/1.1".to_vec()][..])
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(peek(&[]), Hello::Partial);
        for plain in ["GET / HTTP/1.1", "\x16\x02", "\x16\x03\x09", "\x16\x03\x01\0\0", "\x15\x03\x01\0\x02"]
        {
            assert_eq!(peek(plain.as_bytes()), Hello::NotTls, "{plain:?}");
        }
        // Not a ClientHello; a length beyond the end; a name list that is cut short.
        assert_eq!(peek(&[22, 3, 1, 0, 1, 2]), Hello::Malformed);
        assert_eq!(peek(&hello(&[0, 0, 0, 9, 0])), Hello::Malformed);
        assert_eq!(peek(&hello(&sized(&[0, 0], &[0, 9, 0]))), Hello::Malformed);
        let huge = [22, 3, 1, 0x40, 0, 1, 0, 0x40, 1];
        assert_eq!(peek(&huge), Hello::Partial);
        assert_eq!(peek(&[&huge[..], &[0; 0x3ffc]].concat()), Hello::Malformed);
        assert_eq!(peek(&[22, 3, 1, 0, 1, 0].repeat(BYTES_MAX)), Hello::Malformed);
    }
}
