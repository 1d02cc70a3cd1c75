//! Media types and ranges of them (RFC 9110 sections 8.3.1 and 12.5.1).

use crate::unusable::is_token;

/// A range of media types: `application/json`, `image/*`, `*/*`, `application/*+json`. In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaRange {
    /// `None` for all.
    kind: Option<Box<[u8]>>,
    subtype: Subtype,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtype {
    Any,
    Is(Box<[u8]>),
    /// With this suffix, its `+` in front (RFC 6838 section 4.2.8).
    EndsWith(Box<[u8]>),
}

impl MediaRange {
    /// The range of this text, which has no parameters.
    pub(super) fn new(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let (kind, subtype) = halves(lower.as_bytes())?;
        let has_star = |part: &[u8]| part.contains(&b'*');
        let subtype = match subtype {
            b"*" => Subtype::Any,
            [b'*', suffix @ ..] if suffix.len() > 1 && suffix[0] == b'+' && !has_star(suffix) => {
                Subtype::EndsWith(suffix.into())
            }
            subtype if !has_star(subtype) => Subtype::Is(subtype.into()),
            _ => return None,
        };
        match kind {
            b"*" => (subtype == Subtype::Any).then_some(Self { kind: None, subtype }),
            kind if has_star(kind) => None,
            kind => Some(Self { kind: Some(kind.into()), subtype }),
        }
    }

    /// Whether the media type of this `Content-Type` is in the range. What is not a media type is in none.
    pub(super) fn holds(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
        let Some((kind, subtype)) = halves(content_type[..end].trim_ascii_end()) else { return false };
        let kind_fits = self.kind.as_ref().is_none_or(|known| known.eq_ignore_ascii_case(kind));
        kind_fits
            && match &self.subtype {
                Subtype::Any => true,
                Subtype::Is(known) => known.eq_ignore_ascii_case(subtype),
                Subtype::EndsWith(suffix) => {
                    let before = subtype.len().checked_sub(suffix.len()).filter(|before| *before > 0);
                    before.is_some_and(|before| subtype[before..].eq_ignore_ascii_case(suffix))
                }
            }
    }
}

fn halves(media_type: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = media_type.iter().position(|byte| *byte == b'/')?;
    let (kind, subtype) = (&media_type[..at], &media_type[at + 1..]);
    (is_token(kind) && is_token(subtype)).then_some((kind, subtype))
}

#[cfg(test)]
mod tests {
    use super::MediaRange;

    #[test]
    fn ranges_hold_types_without_their_parameters_and_their_case() {
        let holds =
            |range: &str, media_type: &str| MediaRange::new(range).unwrap().holds(media_type.as_bytes());
        for (range, media_type) in [
            ("application/json", "Application/JSON"),
            ("Application/JSON", "application/json;charset=utf-8"),
            ("application/json", "application/json \t; charset=utf-8"),
            ("image/*", "image/svg+xml"),
            ("*/*", "text/plain"),
            ("application/*+json", "application/problem+JSON"),
            ("application/vnd.a+json", "application/vnd.a+json"),
        ] {
            assert!(holds(range, media_type), "{range} {media_type}");
        }
        for (range, media_type) in [
            ("application/json", "application/json5"),
            ("application/json", "application/jso"),
            ("application/json", "text/json"),
            ("application/json", "application/json, text/html"),
            ("application/json", "application/json text/html"),
            ("application/json", " application /json"),
            ("application/json", "json"),
            ("application/json", ""),
            ("image/*", "images/png"),
            ("image/*", "image/"),
            ("*/*", "text"),
            ("*/*", "text/a/b"),
            ("application/*+json", "application/json"),
            ("application/*+json", "application/+json"),
            ("application/*+json", "application/a+json5"),
            ("application/*+json", "text/a+json"),
        ] {
            assert!(!holds(range, media_type), "{range} {media_type}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "json", "/json", "a/", "*", "*/json", "a*/b", "a/b*", "a/*b", "a/*+", "a/*+*", "a/b;q=1"]
        {
            assert_eq!(MediaRange::new(text), None, "{text}");
        }
    }
}
