//! Changes to fields: which names go, which lines come.

use tollgate_message::Fields;

use crate::encode::{self, Removed};

/// Set, add and remove. Made once from the document, or anew for an exchange: two buffers that can be used
/// again, so that filling them allocates nothing once they have grown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names, each behind the two bytes of its length.
    removed: Vec<u8>,
    lines: Vec<u8>,
}

/// How far changes had come, to go back there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    removed: usize,
    lines: usize,
}

impl Edits {
    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        // No head that is read has a longer name.
        let Ok(length) = u16::try_from(name.len()) else { return };
        self.removed.extend_from_slice(&length.to_be_bytes());
        self.removed.extend_from_slice(name.as_bytes());
    }

    /// Puts one field in the place of all fields of this name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_bytes(name, value.as_bytes());
    }

    /// The same with a value that need not be text.
    pub fn set_bytes(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        encode::line(&mut self.lines, name.as_bytes(), value);
    }

    /// Adds a field. A field of several lines means the same as one with a list (RFC 9110 section 5.3).
    pub fn add(&mut self, name: &str, value: &str) {
        encode::line(&mut self.lines, name.as_bytes(), value.as_bytes());
    }

    /// All changes of another one, after its own.
    pub fn extend(&mut self, other: &Self) {
        self.removed.extend_from_slice(&other.removed);
        self.lines.extend_from_slice(&other.lines);
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
            if self.removes(name) {
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
        !self.removed.is_empty() && self.removes(name.as_bytes())
    }

    /// How far the changes have come.
    pub fn so_far(&self) -> Mark {
        Mark { removed: self.removed.len(), lines: self.lines.len() }
    }

    /// Takes back what was changed since.
    pub fn back_to(&mut self, mark: Mark) {
        self.removed.truncate(mark.removed);
        self.lines.truncate(mark.lines);
    }

    /// Takes back everything, and keeps at most so many bytes of each buffer.
    pub fn clear(&mut self, keep: usize) {
        self.back_to(Mark::default());
        self.removed.shrink_to(keep);
        self.lines.shrink_to(keep);
    }

    fn removes(&self, name: &[u8]) -> bool {
        let mut rest = self.removed.as_slice();
        while let Some((length, after)) = rest.split_first_chunk() {
            let (removed, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
            if removed.eq_ignore_ascii_case(name) {
                return true;
            }
            rest = after;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Edits;

    #[test]
    fn changes_replace_by_name_in_any_case_and_can_be_taken_back() {
        let mut edits = Edits::default();
        edits.set("X-User", "alice");
        let mark = edits.so_far();
        edits.remove("Cookie");
        edits.add("X-More", "1");
        assert!(edits.replaces("x-user") && edits.replaces("cookie") && !edits.replaces("x-more"));
        assert_eq!(edits.lines(), b"X-User: alice\r\nX-More: 1\r\n");
        edits.back_to(mark);
        assert!(edits.replaces("X-USER") && !edits.replaces("cookie"));
        assert_eq!(edits.lines(), b"X-User: alice\r\n");
        edits.clear(0);
        assert!(edits.is_empty());
    }
}
