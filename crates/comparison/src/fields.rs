//! Comparing header fields.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::{Answer, Comparison, Difference, Headers, Place, Rules, shown};

/// Fields of the connection (RFC 9110 section 7.6.1), and those that are other in each response.
const NOISE: &[&str] = &[
    "age",
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "server-timing",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];

/// The values of each field, by its name in lower case.
type Values<'a> = BTreeMap<String, Vec<Cow<'a, [u8]>>>;

/// Compares the fields of two heads, trailers included.
pub(crate) fn compare(rules: &Rules, first: &Answer<'_>, second: &Answer<'_>, found: &mut Comparison) {
    if rules.headers == Headers::None {
        return;
    }
    let (first, second) = (collect(rules, first), collect(rules, second));
    let only_second = second.keys().filter(|name| !first.contains_key(*name));
    for name in first.keys().chain(only_second) {
        let (one, other) = (first.get(name), second.get(name));
        if one != other {
            // Of cookies only the names are there, unless the rules name their field.
            let hides = is_secret(name) || name == "set-cookie" && rules.headers != Headers::All;
            let value = |values: Option<&Vec<Cow<'_, [u8]>>>| {
                let text = |values: &Vec<_>| match hides {
                    true => "(hidden)".to_owned(),
                    false => shown(&values.join(&b", "[..])),
                };
                values.map(text)
            };
            found.add(|| Difference {
                place: Place::Header(name.clone()),
                first: value(one),
                second: value(other),
            });
        }
    }
}

fn collect<'a>(rules: &Rules, answer: &Answer<'a>) -> Values<'a> {
    let mut values = Values::new();
    for (name, value) in lines(answer.head).chain(lines(answer.trailers)) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !counts(rules, &name) {
            continue;
        }
        let value = match name.as_str() {
            // Who is told apart by a cookie gets another value each time.
            "set-cookie" if rules.headers == Headers::All => cookie_name(value),
            _ => value,
        };
        values.entry(name).or_default().push(Cow::Borrowed(value));
    }
    values
}

fn counts(rules: &Rules, name: &str) -> bool {
    let is_one_of = |names: &[String]| names.iter().any(|known| known == name);
    let wanted = match &rules.headers {
        Headers::None => false,
        Headers::Named(names) => is_one_of(names),
        Headers::All => NOISE.binary_search(&name).is_err(),
    };
    wanted && !is_one_of(&rules.ignored_headers)
}

/// Whether a field's values are not shown, by its name.
fn is_secret(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie")
        || ["-token", "-key", "-secret", "-password"].iter().any(|end| name.ends_with(end))
}

fn cookie_name(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// The name and value of each field line.
fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':').filter(|at| *at > 0)?;
        Some((&line[..at], line[at + 1..].trim_ascii()))
    })
}

/// The value of the first field of this name, which is in lower case.
pub(crate) fn value<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(head).find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn noise_is_sorted() {
        assert!(super::NOISE.is_sorted());
    }
}
