//! What something is called elsewhere.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;
use crate::table::Named;

/// A text of one line, 1 to 256 signs without control characters: an endpoint as the document writes it, or what a
/// group of callers is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let wrong = || ValueError::new("a name is a text of one line with 1 to 256 signs");
        fits.then(|| Self(text.into())).ok_or_else(wrong)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Named for Label {
    const WORD: &'static str = "name";
}

text_setting!(Label, "a name", Shape::text("name"));
