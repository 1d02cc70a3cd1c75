//! Comparing bodies.

use crate::path::Path;
use crate::{Answer, BodyRule, Comparison, Difference, Place, Rules, fields, json, shown};

/// How many bytes before the first difference are shown.
const BEFORE: usize = 16;

/// Compares two bodies.
pub(crate) fn compare(rules: &Rules, first: &Answer<'_>, second: &Answer<'_>, found: &mut Comparison) {
    if rules.body == BodyRule::None {
        return;
    }
    let (Some(one), Some(other)) = (first.body, second.body) else {
        found.note = Some("a body was too large to be kept, so bodies were not compared");
        return;
    };
    if one == other {
        return;
    }
    let codings = (coding(first), coding(second));
    if codings.0 != codings.1 {
        found.note = Some("the bodies have different content codings, so they were not compared");
        return;
    }
    if codings.0.is_some() {
        found.note = Some("the bodies are compressed, so they were compared as bytes");
    } else if rules.body == BodyRule::Json {
        match (json::parse(one), json::parse(other)) {
            (Some(one), Some(other)) => return json::compare(rules, &one, &other, found),
            (None, None) => {}
            (one_is, _) => {
                found.note = Some(match one_is {
                    Some(_) => "the mirror's body is not JSON",
                    None => "the origin's body is not JSON, and the mirror's is",
                });
            }
        }
    }
    bytes(one, other, found);
}

/// The content coding, but `identity`, which is none.
fn coding<'a>(answer: &Answer<'a>) -> Option<&'a [u8]> {
    let value = fields::value(answer.head, "content-encoding")?;
    (!value.is_empty() && !value.eq_ignore_ascii_case(b"identity")).then_some(value)
}

/// Where the first byte differs, and what stands around it.
fn bytes(one: &[u8], other: &[u8], found: &mut Comparison) {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let from = at.saturating_sub(BEFORE);
    let around = |body: &[u8]| {
        let part = shown(&body[from.min(body.len())..]);
        Some(format!("{} bytes, from {from}: {part}", body.len()))
    };
    found.add(|| {
        let path = Path::default().to_string();
        let place = Place::Body { pattern: path.clone(), path };
        Difference { place, first: around(one), second: around(other) }
    });
}
