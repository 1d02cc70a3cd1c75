//! The head that a client gets for an origin's response.

use tollgate_http1::connection::{self, ConnectionOptions};
use tollgate_http1::encode::{self, Removed};
use tollgate_message::{BodyLength, FieldList, Known, ResponseHead, Version};

use super::respond::connection_line;
use super::secured::Secured;
use crate::exchange::{BodyWriter, Facts};
use tollgate_http1::edits::Edits;

/// Everything that the head for the client is made from.
pub struct Source<'a> {
    /// The head as it came.
    pub head: ResponseHead<'a>,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its fields.
    pub list: &'a FieldList,
    /// Its `Connection` options.
    pub options: ConnectionOptions,
    /// What the request said.
    pub facts: Facts,
    /// How the body will be written.
    pub writer: BodyWriter,
    /// The connection ends with the response.
    pub close: bool,
    /// The request id.
    pub request_id: &'a [u8],
    /// What is known of the client's connection, where it is encrypted.
    pub secured: Option<&'a Secured>,
    /// The changes that the route's policies made.
    pub gate: Option<&'a Edits>,
    /// Lines that tell of the client's session.
    pub session: &'a [u8],
    /// The name of the field that carries it, which is not the origin's to set.
    pub session_header: Option<&'a str>,
}

/// Writes the head of a final response.
pub fn write(out: &mut Vec<u8>, source: &Source<'_>, edits: &Edits, with_date: impl FnOnce(&mut Vec<u8>)) {
    encode::status_line(out, source.head.status, source.head.reason_phrase);
    let mut removed = mark(source, false);
    edits.mark(&source.head.fields, &mut removed);
    if let Some(gate) = source.gate {
        gate.mark(&source.head.fields, &mut removed);
    }
    encode::fields(out, source.bytes, source.list, &removed, None);
    if !source.list.has(Known::Date) && !edits.replaces("date") {
        // RFC 9110 section 6.6.1: a recipient with a clock adds what the origin left out.
        with_date(out);
    }
    if source.writer == BodyWriter::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(connection_line(source.facts.version, source.close));
    if !edits.replaces("x-request-id") {
        encode::line(out, b"X-Request-ID", source.request_id);
    }
    if let Some(secured) = source.secured {
        secured.write(out, edits);
    }
    out.extend_from_slice(source.session);
    out.extend_from_slice(edits.lines());
    if let Some(gate) = source.gate {
        out.extend_from_slice(gate.lines());
        gate.write_defaults(out, |name| {
            source.head.fields.get_by_name(name).is_some()
                || std::str::from_utf8(name).is_ok_and(|name| edits.sets(name))
        });
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an interim response, or of the one that switches protocols.
pub fn write_interim(out: &mut Vec<u8>, source: &Source<'_>) {
    let switches = source.head.status == 101;
    encode::status_line(out, source.head.status, source.head.reason_phrase);
    encode::fields(out, source.bytes, source.list, &mark(source, switches), None);
    if switches {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        out.extend_from_slice(source.session);
    }
    out.extend_from_slice(b"\r\n");
}

fn mark(source: &Source<'_>, keep_upgrade: bool) -> Removed {
    let mut removed = Removed::default();
    let mut lengths = 0;
    let no_body = matches!(source.head.status, 100..=199 | 204);
    for (index, field) in source.list.entries().iter().enumerate() {
        let drop = match field.known {
            Known::Other => false,
            Known::TransferEncoding => true,
            // 426 says with it what to upgrade to (RFC 9110 section 15.5.22).
            Known::Upgrade => !keep_upgrade && source.head.status != 426,
            Known::XRequestId => !source.request_id.is_empty(),
            Known::StrictTransportSecurity => source.secured.is_some_and(|secured| secured.hsts.is_some()),
            // Repeated equal lengths become one; a response without a body must not have any.
            Known::ContentLength => {
                lengths += 1;
                lengths > 1 || no_body
            }
            known => known.is_hop_by_hop(),
        };
        if drop {
            removed.insert(index);
        }
    }
    if source.options.names_fields {
        connection::remove_named(&source.head.fields, &mut removed);
    }
    if let Some(name) = source.session_header {
        let fields = source.head.fields.iter().enumerate();
        let own = fields.filter(|(_, (other, ..))| other.eq_ignore_ascii_case(name.as_bytes()));
        own.for_each(|(index, _)| removed.insert(index));
    }
    removed
}

/// How a body is written: what has no known length in chunks, where the client knows them.
pub fn writer(version: Version, length: BodyLength) -> BodyWriter {
    match (version, length) {
        (Version::Http2 | Version::Http3, _) => BodyWriter::Stream,
        (Version::Http11, BodyLength::Chunked | BodyLength::UntilClose) => BodyWriter::Chunked,
        _ => BodyWriter::Plain,
    }
}
