//! Paths and expressions that routes match by.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;

/// Characters of a path or an expression, at most.
const LONGEST: usize = 4096;

/// A path as a route names it, by the Gateway API's rules: begins with `/`, and holds no `//`, no
/// `.` or `..` element, no `%2f`, `?` or `#`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern(Box<str>);

impl PathPattern {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PathPattern {
    /// A path of the code's own choosing.
    pub(crate) fn of(path: &str) -> Self {
        Self(path.into())
    }
}

impl FromStr for PathPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong =
            |what: &str, mend: String| Err(ValueError::mend(format!("the path `{text}` {what}"), mend));
        if !text.starts_with('/') {
            return wrong("does not begin with `/`", format!("write `/{text}`"));
        }
        if text.len() > LONGEST {
            return Err(ValueError::new(format!("a path has at most {LONGEST} bytes")));
        }
        if let Some(at) = text.find(['?', '#']) {
            let mend = format!("write `{}`; queries are matched by `match: {{ query: … }}`", &text[..at]);
            return wrong("holds more than a path", mend);
        }
        if text.contains("//") {
            return wrong("has an empty element (`//`)", format!("write `{}`", merged(text)));
        }
        if text.split('/').any(|element| element == "." || element == "..") {
            return wrong("has a `.` or `..` element", "write the path that it leads to".to_owned());
        }
        if text.to_ascii_lowercase().contains("%2f") {
            return wrong("has an encoded `/` (`%2f`)", "write the path without it".to_owned());
        }
        if text.contains('*') && (text.ends_with("/*") || text.ends_with("/**")) {
            let mend = format!(
                "write `{}`: a path is a prefix already",
                text.trim_end_matches("/*").trim_end_matches("/**")
            );
            return wrong("ends in a wildcard", mend);
        }
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return wrong("holds a space or control character", "write it as `%20` and so on".to_owned());
        }
        Ok(Self(text.into()))
    }
}

/// The path with one `/` for each run of them.
fn merged(path: &str) -> String {
    let elements: Vec<&str> = path.split('/').filter(|element| !element.is_empty()).collect();
    let end = if path.ends_with('/') && !elements.is_empty() { "/" } else { "" };
    format!("/{}{end}", elements.join("/"))
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(PathPattern, "a path", Shape::pattern("path", r"^/[^?#\s]*$"));

/// A regular expression. Whether it compiles is known only where it is used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Regex(Box<str>);

impl Regex {
    /// The expression as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Regex {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.len() {
            0 => Err(ValueError::new("an empty expression matches everything")),
            1..=LONGEST => Ok(Self(text.into())),
            _ => Err(ValueError::new(format!("an expression has at most {LONGEST} bytes"))),
        }
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(Regex, "a regular expression", Shape::text("regular expression"));

/// The name of a query parameter, matched exactly, after percent-decoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryName(Box<str>);

impl QueryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for QueryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueryName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            Err(ValueError::new("a query parameter needs a name"))
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for QueryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(QueryName, "the name of a query parameter", Shape::text("query parameter"));

impl Named for QueryName {
    const WORD: &'static str = "parameter";
}

#[cfg(test)]
mod tests {
    use super::PathPattern;

    #[test]
    fn paths_follow_the_gateway_api() {
        for text in ["/", "/a", "/a/", "/a.b/..c/...", "/%20", "/é", "/a*b", "/~x;y=1"] {
            assert_eq!(text.parse::<PathPattern>().map(|p| p.to_string()), Ok(text.into()));
        }
        for (text, part) in [
            ("", "begin with `/`"),
            ("shop", "write `/shop`"),
            ("//", "empty element"),
            ("/a//b/", "write `/a/b/`"),
            ("/a/./b", "`.` or `..`"),
            ("/a/..", "`.` or `..`"),
            ("/.", "`.` or `..`"),
            ("/a%2Fb", "%2f"),
            ("/a#b", "write `/a`"),
            ("/a?b=1", "write `/a`"),
            ("/a/*", "write `/a`"),
            ("/a b", "space"),
            ("/a\u{7f}", "control"),
        ] {
            let error = text.parse::<PathPattern>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
