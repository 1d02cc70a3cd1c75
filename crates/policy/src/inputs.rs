//! A request and its caller as expressions read them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use tollgate_expression::{Inputs, Key, ListVariable, MapVariable, TextVariable, Visit};
use tollgate_message::{BodyLength, Known, Version};

use crate::{Asked, Caller, Claims};

/// A request and its caller, for expressions.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The request.
    pub asked: &'a Asked<'a>,
    /// Who sends it, as far as that is known.
    pub caller: &'a Caller,
}

impl Told<'_> {
    /// Parameters of the query, decoded.
    fn query(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
        let pairs = self.asked.query.unwrap_or_default().split(|byte| *byte == b'&');
        pairs.filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = halves(pair);
            (decode(name), decode(value))
        })
    }

    fn cookies(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.asked.fields.all(Known::Cookie);
        let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
        pairs.filter(|pair| pair.contains(&b'=')).map(|pair| {
            let (name, value) = halves(pair);
            let inside = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            (name, inside.unwrap_or(value))
        })
    }

    /// The values of all lines of a field.
    fn header<'s>(&'s self, key: Key<'s>) -> impl Iterator<Item = &'s [u8]> {
        self.asked
            .fields
            .iter()
            .filter(move |(name, _, known)| match key.known {
                Known::Other => name.eq_ignore_ascii_case(key.bytes),
                wanted => *known == wanted,
            })
            .map(|(_, value, _)| value)
    }
}

impl Inputs for Told<'_> {
    fn text(&self, variable: TextVariable) -> Cow<'_, [u8]> {
        let Self { asked, caller } = self;
        let connection = &asked.connection;
        Cow::Borrowed(match variable {
            TextVariable::Method => asked.method_bytes,
            TextVariable::Path => asked.path,
            TextVariable::Host => asked.host,
            TextVariable::Scheme => asked.scheme().as_bytes(),
            TextVariable::Protocol => match connection.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
                Version::Http2 => b"HTTP/2",
                Version::Http3 => b"HTTP/3",
            },
            TextVariable::Id => asked.request_id,
            TextVariable::Listener => connection.listener.as_bytes(),
            TextVariable::Route => asked.route.as_bytes(),
            TextVariable::ServerName => connection.server_name.unwrap_or_default().as_bytes(),
            TextVariable::Consumer => caller.name().as_bytes(),
            TextVariable::Auth => caller.auth.as_bytes(),
        })
    }

    fn entry(&self, map: MapVariable, key: Key<'_>) -> Option<Cow<'_, [u8]>> {
        match map {
            MapVariable::Headers => {
                let mut lines = self.asked.fields.iter().filter(|(name, _, known)| match key.known {
                    Known::Other => name.eq_ignore_ascii_case(key.bytes),
                    wanted => *known == wanted,
                });
                let (_, first, _) = lines.next()?;
                let mut value = Cow::Borrowed(first);
                lines.for_each(|(_, line, _)| join(value.to_mut(), line));
                Some(value)
            }
            MapVariable::Query => self.query().find(|(name, _)| **name == *key.bytes).map(|(_, value)| value),
            MapVariable::Cookies => {
                self.cookies().find(|(name, _)| *name == key.bytes).map(|(_, value)| Cow::Borrowed(value))
            }
            MapVariable::Labels => {
                let labels = &self.caller.consumer.as_ref()?.labels;
                let found = labels.iter().find(|(name, _)| name.as_bytes() == key.bytes);
                found.map(|(_, value)| Cow::Borrowed(value.as_bytes()))
            }
        }
    }

    fn entries<'a>(
        &'a self,
        map: MapVariable,
        visit: &mut dyn FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>) -> Visit,
    ) -> Visit {
        match map {
            MapVariable::Headers => {
                for (at, (name, ..)) in self.asked.fields.iter().enumerate() {
                    let before = self.asked.fields.iter().take(at);
                    if before.into_iter().any(|(earlier, ..)| earlier.eq_ignore_ascii_case(name)) {
                        continue;
                    }
                    let key = Key { bytes: name, known: Known::Other };
                    let mut lines = self.header(key);
                    let mut value = lines.next().map(Cow::Borrowed).unwrap_or_default();
                    lines.for_each(|line| join(value.to_mut(), line));
                    visit(Cow::Owned(name.to_ascii_lowercase()), value)?;
                }
                ControlFlow::Continue(())
            }
            MapVariable::Query => each_once(self.query(), visit),
            MapVariable::Cookies => {
                each_once(self.cookies().map(|(name, value)| (name.into(), value.into())), visit)
            }
            MapVariable::Labels => {
                let labels = self.caller.consumer.iter().flat_map(|consumer| &consumer.labels);
                let mut pairs = labels.map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
                pairs.try_for_each(|(name, value)| visit(name, value))
            }
        }
    }

    fn items<'a>(&'a self, list: ListVariable, visit: &mut dyn FnMut(Cow<'a, [u8]>) -> Visit) -> Visit {
        match list {
            ListVariable::Segments => {
                let path = self.asked.path.strip_prefix(b"/").unwrap_or(self.asked.path);
                let mut segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
                segments.try_for_each(|segment| visit(segment.into()))
            }
            ListVariable::Groups => {
                self.caller.groups().iter().try_for_each(|group| visit(group.as_bytes().into()))
            }
            ListVariable::Scopes => self.caller.scopes().try_for_each(|scope| visit(scope.as_bytes().into())),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        Some(self.asked.connection.client.to_canonical())
    }

    fn size(&self) -> i64 {
        match self.asked.body {
            BodyLength::None => 0,
            BodyLength::Known(length) => i64::try_from(length).unwrap_or(i64::MAX),
            BodyLength::Chunked | BodyLength::UntilClose => -1,
        }
    }

    fn tls(&self) -> bool {
        self.asked.connection.tls
    }

    fn claims(&self) -> Option<&Claims> {
        self.caller.claims.as_deref()
    }

    fn now(&self) -> i64 {
        i64::try_from(self.asked.moment.wall_us).unwrap_or(i64::MAX)
    }
}

/// Visits the first pair of each name.
fn each_once<'a>(
    pairs: impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)>,
    visit: &mut dyn FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>) -> Visit,
) -> Visit {
    let mut seen = std::collections::HashSet::new();
    for (name, value) in pairs {
        if seen.insert(name.clone()) {
            visit(name, value)?;
        }
    }
    ControlFlow::Continue(())
}

fn join(value: &mut Vec<u8>, line: &[u8]) {
    value.extend_from_slice(b", ");
    value.extend_from_slice(line);
}

/// What stands before and behind the first `=`; all of it is the name where there is none.
fn halves(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

/// A part of a query, decoded: `%xx` is a byte, `+` a space; a `%` without two digits stands for itself.
fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(encoded);
    }
    Cow::Owned(tollgate_message::form::decode(encoded).collect())
}

#[cfg(test)]
mod tests {
    use tollgate_expression::{Expression, Wanted};
    use tollgate_message::{BodyLength, Field, FieldList, Fields, Known, Method, Span};

    use super::Told;
    use crate::{Asked, Caller, Connection, Consumer, Consumers, Mode, Moment};

    /// Fields of a head of the lines `name: value`.
    fn fields(text: &str) -> FieldList {
        let mut list = FieldList::default();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let (name, value) = line.trim_end().split_once(": ").unwrap();
            list.push(Field {
                name: Span::new(at, at + name.len()),
                value: Span::new(at + name.len() + 2, at + name.len() + 2 + value.len()),
                known: Known::from_name(name.as_bytes()),
            });
            at += line.len();
        }
        list
    }

    #[test]
    fn expressions_read_the_request_and_its_caller() {
        let text = "X-Tenant: a\nx-tenant: b\nCookie: s=\"1\"; t=2; s=3\n";
        let (list, consumers) = (fields(text), Consumers::default());
        let address = "::ffff:192.0.2.7".parse().unwrap();
        let asked = Asked {
            method: Method::Post,
            method_bytes: b"POST",
            fields: Fields::new(text.as_bytes(), &list),
            host: b"a.example",
            authority: b"a.example:80",
            path: b"/v1/orders",
            query: Some(b"q=a%20b+c&q=2&empty"),
            body: BodyLength::Known(7),
            connection: Connection {
                listener: "web",
                client: address,
                peer: address,
                version: tollgate_message::Version::Http2,
                tls: true,
                server_name: None,
                certificate: None,
            },
            route: "r",
            request_id: b"id",
            moment: Moment { wall_us: 1_000_000, ..Moment::default() },
            consumers: &consumers,
            mode: Mode::Serve,
        };
        let consumer = Consumer {
            name: "alice".into(),
            groups: ["gold".into()].into(),
            labels: [("team".into(), "red".into())].into(),
        };
        let claims = serde_json::json!({ "scope": "read write", "n": 3 });
        let caller = Caller {
            consumer: Some(std::sync::Arc::new(consumer)),
            claims: claims.as_object().cloned().map(std::sync::Arc::new),
            ..Caller::default()
        };
        for rule in [
            "method == 'POST' && path.startsWith('/v1/') && segments[1] == 'orders'",
            "headers['x-tenant'] == 'a, b' && cookies.s == '1' && cookies['t'] == '2'",
            "query.q == 'a b c' && query['empty'] == '' && !('none' in query)",
            "query.all(k, k != '') && headers.exists(k, k == 'cookie')",
            "scheme == 'https' && tls && protocol == 'HTTP/2' && size == 7",
            "in_network(address, '192.0.2.0/24')",
            "consumer == 'alice' && 'gold' in groups && labels.team == 'red'",
            "'write' in scopes && claims.n == 3",
            "now == timestamp('1970-01-01T00:00:01Z')",
        ] {
            let expression =
                Expression::compile(rule, Wanted::Bool).unwrap_or_else(|e| panic!("{rule}: {e:?}"));
            let told = Told { asked: &asked, caller: &caller };
            assert_eq!(expression.test(&told), Ok(true), "{rule}");
        }
    }
}
