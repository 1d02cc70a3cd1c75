//! Which session a request belongs to, and what that means for its endpoint. Pure: the time comes in.

use tollgate_credentials::session_token::Rejection;
use tollgate_message::{Fields, Known};
use tollgate_upstream::{Preferred, Upstream, View};

use crate::snapshot::{Carrier, Sticky};

/// How many tokens of a request are looked at: browsers send two of a name where paths or domains overlap.
const TOKENS_MAX: usize = 4;

/// What a request brings of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Brought {
    /// No token.
    #[default]
    Nothing,
    /// A token that counts as none.
    Ignored(Rejection),
    /// The token of a session at an endpoint that the upstream does not have, or not any more.
    Gone,
    /// The token of a session at this endpoint.
    At(u32),
}

/// What a pick knows of the exchange's session, which it does of those that have begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// The token counts as none.
    Ignored(Rejection),
    /// The upstream does not have the session's endpoint.
    Gone,
    /// The session's endpoint failed this exchange before.
    Failed(u32),
    /// The session's endpoint.
    At(Preferred),
}

impl Bond {
    /// The endpoint that is preferred for it.
    pub fn preferred(self) -> Option<Preferred> {
        match self {
            Self::At(preferred) => Some(preferred),
            Self::Ignored(_) | Self::Gone | Self::Failed(_) => None,
        }
    }
}

/// What a request brings of a session at an upstream, at the time `now_s` (seconds since 1970). Of several tokens the
/// first good one counts.
pub fn read(sticky: &Sticky, upstream: &Upstream, fields: &Fields<'_>, now_s: u64) -> Brought {
    let mut came = Brought::Nothing;
    let mut look = |token: &[u8]| {
        came = match sticky.tokens.read(upstream.name(), token, now_s, sticky.lifetime_s) {
            Ok(number) => upstream.session_endpoint(number).map_or(Brought::Gone, Brought::At),
            Err(_) if came == Brought::Gone => Brought::Gone,
            Err(rejection) => Brought::Ignored(rejection),
        };
        matches!(came, Brought::At(_))
    };
    match &sticky.carrier {
        Carrier::Cookie { name, .. } => {
            let pairs = fields.all(Known::Cookie).flat_map(|line| line.split(|byte| *byte == b';'));
            let _ = pairs.filter_map(|pair| value_of(pair, name)).take(TOKENS_MAX).any(&mut look);
        }
        Carrier::Header(name) => {
            let lines = fields.iter().filter(|(other, ..)| other.eq_ignore_ascii_case(name.as_bytes()));
            let _ = lines.map(|(_, value, _)| value).take(TOKENS_MAX).any(&mut look);
        }
    }
    came
}

/// What the next pick has to know. `failed`: the session's endpoint failed this exchange.
pub fn bond(came: Brought, failed: bool, sticky: &Sticky, view: &View, now_ms: u64) -> Option<Bond> {
    match came {
        Brought::Nothing => None,
        Brought::Ignored(rejection) => Some(Bond::Ignored(rejection)),
        Brought::Gone => Some(Bond::Gone),
        Brought::At(endpoint) if failed => Some(Bond::Failed(endpoint)),
        Brought::At(endpoint) => {
            let drained_since_ms = view.drained_since_ms(endpoint);
            let in_time = |since_ms: u64| now_ms.saturating_sub(since_ms) < sticky.drain_ms;
            Some(Bond::At(Preferred { endpoint, though_drained: drained_since_ms.is_none_or(in_time) }))
        }
    }
}

/// Takes the session's token out of a written request head: it says nothing to an origin. Other cookies stay.
pub fn strip(head: &mut Vec<u8>, carrier: &Carrier) {
    let mut kept = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        let (field, value) = line.split_at(colon);
        match carrier {
            Carrier::Header(name) if field.eq_ignore_ascii_case(name.as_bytes()) => {}
            Carrier::Cookie { name, .. } if field.eq_ignore_ascii_case(b"cookie") => {
                without_cookie(&mut kept, field, value[1..].trim_ascii(), name);
            }
            _ => kept.extend_from_slice(line),
        }
    }
    *head = kept;
}

/// Appends a cookie line without the cookie of this name; nothing if it has no other.
fn without_cookie(out: &mut Vec<u8>, field: &[u8], value: &[u8], name: &str) {
    let is_other = |pair: &&[u8]| !pair.is_empty() && value_of(pair, name).is_none();
    let others = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(is_other);
    for (number, other) in others.enumerate() {
        match number {
            0 => {
                out.extend_from_slice(field);
                out.extend_from_slice(b": ");
            }
            _ => out.extend_from_slice(b"; "),
        }
        out.extend_from_slice(other);
    }
    if !out.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// The value of a cookie, if it is the one of this name; without quotes around it.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.trim_ascii();
    let inside = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(inside.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::strip;
    use crate::snapshot::Carrier;

    fn stripped(head: &str, carrier: &Carrier) -> String {
        let mut bytes = head.as_bytes().to_vec();
        strip(&mut bytes, carrier);
        String::from_utf8(bytes).unwrap()
    }

    fn cookie() -> Carrier {
        Carrier::Cookie { name: "s".into(), attributes: "".into(), secure: None }
    }

    #[test]
    fn the_sessions_cookie_goes_and_all_others_stay() {
        for (came, goes_on) in [
            ("Cookie: s=1", ""),
            ("Cookie: s=1; s=2;", ""),
            ("Cookie: a=1; s=2; b=3", "Cookie: a=1; b=3\r\n"),
            ("cookie:a=1;s=2", "cookie: a=1\r\n"),
            ("Cookie: ss=1; S=2; xs=3; s", "Cookie: ss=1; S=2; xs=3; s\r\n"),
            ("Cookie: a=s=1; s=\"x\"", "Cookie: a=s=1\r\n"),
            ("Cookie: s=1\r\nX-Cookie: s=1\r\nCookie: b=1", "X-Cookie: s=1\r\nCookie: b=1\r\n"),
        ] {
            let head = |lines: &str| format!("GET /s=1;a:b HTTP/1.1\r\nHost: a\r\n{lines}X: y\r\n\r\n");
            assert_eq!(stripped(&head(&format!("{came}\r\n")), &cookie()), head(goes_on), "{came}");
        }
    }

    #[test]
    fn the_sessions_header_goes_in_any_case() {
        let head = "GET / HTTP/1.1\r\nx-session: 1\r\nX-Session-Id: 2\r\nX-SESSION: 3\r\n\r\n";
        let expected = "GET / HTTP/1.1\r\nX-Session-Id: 2\r\n\r\n";
        assert_eq!(stripped(head, &Carrier::Header("X-Session".into())), expected);
    }
}
