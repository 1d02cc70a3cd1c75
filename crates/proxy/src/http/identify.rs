//! What a request asks for, in one spelling: host, path and query.

use tollgate_decision::Reason;
use tollgate_http1::target::{PathAndQuery, Target};
use tollgate_message::{Known, RequestHead};
use tollgate_routing::RequestView;
use tollgate_routing::host::parse_host;
use tollgate_routing::normalise::{PathForm, PathRules, normalise_path};

use super::Refusal;

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The host for matching: lower case, without port.
    pub host: &'a [u8],
    /// The authority as the client spelled it, with its port: what the origin gets as `Host`.
    pub authority: &'a [u8],
    /// The normalised path; `*` for `OPTIONS *`.
    pub path: &'a [u8],
    /// The query, without its `?`.
    pub query: Option<&'a [u8]>,
    /// The target as it came can be sent on as it is.
    pub target_is_normal: bool,
    /// The target was an absolute one, whose authority stands in for `Host` (RFC 9112 section 3.2.2).
    pub absolute: bool,
}

impl<'a> Identity<'a> {
    /// What routes are matched with.
    pub fn view(&self, head: &RequestHead<'a>) -> RequestView<'a> {
        RequestView {
            host: self.host,
            // `OPTIONS *` is about the server as a whole, so it goes where `/` goes.
            path: if self.path == b"*" { b"/" } else { self.path },
            query: self.query.unwrap_or_default(),
            method: head.method_bytes,
            fields: head.fields,
        }
    }
}

/// Finds out what a request asks for. `path_buffer` and `host_buffer` are used where the spelling has
/// to change.
pub fn identify<'a>(
    head: &RequestHead<'a>,
    rules: &PathRules,
    path_buffer: &'a mut Vec<u8>,
    host_buffer: &'a mut Vec<u8>,
) -> Result<Identity<'a>, Refusal> {
    let target = Target::parse(head.method, head.target).map_err(|m| m.as_request_reason())?;
    let host_field = head.fields.get(Known::Host).unwrap_or_default();
    let (authority, path_and_query, absolute) = match target {
        Target::Origin(rest) => (host_field, rest, false),
        Target::Absolute { authority, rest, .. } => (authority, rest, true),
        Target::Asterisk => (host_field, PathAndQuery { path: b"*", query: None }, false),
        Target::Authority(_) => return Err(connect_refused()),
    };
    if absolute && !host_field.is_empty() {
        // Ignored, but it must be a host: what two servers could read in two ways goes no further.
        check_host(host_field)?;
    }
    let host = if authority.is_empty() {
        &[][..]
    } else {
        let parsed = parse_host(authority, host_buffer);
        parsed.map_err(|p| Refusal { reason: Reason::BadHost, detail: Some(p.describe()) })?.name
    };
    if host.is_empty() && head.version != tollgate_message::Version::Http10 {
        return Err(Refusal { reason: Reason::BadHost, detail: Some("the host is empty") });
    }
    let (path, as_is) = match path_and_query.path {
        b"*" => (&b"*"[..], true),
        raw => match normalise_path(raw, rules, path_buffer) {
            Ok(PathForm::AsIs) => (raw, true),
            Ok(PathForm::Rewritten) => (path_buffer.as_slice(), false),
            Err(problem) => {
                return Err(Refusal { reason: Reason::BadPath, detail: Some(problem.describe()) });
            }
        },
    };
    Ok(Identity {
        host,
        authority,
        path,
        query: path_and_query.query,
        target_is_normal: as_is && !absolute,
        absolute,
    })
}

fn check_host(field: &[u8]) -> Result<(), Refusal> {
    match parse_host(field, &mut Vec::new()) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Refusal { reason: Reason::BadHost, detail: Some(problem.describe()) }),
    }
}

fn connect_refused() -> Refusal {
    Refusal {
        reason: Reason::MethodNotServed,
        detail: Some("CONNECT is not served: this is not a forward proxy"),
    }
}
