//! What the request of a probe says, and which answers pass.

use std::fmt;
use std::ops::RangeInclusive;

use super::ExpectedBody;

/// What the request says, and which answers pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbeSettings {
    /// The method.
    pub method: String,
    /// Path and query, from the slash on.
    pub path: String,
    /// The value of Host; `None` for the endpoint's name.
    pub host: Option<String>,
    /// Further fields.
    pub headers: Vec<(String, String)>,
    /// Statuses that pass.
    pub expected: Vec<RangeInclusive<u16>>,
    /// What the body must hold; `None` for anything.
    pub body: Option<ExpectedBody>,
}

impl Default for HttpProbeSettings {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: Vec::new(),
            expected: vec![RangeInclusive::new(200, 399)],
            body: None,
        }
    }
}

/// A setting that no probe can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpProbeSettingsError {
    /// The method is not a token (RFC 9110 section 5.6.2).
    Method(String),
    /// The path does not begin with a slash, or holds a space, a control character or one beyond ASCII.
    Path(String),
    /// The host is empty or holds a space, a control character or one beyond ASCII.
    Host(String),
    /// The field name is not a token.
    FieldName(String),
    /// The field is one that the probe itself sets, or that would announce a body.
    ReservedField(String),
    /// The value of this field holds a control character.
    FieldValue(String),
    /// No status is expected.
    NothingExpected,
    /// A body is expected in the answer to HEAD, which has none.
    BodyOfHead,
    /// The range is empty or holds no final status (200 to 599).
    Range(RangeInclusive<u16>),
}

impl fmt::Display for HttpProbeSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "{method:?} is not a method"),
            Self::Path(path) => {
                write!(f, "{path:?} is not a path: it must begin with / and hold visible ASCII only")
            }
            Self::Host(host) => write!(f, "{host:?} is not a host"),
            Self::FieldName(name) => write!(f, "{name:?} is not a field name"),
            Self::ReservedField(name) => write!(f, "the field {name:?} cannot be set for a probe"),
            Self::FieldValue(name) => write!(f, "the value of the field {name:?} holds a control character"),
            Self::NothingExpected => f.write_str("no status is expected, so the probe could never pass"),
            Self::BodyOfHead => f.write_str("the answer to HEAD has no body, so the probe could never pass"),
            Self::Range(range) => {
                write!(f, "{}-{} is not a range of statuses from 200 to 599", range.start(), range.end())
            }
        }
    }
}

impl std::error::Error for HttpProbeSettingsError {}

impl HttpProbeSettings {
    /// The first setting that no probe can be made of.
    pub(super) fn check(&self) -> Result<(), HttpProbeSettingsError> {
        use HttpProbeSettingsError as Error;
        if !is_token(&self.method) {
            return Err(Error::Method(self.method.clone()));
        }
        if !self.path.starts_with('/') || !is_visible(&self.path) || self.path.contains('#') {
            return Err(Error::Path(self.path.clone()));
        }
        if let Some(host) = self.host.as_ref().filter(|host| !is_visible(host)) {
            return Err(Error::Host(host.clone()));
        }
        for (name, value) in &self.headers {
            check_field(name, value)?;
        }
        if self.body.is_some() && self.method == "HEAD" {
            return Err(Error::BodyOfHead);
        }
        if self.expected.is_empty() {
            return Err(Error::NothingExpected);
        }
        let is_final =
            |range: &RangeInclusive<u16>| !range.is_empty() && *range.start() >= 200 && *range.end() <= 599;
        match self.expected.iter().find(|range| !is_final(range)) {
            Some(range) => Err(Error::Range(range.clone())),
            None => Ok(()),
        }
    }
}

fn check_field(name: &str, value: &str) -> Result<(), HttpProbeSettingsError> {
    const RESERVED: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
    if !is_token(name) {
        return Err(HttpProbeSettingsError::FieldName(name.into()));
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(HttpProbeSettingsError::ReservedField(name.into()));
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(HttpProbeSettingsError::FieldValue(name.into()));
    }
    Ok(())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Ranges as people write them: "200-299, 304".
pub(super) fn ranges_as_text(ranges: &[RangeInclusive<u16>]) -> String {
    let text = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{HttpProbeSettings, HttpProbeSettingsError as Error, ranges_as_text};

    fn checked(change: impl FnOnce(&mut HttpProbeSettings)) -> Result<(), Error> {
        let mut settings = HttpProbeSettings::default();
        change(&mut settings);
        settings.check()
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is a case")]
    fn what_would_break_the_request_or_never_pass_is_refused() {
        assert_eq!(checked(|_| ()), Ok(()));
        assert_eq!(checked(|s| s.method = "G T".into()), Err(Error::Method("G T".into())));
        for path in ["", "health", "/a b", "/a\r\nx: y", "/ä", "/a#b"] {
            assert_eq!(checked(|s| s.path = path.into()), Err(Error::Path(path.into())));
        }
        assert_eq!(checked(|s| s.host = Some("a\r\n".into())), Err(Error::Host("a\r\n".into())));
        assert_eq!(checked(|s| s.host = Some(String::new())), Err(Error::Host(String::new())));
        let field = |name: &str, value: &str| checked(|s| s.headers = vec![(name.into(), value.into())]);
        assert_eq!(field("x-team", "blue"), Ok(()));
        assert_eq!(field("x team", "blue"), Err(Error::FieldName("x team".into())));
        assert_eq!(field("x", "a\r\nb: c"), Err(Error::FieldValue("x".into())));
        assert_eq!(field("Content-Length", "3"), Err(Error::ReservedField("Content-Length".into())));
        assert_eq!(checked(|s| s.expected.clear()), Err(Error::NothingExpected));
        let head = |s: &mut HttpProbeSettings| {
            s.method = "HEAD".into();
            s.body = Some(crate::probes::ExpectedBody::text("ok"));
        };
        assert_eq!(checked(head), Err(Error::BodyOfHead));
        for range in [300..=200, 100..=204, 200..=600] {
            assert_eq!(checked(|s| s.expected = vec![range.clone()]), Err(Error::Range(range.clone())));
        }
    }

    #[test]
    fn ranges_read_as_people_write_them() {
        assert_eq!(ranges_as_text(&[200..=299, 304..=304]), "200-299, 304");
    }
}
