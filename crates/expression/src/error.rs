//! What can be wrong with an expression when it is loaded and when it is evaluated.

use std::fmt;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where: the number of the character in the text, from 1. `None` if it is the whole.
    pub column: Option<usize>,
    /// What would mend it, if that can be guessed.
    pub mend: Option<String>,
}

impl CompileError {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), column: Some(at + 1), mend: None }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), column: None, mend: None }
    }

    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    pub(crate) fn maybe_mend(mut self, mend: Option<String>) -> Self {
        self.mend = mend;
        self
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = self.column {
            write!(f, "column {column}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.mend {
            Some(mend) => write!(f, " ({mend})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}

/// Why an expression has no value for a request. What that means is its user's to decide; a rule that fails must never allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A map has no entry of this key (its beginning, if it is long).
    Missing(Box<str>),
    /// A list has no item at this place.
    OutOfRange(i64),
    /// A number, a time or a duration left the range of its type.
    Overflow,
    /// A division by zero.
    DivisionByZero,
    /// A value of any type (a claim) has not the type that is needed here.
    WrongType {
        /// The type that is needed.
        wanted: &'static str,
        /// The type that it has.
        found: &'static str,
    },
    /// A string cannot be read as this.
    Unreadable(&'static str),
    /// The evaluation needs more steps than an expression may take.
    TooCostly,
}

impl EvaluateError {
    pub(crate) fn missing(key: &[u8]) -> Self {
        // A key may be the client's: no long ones in logs.
        const SHOWN: usize = 64;
        Self::Missing(String::from_utf8_lossy(key.get(..SHOWN).unwrap_or(key)).into())
    }
}

impl fmt::Display for EvaluateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "there is no entry `{}`", key.escape_debug()),
            Self::OutOfRange(index) => write!(f, "the list has no item {index}"),
            Self::Overflow => f.write_str("a number is out of range"),
            Self::DivisionByZero => f.write_str("a division by zero"),
            Self::WrongType { wanted, found } => write!(f, "a {wanted} is needed where a {found} was found"),
            Self::Unreadable(what) => write!(f, "the string is not {what}"),
            Self::TooCostly => f.write_str("the expression takes more steps than it may for this request"),
        }
    }
}

impl std::error::Error for EvaluateError {}
