//! How clients are told of limits: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, in the form that it has since -08), or the
//! older trio that many clients read, `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
//!
//! The fields of the draft are lists, so that each policy adds lines of its own. The trio can tell of one limit only.

use tollgate_http1::edits::Edits;
use tollgate_http1::encode;

/// The largest integer of structured fields (RFC 9651 section 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// How clients are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// By the fields of the draft.
    #[default]
    Draft,
    /// By the older trio.
    Trio,
    /// Not at all.
    Silent,
}

/// A limit, and where a client stands with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The limit's name, for clients.
    pub name: &'a str,
    /// How many requests it allows in a window.
    pub quota: u64,
    /// The window, in seconds; 0 for a limit without one (how many at once).
    pub window_s: u64,
    /// How many are left.
    pub remaining: u64,
    /// In how many seconds there will be more, or as many as can be.
    pub reset_s: u64,
}

/// Tells of limits in the fields of a response. Of several, the trio tells of the one with the smallest part left, and
/// replaces the origin's; on a route with several policies, only one of them should have it.
pub fn write(style: Style, standings: &[Standing<'_>], response: &mut Edits) {
    if standings.is_empty() {
        return;
    }
    match style {
        Style::Draft => {
            response.add_with("RateLimit-Policy", |out| list(out, standings, policy));
            response.add_with("RateLimit", |out| list(out, standings, state));
        }
        Style::Trio => {
            if let Some(tightest) = tightest(standings) {
                trio(tightest, response);
            }
        }
        Style::Silent => {}
    }
}

fn list(out: &mut Vec<u8>, standings: &[Standing<'_>], item: fn(&mut Vec<u8>, &Standing<'_>)) {
    for (index, standing) in standings.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        item(out, standing);
    }
}

/// A quota policy: `"name";q=100;w=60`.
fn policy(out: &mut Vec<u8>, standing: &Standing<'_>) {
    string(out, standing.name);
    parameter(out, b";q=", standing.quota);
    if standing.window_s > 0 {
        parameter(out, b";w=", standing.window_s);
    }
}

/// A service limit: `"name";r=42;t=17`.
fn state(out: &mut Vec<u8>, standing: &Standing<'_>) {
    string(out, standing.name);
    parameter(out, b";r=", standing.remaining);
    if standing.window_s > 0 {
        parameter(out, b";t=", standing.reset_s);
    }
}

fn parameter(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    encode::decimal(out, value.min(LARGEST));
}

/// A string (RFC 9651 section 3.3.3): printable ASCII, with `"` and `\` escaped. Anything else in a name cannot be
/// said, and a question mark stands in for each such character.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Ok(byte @ 0x20..0x7f) => out.push(byte),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

/// The limit of which the smallest part is left; of equals the one that stays so for longest.
fn tightest<'a, 'b>(standings: &'a [Standing<'b>]) -> Option<&'a Standing<'b>> {
    standings.iter().min_by(|a, b| {
        // a.remaining / a.quota against b.remaining / b.quota, without dividing.
        let left =
            |one: &Standing<'_>, other: &Standing<'_>| u128::from(one.remaining) * u128::from(other.quota);
        left(a, b).cmp(&left(b, a)).then(b.reset_s.cmp(&a.reset_s))
    })
}

fn trio(standing: &Standing<'_>, response: &mut Edits) {
    let values = [
        ("X-RateLimit-Limit", standing.quota),
        ("X-RateLimit-Remaining", standing.remaining),
        ("X-RateLimit-Reset", standing.reset_s),
    ];
    for (name, value) in values {
        response.remove(name);
        response.add_with(name, |out| encode::decimal(out, value));
    }
}

#[cfg(test)]
mod tests;
