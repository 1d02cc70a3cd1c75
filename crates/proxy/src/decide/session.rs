//! Which session a request belongs to, and what that means for its endpoint. Pure: the time comes in.

use tollgate_credentials::session_token::Rejection;
use tollgate_http1::encode::Removed;
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

/// How an exchange that was at its session's endpoint has left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// It has not.
    #[default]
    No,
    /// The endpoint failed it.
    Failed,
    /// It answered, with one that the route would rather try again.
    Unwanted,
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
    /// The session's endpoint gave this exchange an answer that is tried again elsewhere.
    Unwanted(u32),
    /// The session's endpoint.
    At(Preferred),
}

impl Bond {
    /// The endpoint that is preferred for it.
    pub fn preferred(self) -> Option<Preferred> {
        match self {
            Self::At(preferred) => Some(preferred),
            Self::Ignored(_) | Self::Gone | Self::Failed(_) | Self::Unwanted(_) => None,
        }
    }
}

/// What a request brings of a session at an upstream, of which `view` is, at the time `now_s` (seconds since 1970). Of
/// several tokens the first good one counts.
pub fn read(sticky: &Sticky, upstream: &Upstream, view: &View, fields: &Fields<'_>, now_s: u64) -> Brought {
    let mut came = Brought::Nothing;
    let mut look = |token: &[u8]| {
        came = match sticky.tokens.read(upstream.name(), token, now_s, sticky.lifetime_s) {
            Ok(number) => view.session_endpoint(upstream, number).map_or(Brought::Gone, Brought::At),
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

/// What the next pick has to know.
pub fn bond(came: Brought, left: Left, sticky: &Sticky, view: &View, now_ms: u64) -> Option<Bond> {
    match came {
        Brought::Nothing => None,
        Brought::Ignored(rejection) => Some(Bond::Ignored(rejection)),
        Brought::Gone => Some(Bond::Gone),
        Brought::At(endpoint) => Some(match left {
            Left::Failed => Bond::Failed(endpoint),
            Left::Unwanted => Bond::Unwanted(endpoint),
            Left::No => {
                let drained_since_ms = view.drained_since_ms(endpoint);
                let in_time = |since_ms: u64| now_ms.saturating_sub(since_ms) < sticky.drain_ms;
                Bond::At(Preferred { endpoint, though_drained: drained_since_ms.is_none_or(in_time) })
            }
        }),
    }
}

/// Leaves out of a request's fields those with the session's token: it says nothing to an origin. Those that are
/// returned have other cookies too, for [`write_rest`].
pub fn mark(carrier: &Carrier, fields: &Fields<'_>, removed: &mut Removed) -> Removed {
    let mut rest = Removed::default();
    for (index, (field, value, known)) in fields.iter().enumerate() {
        match carrier {
            Carrier::Header(name) if field.eq_ignore_ascii_case(name.as_bytes()) => removed.insert(index),
            Carrier::Cookie { name, .. }
                if known == Known::Cookie && !removed.contains(index) && has_cookie(value, name) =>
            {
                removed.insert(index);
                rest.insert(index);
            }
            _ => {}
        }
    }
    rest
}

/// Appends the cookies beside the session's.
pub fn write_rest(out: &mut Vec<u8>, carrier: &Carrier, fields: &Fields<'_>, rest: &Removed) {
    let Carrier::Cookie { name, .. } = carrier else { return };
    for (_, (field, value, _)) in fields.iter().enumerate().filter(|(index, _)| rest.contains(*index)) {
        let others = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let mut others = others.filter(|pair| !pair.is_empty() && value_of(pair, name).is_none());
        let Some(first) = others.next() else { continue };
        out.extend_from_slice(field);
        out.extend_from_slice(b": ");
        out.extend_from_slice(first);
        for other in others {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(other);
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn has_cookie(line: &[u8], name: &str) -> bool {
    line.split(|byte| *byte == b';').any(|pair| value_of(pair, name).is_some())
}

/// The value of a cookie, if it is the one of this name; without quotes around it.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.trim_ascii();
    let inside = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(inside.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use tollgate_http1::encode::{self, Removed};
    use tollgate_http1::{HeadLimits, request};
    use tollgate_message::{FieldList, Fields};

    use super::{mark, write_rest};
    use crate::snapshot::Carrier;

    fn stripped(lines: &str, carrier: &Carrier, mut removed: Removed) -> String {
        let head = format!("GET /s=1;a:b HTTP/1.1\r\nHost: a\r\n{lines}X: y\r\n\r\n");
        let mut list = FieldList::default();
        request::parse(head.as_bytes(), &HeadLimits::default(), &mut list).unwrap();
        let fields = Fields::new(head.as_bytes(), &list);
        let mut out = Vec::new();
        let rest = mark(carrier, &fields, &mut removed);
        encode::fields(&mut out, head.as_bytes(), &list, &removed, None);
        write_rest(&mut out, carrier, &fields, &rest);
        String::from_utf8(out).unwrap()
    }

    fn cookie() -> Carrier {
        Carrier::Cookie { name: "s".into(), attributes: "".into(), secure: None }
    }

    #[test]
    fn the_sessions_cookie_goes_and_all_others_stay() {
        for (came, goes_on, behind) in [
            ("Cookie: s=1", "", ""),
            ("Cookie: s=1; s=2;", "", ""),
            ("Cookie: a=1; s=2; b=3", "", "Cookie: a=1; b=3\r\n"),
            ("cookie:a=1;s=2", "", "cookie: a=1\r\n"),
            ("Cookie: ss=1; S=2; xs=3; s", "Cookie: ss=1; S=2; xs=3; s\r\n", ""),
            ("Cookie: a=s=1; s=\"x\"", "", "Cookie: a=s=1\r\n"),
            ("Cookie: s=1\r\nX-Cookie: s=1\r\nCookie: b=1", "X-Cookie: s=1\r\nCookie: b=1\r\n", ""),
        ] {
            let written = stripped(&format!("{came}\r\n"), &cookie(), Removed::default());
            assert_eq!(written, format!("Host: a\r\n{goes_on}X: y\r\n{behind}"), "{came}");
        }
    }

    #[test]
    fn cookies_that_something_else_has_left_out_do_not_come_back() {
        let mut removed = Removed::default();
        removed.insert(1);
        assert_eq!(stripped("Cookie: a=1; s=2\r\n", &cookie(), removed), "Host: a\r\nX: y\r\n");
    }

    #[test]
    fn the_sessions_header_goes_in_any_case() {
        let carrier = Carrier::Header("X-Session".into());
        let written =
            stripped("x-session: 1\r\nX-Session-Id: 2\r\nX-SESSION: 3\r\n", &carrier, Removed::default());
        assert_eq!(written, "Host: a\r\nX-Session-Id: 2\r\nX: y\r\n");
    }
}
