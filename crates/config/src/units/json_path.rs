//! Places in JSON: `$.items[*].id`.

use std::fmt;
use std::str::FromStr;

use tollgate_comparison::PathPattern;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// A place in JSON, with all below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonPath(PathPattern);

impl JsonPath {
    /// The pattern of places.
    pub fn pattern(&self) -> &PathPattern {
        &self.0
    }
}

impl FromStr for JsonPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|problem: String| {
            ValueError::mend(
                format!("`{text}` is not a place in JSON: {problem}"),
                "write it like `$.generated_at`, `items[*].id` or `$.**.updated_at`",
            )
        })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_setting!(JsonPath, "a place in JSON", Shape::text("JSON path"));
