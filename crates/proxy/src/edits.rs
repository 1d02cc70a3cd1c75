//! Changes to fields, compiled: which names go, which lines come.

use tollgate_http1::encode::{self, Removed};
use tollgate_message::Fields;

/// Set, add and remove, as the document gives them, in the form that costs least per message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    removed: Vec<Box<[u8]>>,
    lines: Vec<u8>,
}

impl Edits {
    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        self.removed.push(name.as_bytes().into());
    }

    /// Puts one field in the place of all fields of this name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// Adds a field. A field of several lines means the same as one with a list (RFC 9110 section 5.3).
    pub fn add(&mut self, name: &str, value: &str) {
        encode::line(&mut self.lines, name.as_bytes(), value.as_bytes());
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.lines.is_empty()
    }

    /// Marks the fields that go.
    pub fn mark(&self, fields: &Fields<'_>, removed: &mut Removed) {
        if self.removed.is_empty() {
            return;
        }
        for (index, (name, _, _)) in fields.iter().enumerate() {
            if self.removed.iter().any(|r| r.len() == name.len() && r.eq_ignore_ascii_case(name)) {
                removed.insert(index);
            }
        }
    }

    /// The lines that come, each with its CR LF.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether a field of this name is removed or replaced.
    pub fn replaces(&self, name: &str) -> bool {
        self.removed.iter().any(|r| r.eq_ignore_ascii_case(name.as_bytes()))
    }
}
