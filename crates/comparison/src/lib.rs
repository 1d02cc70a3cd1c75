//! Comparing two responses to the same request: what differs, and where, without what differs always.
//!
//! Pure functions of the two responses and the [`Rules`]. The work is bounded by the size of what is compared: bodies
//! of JSON that is nested deeper than 128 levels are compared as bytes, differences beyond the wanted number are
//! counted and not kept, and what is kept of values and paths is short.

mod body;
mod fields;
mod json;
mod path;
#[cfg(test)]
mod tests;

use std::fmt;

pub use path::PathPattern;

/// How many characters of a value are shown.
const VALUE_CHARS: usize = 80;
/// How many characters of a path are shown.
const PATH_CHARS: usize = 160;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The status.
    pub status: bool,
    /// Header fields, and trailer fields as if they stood in the head.
    pub headers: Headers,
    /// The body.
    pub body: BodyRule,
    /// Header fields that may differ, in lower case.
    pub ignored_headers: Vec<String>,
    /// Places in a JSON body that may differ, with all below them.
    pub ignored_paths: Vec<PathPattern>,
    /// How many differences are kept; more are counted.
    pub max_differences: usize,
}

/// Which header fields are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// None.
    None,
    /// Those of these names, in lower case.
    Named(Vec<String>),
    /// All but those that differ from one response to the next: of the connection, `Date`, `Server`, `Age`, `Via`,
    /// `X-Request-ID`, `Content-Length`, `Server-Timing`, those of traces. Of `Set-Cookie` only the names of the cookies.
    All,
}

/// How bodies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// Not at all.
    None,
    /// Byte by byte.
    Bytes,
    /// As JSON where both are: the order of members does not matter, and numbers have the same value, not the same
    /// spelling. Else byte by byte.
    Json,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            status: true,
            headers: Headers::Named(vec!["content-type".to_owned()]),
            body: BodyRule::Json,
            ignored_headers: Vec::new(),
            ignored_paths: Vec::new(),
            max_differences: 16,
        }
    }
}

/// A response.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The field lines of its head, each with its line end.
    pub head: &'a [u8],
    /// The field lines of its trailers.
    pub trailers: &'a [u8],
    /// The body; `None` where it was too large to be kept.
    pub body: Option<&'a [u8]>,
}

/// Where two responses differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the status.
    Status,
    /// In the fields of this name.
    Header(String),
    /// In the body at this path, `$` for all of it; and the path with `[*]` for every index, which is the same for
    /// all elements of a list.
    Body {
        /// The path.
        path: String,
        /// For all elements.
        pattern: String,
    },
}

impl Place {
    /// The place with `[*]` for every index: what differs often differs in many elements of a list.
    pub fn general(&self) -> String {
        match self {
            Self::Body { pattern, .. } => pattern.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Body { path, .. } => f.write_str(path),
        }
    }
}

/// One difference. Values are shortened; `None` stands for nothing being there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// What the first response has there.
    pub first: Option<String>,
    /// What the second has.
    pub second: Option<String>,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing that counts differs.
    Same,
    /// The bodies differ, and nothing before them.
    Body,
    /// Header fields differ, and not the status.
    Headers,
    /// The statuses differ.
    Status,
}

impl Verdict {
    /// The word for labels.
    pub fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Body => "body",
            Self::Headers => "headers",
            Self::Status => "status",
        }
    }
}

/// How two responses differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The differences, at most as many as the rules say.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
    /// What could not be compared as wished, and why.
    pub note: Option<&'static str>,
    max: usize,
}

impl Comparison {
    /// What it comes to: the first part that differs.
    pub fn verdict(&self) -> Verdict {
        let of = |difference: &Difference| match difference.place {
            Place::Status => Verdict::Status,
            Place::Header(_) => Verdict::Headers,
            Place::Body { .. } => Verdict::Body,
        };
        self.differences.first().map_or(Verdict::Same, of)
    }

    /// Takes a difference. What is shown of it is made only where it is kept.
    fn add(&mut self, make: impl FnOnce() -> Difference) {
        if self.differences.len() < self.max {
            self.differences.push(make());
        } else {
            self.more += 1;
        }
    }
}

/// Compares two responses.
pub fn compare(rules: &Rules, first: &Answer<'_>, second: &Answer<'_>) -> Comparison {
    let mut found = Comparison { max: rules.max_differences.max(1), ..Comparison::default() };
    if rules.status && first.status != second.status {
        let value = |answer: &Answer<'_>| Some(answer.status.to_string());
        found.add(|| Difference { place: Place::Status, first: value(first), second: value(second) });
    }
    fields::compare(rules, first, second, &mut found);
    body::compare(rules, first, second, &mut found);
    found
}

/// A text of at most so many characters.
fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The start of some bytes as text, control characters escaped.
fn shown(bytes: &[u8]) -> String {
    // Four bytes a character at the most.
    let start = &bytes[..bytes.len().min(VALUE_CHARS * 4 + 4)];
    let text: String = String::from_utf8_lossy(start)
        .chars()
        .flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> =
                if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) };
            escaped
        })
        .collect();
    shortened(&text, VALUE_CHARS)
}
