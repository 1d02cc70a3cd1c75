//! Expressions, as text: what compiles them is elsewhere.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Bytes of an expression, at most.
const LONGEST: usize = 8192;

/// The text of an expression in the Common Expression Language. Whether it compiles, and to what type, is seen when the
/// document is compiled.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExpressionText(Box<str>);

impl ExpressionText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExpressionText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.trim().is_empty() {
            return Err(ValueError::mend("this expression is empty", "write one like `method == \"GET\"`"));
        }
        match text.len() {
            ..=LONGEST => Ok(Self(text.into())),
            _ => Err(ValueError::new(format!("an expression has at most {LONGEST} bytes"))),
        }
    }
}

impl fmt::Display for ExpressionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExpressionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_setting!(ExpressionText, "an expression", Shape::text("expression"));
