//! What HTTP allows in methods, field names, field values and statuses.

use std::fmt;
use std::str::FromStr;

use crate::section::words;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;

words! {
    /// The scheme of a URL.
    pub enum Scheme {
        /// Plain HTTP.
        Http = "http";
        /// HTTP over TLS.
        Https = "https";
    }
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

macro_rules! token {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

token! {
    /// A request method (RFC 9110 section 9.1), case as written.
    MethodName
}

impl MethodName {
    /// `GET`.
    pub(crate) fn get() -> Self {
        Self("GET".into())
    }

    /// Methods without need of a preflight (Fetch Standard, "CORS-safelisted method").
    pub(crate) fn simple() -> Vec<crate::Located<Self>> {
        ["GET", "HEAD", "POST"].map(|name| crate::Located::nowhere(Self(name.into()))).into()
    }
}

impl FromStr for MethodName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const COMMON: [&str; 9] =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
        let upper = text.to_ascii_uppercase();
        if upper != text && COMMON.contains(&&*upper) {
            let message = format!("the method `{text}` is not `{upper}`: methods have a case");
            return Err(ValueError::mend(message, format!("write `{upper}`")));
        }
        match is_token(text) && text.len() <= 64 {
            true => Ok(Self(text.into())),
            false => Err(ValueError::mend(format!("`{text}` is not a method"), "write one like `GET`")),
        }
    }
}

text_setting!(MethodName, "a method", Shape::pattern("method", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"));

token! {
    /// The name of a header field (RFC 9110 section 5.1), case as written; compare without case.
    HeaderName
}

impl FromStr for HeaderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mend = match text.trim_end_matches(':').trim() {
            trimmed if trimmed != text && is_token(trimmed) => format!("write `{trimmed}`"),
            _ if text.contains(' ') => "header names have no spaces".to_owned(),
            _ => "use letters, digits and `-`".to_owned(),
        };
        match is_token(text) && text.len() <= 256 {
            true => Ok(Self(text.into())),
            false => Err(ValueError::mend(format!("`{text}` is not a header name"), mend)),
        }
    }
}

impl HeaderName {
    /// A name of the code's own choosing.
    pub(crate) fn of(name: &str) -> Self {
        Self(name.into())
    }
}

impl Named for HeaderName {
    const WORD: &'static str = "header";
}

text_setting!(
    HeaderName,
    "a header name",
    Shape::pattern("header name", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$")
);

token! {
    /// The value of a header field (RFC 9110 section 5.5): no control characters but tab, no space at the ends.
    FieldValue
}

impl FieldValue {
    /// A value of the code's own choosing.
    pub(crate) fn of(value: &str) -> Self {
        Self(value.into())
    }
}

impl FromStr for FieldValue {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(wrong) = text.bytes().find(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            let name = match wrong {
                b'\n' | b'\r' => "a line end".to_owned(),
                _ => format!("the control character 0x{wrong:02x}"),
            };
            return Err(ValueError::mend(format!("a header value cannot hold {name}"), "remove it"));
        }
        if text.len() > 8192 {
            return Err(ValueError::new("a header value has at most 8192 bytes here"));
        }
        if text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']) {
            return Err(ValueError::mend("a header value has no spaces at its ends", "remove them"));
        }
        Ok(Self(text.into()))
    }
}

text_setting!(FieldValue, "a header value", Shape::text("header value"));

token! {
    /// The name of a cookie (RFC 6265 section 4.1.1).
    CookieName
}

impl CookieName {
    /// The one of Tollgate's own sessions.
    pub(crate) fn session() -> Self {
        Self("tollgate".into())
    }

    /// The one that keeps sessions at their endpoints.
    pub(crate) fn sticky() -> Self {
        Self("tollgate-session".into())
    }
}

impl FromStr for CookieName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match is_token(text) && text.len() <= 256 {
            true => Ok(Self(text.into())),
            false => {
                let message = format!("`{}` is not the name of a cookie", text.escape_debug());
                Err(ValueError::mend(message, "use letters, digits, `-` and `_`"))
            }
        }
    }
}

text_setting!(
    CookieName,
    "the name of a cookie",
    Shape::pattern("cookie name", r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$")
);

/// A status or a range of statuses: `204`, `200-399`, `5xx`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// Whether the status is in the range.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }

    /// The lowest status of the range.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest status of the range.
    pub fn last(self) -> u16 {
        self.last
    }

    /// All statuses from the one to the other.
    pub(crate) const fn from(first: u16, last: u16) -> Self {
        Self { first, last }
    }
}

impl FromStr for StatusRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let class = match text.strip_suffix("xx").map(str::as_bytes) {
            Some([class @ b'1'..=b'5']) => u16::from(class - b'0') * 100,
            _ => 0,
        };
        if class > 0 {
            return Ok(Self { first: class, last: class + 99 });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| match text.parse::<u16>() {
            Ok(status) if (100..=599).contains(&status) && text.len() == 3 => Some(status),
            _ => None,
        };
        match (status(first.trim()), status(last.trim())) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            (Some(first), Some(last)) => Err(ValueError::mend(
                format!("the range `{text}` is empty"),
                format!("write `{last}-{first}`"),
            )),
            _ => {
                let message = format!("`{text}` is not a status or a range of them");
                Err(ValueError::mend(message, "write it like `204`, `200-399` or `5xx`, from 100 to 599"))
            }
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl fmt::Debug for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    StatusRange,
    "a status or a range of statuses",
    Shape::Text(crate::shape::Text {
        word: "status range",
        pattern: Some(r"^([1-5]xx|[1-5][0-9]{2}(\s*-\s*[1-5][0-9]{2})?)$"),
        or_number: true,
    })
);

#[cfg(test)]
mod tests {
    use super::{FieldValue, HeaderName, MethodName, StatusRange};

    #[test]
    fn methods_have_a_case() {
        assert!("PURGE".parse::<MethodName>().is_ok());
        assert!("purge".parse::<MethodName>().is_ok());
        let error = "get".parse::<MethodName>().unwrap_err();
        assert_eq!(error.mend.as_deref(), Some("write `GET`"));
        for text in ["", "GET ", "GE T", "GET\r\n", "GÉT"] {
            assert!(text.parse::<MethodName>().is_err(), "{text}");
        }
    }

    #[test]
    fn header_names_and_values_cannot_split_a_head() {
        for text in ["X-A", "x_a", "!"] {
            assert!(text.parse::<HeaderName>().is_ok(), "{text}");
        }
        for text in ["", "X-A:", "X A", "X-A\r\nB", "é"] {
            assert!(text.parse::<HeaderName>().is_err(), "{text}");
        }
        for text in ["", "a b", "a\tb", "é", "a: b"] {
            assert!(text.parse::<FieldValue>().is_ok(), "{text}");
        }
        for text in ["a\r\nX: y", "a\n", "a\0", " a", "a ", "\u{7f}"] {
            assert!(text.parse::<FieldValue>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn statuses_and_ranges_of_them() {
        let range: StatusRange = "200-399".parse().unwrap();
        assert!(range.contains(200) && range.contains(399) && !range.contains(199) && !range.contains(400));
        assert!("204".parse::<StatusRange>().unwrap().contains(204));
        assert_eq!("5xx".parse::<StatusRange>(), "500-599".parse());
        for (text, part) in [
            ("6xx", "from 100 to 599"),
            ("2x", "from 100 to 599"),
            ("xx", "from 100 to 599"),
            ("399-200", "write `200-399`"),
            ("99", "from 100 to 599"),
            ("200-600", "from 100 to 599"),
            ("+20", "from 100 to 599"),
            ("", "from 100 to 599"),
        ] {
            let error = text.parse::<StatusRange>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
