//! The head that an origin gets.

use tollgate_http1::connection::{self, ConnectionOptions};
use tollgate_http1::encode::{self, Removed};
use tollgate_message::{BodyLength, FieldList, Known, RequestHead};
use tollgate_policy::Gate;
use tollgate_routing::rewrite::{PathChange, replace_prefix};

use super::forwarded::Origins;
use super::identify::Identity;
use super::trace;
use crate::decide::session;
use crate::snapshot::{Carrier, RouteSettings, Snapshot};
use crate::tracer::Trace;

/// Everything that the head for the origin is made from.
pub struct Source<'a> {
    /// The head as it came.
    pub head: RequestHead<'a>,
    /// Its bytes and fields.
    pub bytes: &'a [u8],
    /// Its fields.
    pub list: &'a FieldList,
    /// Its `Connection` options.
    pub options: ConnectionOptions,
    /// The length of its body.
    pub body: BodyLength,
    /// What it asks for.
    pub identity: Identity<'a>,
    /// How much of the path the route matched.
    pub matched: usize,
    /// What the origin is told about the client.
    pub origins: Origins<'a>,
    /// An upgrade is asked for and allowed.
    pub upgrade: bool,
    /// It is a gRPC call with a time-out.
    pub timed_call: bool,
    /// What the route's policies came to, where it has any.
    pub gate: Option<&'a Gate>,
    /// What carries the token of its session, which is left out; `None` if it has none.
    pub session: Option<&'a Carrier>,
}

/// Writes the head for the origin. `rewritten` is a buffer for a changed path.
pub fn write(
    out: &mut Vec<u8>,
    source: &Source<'_>,
    snapshot: &Snapshot,
    settings: &RouteSettings,
    trace: Option<&mut Trace>,
    rewritten: &mut Vec<u8>,
) {
    write_line(out, source, settings, rewritten);
    let mut removed = mark(source, settings, trace.as_deref());
    let fields = &source.head.fields;
    let session = source.session.map(|carrier| (carrier, session::mark(carrier, fields, &mut removed)));
    let host = host_in_place(source, settings);
    encode::fields(out, source.bytes, source.list, &removed, host);
    if !source.list.has(Known::Host) {
        encode::line(
            out,
            b"Host",
            settings.rewrite.host.as_deref().map_or(source.identity.authority, str::as_bytes),
        );
    }
    if let Some((carrier, rest)) = session {
        session::write_rest(out, carrier, fields, &rest);
    }
    source.origins.write(out, snapshot, source.identity.authority, fields, &settings.request_edits);
    trace::write(out, trace, &settings.request_edits);
    if source.body == BodyLength::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if source.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    } else if wants_trailers(source) {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
    if let Some(gate) = source.gate {
        out.extend_from_slice(gate.request.lines());
    }
    out.extend_from_slice(settings.request_edits.lines());
    out.extend_from_slice(b"\r\n");
}

fn write_line(out: &mut Vec<u8>, source: &Source<'_>, settings: &RouteSettings, rewritten: &mut Vec<u8>) {
    let identity = &source.identity;
    let query = source.gate.and_then(|gate| gate.query.as_deref());
    if identity.target_is_normal && settings.rewrite.path.is_none() && query.is_none() {
        encode::request_line(out, source.head.method_bytes, source.head.target);
        return;
    }
    let path = match &settings.rewrite.path {
        None => identity.path,
        Some(PathChange::Full(path)) => path.as_bytes(),
        Some(PathChange::Prefix(replacement)) => {
            let prefix = identity.path.get(..source.matched).unwrap_or_default();
            replace_prefix(identity.path, prefix, replacement.as_bytes(), rewritten);
            rewritten.as_slice()
        }
    };
    out.extend_from_slice(source.head.method_bytes);
    out.push(b' ');
    out.extend_from_slice(path);
    if let Some(query) = query.or(identity.query).filter(|query| source.gate.is_none() || !query.is_empty()) {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn mark(source: &Source<'_>, settings: &RouteSettings, trace: Option<&Trace>) -> Removed {
    let mut removed = Removed::default();
    for (index, field) in source.list.entries().iter().enumerate() {
        match field.known {
            Known::Other => {}
            Known::TransferEncoding | Known::Te => removed.insert(index),
            Known::Upgrade if !source.upgrade => removed.insert(index),
            known if known.is_hop_by_hop() => removed.insert(index),
            // A call's time-out is written anew, less what was spent.
            Known::GrpcTimeout if source.timed_call => removed.insert(index),
            Known::Traceparent | Known::Tracestate => trace::mark(trace, index, field, &mut removed),
            _ => source.origins.mark(index, field, &mut removed),
        }
    }
    if source.options.names_fields {
        connection::remove_named(&source.head.fields, &mut removed);
    }
    settings.request_edits.mark(&source.head.fields, &mut removed);
    if let Some(gate) = source.gate {
        gate.request.mark(&source.head.fields, &mut removed);
    }
    removed
}

/// The `Host` field, where its value has to change: it keeps its place.
fn host_in_place<'a>(source: &Source<'a>, settings: &'a RouteSettings) -> Option<(usize, &'a [u8])> {
    let value = match &settings.rewrite.host {
        Some(host) => host.as_bytes(),
        None if source.identity.absolute => source.identity.authority,
        None => return None,
    };
    source.list.entries().iter().position(|f| f.known == Known::Host).map(|index| (index, value))
}

fn wants_trailers(source: &Source<'_>) -> bool {
    source.list.has(Known::Te)
        && source
            .head
            .fields
            .all(Known::Te)
            .flat_map(|v| v.split(|b| *b == b','))
            .any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}
