//! The signature base: what is signed (RFC 9421 section 2.5).

use tollgate_message::Fields;

use super::component::{Component, Part};
use super::rejection::Rejection;

/// The parts of a request that a signature can cover, as they are forwarded: what was verified in one spelling and
/// used in another was not verified.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, with its case.
    pub method: &'a [u8],
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// Host and port as the request names them; case and the scheme's own port do not matter.
    pub authority: &'a [u8],
    /// The request target as it came (RFC 9112 section 3.2); for HTTP/2 and 3 `:path`.
    pub target: &'a [u8],
    /// The path of the target, without query.
    pub path: &'a [u8],
    /// The query, without `?`; `None` if there is no `?`.
    pub query: Option<&'a [u8]>,
    /// Whether a body follows. Without one `content-digest` need not be covered.
    pub has_body: bool,
    /// The field lines.
    pub fields: Fields<'a>,
}

/// Appends the line of a component, its end included.
pub(super) fn push_line(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    component: &Component,
) -> Result<(), Rejection> {
    out.extend_from_slice(component.id().as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    let missing = || Rejection::MissingComponent(component.id().to_owned());
    match &component.part {
        Part::Method => out.extend_from_slice(request.method),
        Part::Scheme => out.extend_from_slice(request.scheme.to_ascii_lowercase().as_bytes()),
        Part::Authority => push_authority(out, request),
        Part::RequestTarget => out.extend_from_slice(request.target),
        Part::Path => push_path(out, request),
        Part::Query => push_query(out, request.query.unwrap_or_default()),
        Part::TargetUri => {
            out.extend_from_slice(request.scheme.to_ascii_lowercase().as_bytes());
            out.extend_from_slice(b"://");
            push_authority(out, request);
            push_path(out, request);
            if let Some(query) = request.query {
                push_query(out, query);
            }
        }
        Part::QueryParam(name) => {
            let value = query_param(request.query.unwrap_or_default(), name).ok_or_else(missing)?;
            out.extend_from_slice(value.as_bytes());
        }
        Part::Field(name) => push_field(out, request, name.as_bytes()).ok_or_else(missing)?,
    }
    // Whatever the parser of heads let through: a line that ends early could pose as two.
    if out[start..].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Rejection::Malformed("a covered value has a line end in it"));
    }
    out.push(b'\n');
    Ok(())
}

/// In lower case, without the port that the scheme has anyway (section 2.2.3).
fn push_authority(out: &mut Vec<u8>, request: &Request<'_>) {
    let usual: &[u8] = if request.scheme.eq_ignore_ascii_case("https") { b":443" } else { b":80" };
    let host = request.authority.strip_suffix(usual).unwrap_or(request.authority);
    out.extend(host.iter().map(u8::to_ascii_lowercase));
}

fn push_path(out: &mut Vec<u8>, request: &Request<'_>) {
    out.extend_from_slice(if request.path.is_empty() { b"/" } else { request.path });
}

fn push_query(out: &mut Vec<u8>, query: &[u8]) {
    out.push(b'?');
    out.extend_from_slice(query);
}

/// All lines of the name, without white space around them, joined (section 2.1).
fn push_field(out: &mut Vec<u8>, request: &Request<'_>, name: &[u8]) -> Option<()> {
    let mut lines = request.fields.iter().filter(|(other, _, _)| other.eq_ignore_ascii_case(name));
    let (_, first, _) = lines.next()?;
    out.extend_from_slice(first.trim_ascii());
    for (_, value, _) in lines {
        out.extend_from_slice(b", ");
        out.extend_from_slice(value.trim_ascii());
    }
    Some(())
}

/// The value of the only parameter of this name, encoded anew (section 2.2.8). `None` if there is none, and if there are
/// two: which one counts would be the upstream's guess.
fn query_param(query: &[u8], name: &str) -> Option<String> {
    let mut values = query.split(|byte| *byte == b'&').filter_map(|pair| {
        let cut = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = cut.map_or((pair, &b""[..]), |cut| (&pair[..cut], &pair[cut + 1..]));
        (!pair.is_empty() && respelled(key) == name).then_some(value)
    });
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(respelled(value)) }
}

/// Decoded as a form has it, and percent-encoded again in one spelling.
fn respelled(text: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let decoded = match (byte, digit(at + 1), digit(at + 2)) {
            (b'+', _, _) => b' ',
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high << 4 | low) as u8
            }
            _ => *byte,
        };
        at += 1;
        if decoded.is_ascii_alphanumeric() || b"*-._".contains(&decoded) {
            out.push(char::from(decoded));
        } else {
            out.push('%');
            out.extend(
                [DIGITS[usize::from(decoded >> 4)], DIGITS[usize::from(decoded & 15)]].map(char::from),
            );
        }
    }
    out
}
