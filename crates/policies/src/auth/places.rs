//! Where a request shows a key or a token.

use std::borrow::Cow;

use tollgate_message::Known;
use tollgate_policy::{Asked, Gate};

/// Where a request may show a key or a token: a header, a query parameter, a cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    header: Option<Header>,
    query: Option<Box<str>>,
    cookie: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    /// `Authorization`, behind `Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// The whole value of this field.
    Field(Box<str>),
}

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    Nothing,
    One(Cow<'a, [u8]>),
    /// More than one, and it is not to be told which of them counts. Told to the operator.
    Unclear(&'static str),
}

impl<'a> Shown<'a> {
    /// What this and another place show together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, shown) | (shown, Self::Nothing) => shown,
            (unclear @ Self::Unclear(_), _) | (_, unclear @ Self::Unclear(_)) => unclear,
            (Self::One(one), Self::One(other)) if one == other => Self::One(one),
            _ => Self::Unclear("the request shows two that differ"),
        }
    }

    fn has_something(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(value) => !value.is_empty(),
            Self::Unclear(_) => true,
        }
    }
}

impl Places {
    /// These places. The header `Authorization` has what is looked for behind `Bearer`, any other header as its value.
    pub fn new(header: Option<&str>, query: Option<&str>, cookie: Option<&str>) -> Self {
        let header = header.map(|name| match name {
            name if name.eq_ignore_ascii_case("authorization") => Header::Bearer,
            name => Header::Field(name.into()),
        });
        Self { header, query: query.map(Into::into), cookie: cookie.map(Into::into) }
    }

    /// `Authorization: Bearer …` and nowhere else.
    pub fn bearer() -> Self {
        Self::new(Some("authorization"), None, None)
    }

    /// Whether `Authorization: Bearer …` is one of them.
    pub(crate) fn has_bearer(&self) -> bool {
        self.header == Some(Header::Bearer)
    }

    /// What all places show together.
    pub(crate) fn only<'a>(&self, asked: &Asked<'a>) -> Shown<'a> {
        self.in_header(asked).and(self.in_query(asked)).and(self.in_cookie(asked))
    }

    /// What the first place shows that holds something: header, query, cookie.
    pub(crate) fn first<'a>(&self, asked: &Asked<'a>) -> Shown<'a> {
        let in_header = self.in_header(asked);
        if in_header != Shown::Nothing {
            return in_header;
        }
        [Self::in_query, Self::in_cookie]
            .iter()
            .map(|place| place(self, asked))
            .find(Shown::has_something)
            .unwrap_or(Shown::Nothing)
    }

    /// A field that stands there twice is unclear even if both are the same: it is never sent so, and who reads it behind
    /// us may join them.
    fn in_header<'a>(&self, asked: &Asked<'a>) -> Shown<'a> {
        let value = match &self.header {
            None => return Shown::Nothing,
            Some(Header::Bearer) => match authorization(asked) {
                Ok(value) => value.and_then(|value| credentials(value, b"bearer")),
                Err(why) => return Shown::Unclear(why),
            },
            Some(Header::Field(name)) => {
                let is_named = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
                let mut values = asked.fields.iter().filter(|(found, _, _)| is_named(found));
                let first = values.next().map(|(_, value, _)| value);
                if values.next().is_some() {
                    return Shown::Unclear("the field stands there twice");
                }
                first
            }
        };
        value.map_or(Shown::Nothing, |value| Shown::One(value.into()))
    }

    fn in_query<'a>(&self, asked: &Asked<'a>) -> Shown<'a> {
        let (Some(name), Some(query)) = (&self.query, asked.query) else { return Shown::Nothing };
        let pairs = query.split(|byte| *byte == b'&').filter(|pair| is_parameter(pair, name));
        pairs.fold(Shown::Nothing, |before, pair| {
            let value = split(pair, b'=').1.unwrap_or_default();
            before.and(Shown::One(decode(value)))
        })
    }

    fn in_cookie<'a>(&self, asked: &Asked<'a>) -> Shown<'a> {
        let Some(name) = &self.cookie else { return Shown::Nothing };
        cookies(asked).filter(|pair| is_cookie(pair, name)).fold(Shown::Nothing, |before, pair| {
            let value = split(pair, b'=').1.unwrap_or_default().trim_ascii();
            let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            before.and(Shown::One(bare.unwrap_or(value).into()))
        })
    }

    /// Keeps all of it from the origin.
    pub(crate) fn take_away(&self, asked: &Asked<'_>, gate: &mut Gate) {
        match &self.header {
            None => {}
            Some(Header::Bearer) => gate.request.remove("authorization"),
            Some(Header::Field(name)) => gate.request.remove(name),
        }
        if let Some(name) = &self.query {
            cut_parameter(asked, gate, name);
        }
        if let Some(name) = &self.cookie {
            cut_cookie(asked, gate, name);
        }
    }
}

/// The one field `Authorization`.
///
/// # Errors
/// There are two: what one of us takes, another might not.
pub(crate) fn authorization<'a>(asked: &Asked<'a>) -> Result<Option<&'a [u8]>, &'static str> {
    let mut values = asked.fields.all(Known::Authorization);
    let first = values.next();
    if values.next().is_some() { Err("there are two fields Authorization") } else { Ok(first) }
}

/// What stands behind a scheme (RFC 9110 section 11.4), given in lower case. Empty where only the scheme is there.
pub(crate) fn credentials<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = split(value, b' ');
    found.eq_ignore_ascii_case(scheme).then(|| rest.unwrap_or_default().trim_ascii())
}

/// Keeps a query parameter from the origin, however it is spelled.
fn cut_parameter(asked: &Asked<'_>, gate: &mut Gate, name: &str) {
    let now = gate.query.as_deref().or(asked.query).unwrap_or_default();
    let is_other = |pair: &&[u8]| !is_parameter(pair, name);
    if now.split(|byte| *byte == b'&').all(|pair| is_other(&pair)) {
        return;
    }
    let rest: Vec<_> = now.split(|byte| *byte == b'&').filter(is_other).collect();
    gate.query = Some(rest.join(&b'&'));
}

/// Keeps a cookie from the origin, and leaves it the others. If another method has taken one away already, the
/// field is as that one left it.
fn cut_cookie(asked: &Asked<'_>, gate: &mut Gate, name: &str) {
    if gate.request.replaces("cookie") || !cookies(asked).any(|pair| is_cookie(pair, name)) {
        return;
    }
    let rest: Vec<_> = cookies(asked).filter(|pair| !pair.is_empty() && !is_cookie(pair, name)).collect();
    match rest.is_empty() {
        true => gate.request.remove("cookie"),
        false => gate.request.set_bytes("Cookie", &rest.join(&b"; "[..])),
    }
}

/// All pairs of name and value, without blanks around them.
fn cookies<'a>(asked: &Asked<'a>) -> impl Iterator<Item = &'a [u8]> {
    let lines = asked.fields.all(Known::Cookie);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

fn is_cookie(pair: &[u8], name: &str) -> bool {
    matches!(split(pair, b'='), (found, Some(_)) if found.trim_ascii() == name.as_bytes())
}

fn is_parameter(pair: &[u8], name: &str) -> bool {
    decoded(split(pair, b'=').0).eq(name.bytes())
}

fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// Without percent signs. A `+` stays one: no key or token has a blank.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'%') { decoded(text).collect::<Vec<_>>().into() } else { text.into() }
}

fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = after;
            return Some(high << 4 | low);
        }
        rest = after;
        Some(*first)
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests;
