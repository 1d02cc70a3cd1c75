//! What is wrong with a policy's settings.

use std::fmt;

pub(crate) use tollgate_policy::key::is_token;

/// A setting that a policy cannot be made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The setting, as the document calls it.
    pub setting: &'static str,
    /// The index of the value in it, where it is a list.
    pub index: usize,
    /// What is wrong, in words for its author.
    pub problem: String,
}

impl Unusable {
    /// A value of a setting that cannot be used.
    pub fn new(setting: &'static str, index: usize, problem: impl Into<String>) -> Self {
        Self { setting, index, problem: problem.into() }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for Unusable {}

/// Whether this can be the value of a field without being read in another way: visible ASCII and blanks, none
/// of them at an end.
pub(crate) fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim().len() == text.len()
}
