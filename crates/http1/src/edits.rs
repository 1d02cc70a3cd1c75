//! Changes to fields: which names go, which lines come.

use tollgate_message::Fields;

use crate::encode::{self, Removed};

/// Set, add and remove. Made once from the document, or anew for an exchange: buffers that can be used again,
/// so that filling them allocates nothing once they have grown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Names, each behind the two bytes of its length.
    removed: Vec<u8>,
    lines: Vec<u8>,
    /// Lines for fields that nobody else sets, each with its line end.
    defaults: Vec<u8>,
    removed_names: Lengths,
    line_names: Lengths,
}

/// Which lengths names have: most names of a head are of another, and need not be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lengths(u64);

impl Lengths {
    fn insert(&mut self, name: &[u8]) {
        self.0 |= 1 << name.len().min(63);
    }

    fn may_have(self, name: &[u8]) -> bool {
        self.0 & (1 << name.len().min(63)) != 0
    }
}

/// How far changes had come, to go back there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    removed: usize,
    lines: usize,
    defaults: usize,
}

impl Edits {
    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        // No head that is read has a longer name.
        let Ok(length) = u16::try_from(name.len()) else { return };
        self.removed.extend_from_slice(&length.to_be_bytes());
        self.removed.extend_from_slice(name.as_bytes());
        self.removed_names.insert(name.as_bytes());
    }

    /// Puts one field in the place of all fields of this name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_bytes(name, value.as_bytes());
    }

    /// The same with a value that need not be text.
    pub fn set_bytes(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.add_with(name, |out| out.extend_from_slice(value));
    }

    /// Adds a field. A field of several lines means the same as one with a list (RFC 9110 section 5.3).
    pub fn add(&mut self, name: &str, value: &str) {
        self.add_with(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// Adds a field whose value is written in place. `write` appends the value, and nothing that ends a line.
    pub fn add_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.line_names.insert(name.as_bytes());
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        write(&mut self.lines);
        self.lines.extend_from_slice(b"\r\n");
    }

    /// Gives a field a value where nobody else does: neither the head that is changed nor other changes. The
    /// lines come from [`write_defaults`](Self::write_defaults).
    pub fn set_default(&mut self, name: &str, value: &str) {
        encode::line(&mut self.defaults, name.as_bytes(), value.as_bytes());
    }

    /// Takes over the changes of another list, which come behind the own ones.
    pub fn extend(&mut self, other: &Self) {
        self.removed.extend_from_slice(&other.removed);
        self.lines.extend_from_slice(&other.lines);
        self.defaults.extend_from_slice(&other.defaults);
        self.removed_names.0 |= other.removed_names.0;
        self.line_names.0 |= other.line_names.0;
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.lines.is_empty() && self.defaults.is_empty()
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

    /// Appends the lines of the fields that have a value only where nobody else gives them one. `has` says
    /// whether the head has a field of this name already, from whomever; what these changes say themselves is
    /// known. A field that they remove stays away.
    pub fn write_defaults(&self, out: &mut Vec<u8>, has: impl Fn(&[u8]) -> bool) {
        let mut written = Lengths::default();
        for (index, (name, line)) in lines_of(&self.defaults).enumerate() {
            let named = |(other, _): (&[u8], &[u8])| other.eq_ignore_ascii_case(name);
            let given = self.removes(name)
                || (self.line_names.may_have(name) && lines_of(&self.lines).any(named))
                || (written.may_have(name) && lines_of(&self.defaults).take(index).any(named))
                || has(name);
            if !given {
                out.extend_from_slice(line);
            }
            written.insert(name);
        }
    }

    /// The lines that come, each with its CR LF. Those of [`set_default`](Self::set_default) are not among them.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether a field of this name is removed, replaced or added.
    pub fn sets(&self, name: &str) -> bool {
        self.replaces(name) || lines_of(&self.lines).any(|(of, _)| of.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether a field of this name is removed or replaced.
    pub fn replaces(&self, name: &str) -> bool {
        !self.removed.is_empty() && self.removes(name.as_bytes())
    }

    /// How far the changes have come.
    pub fn so_far(&self) -> Mark {
        Mark { removed: self.removed.len(), lines: self.lines.len(), defaults: self.defaults.len() }
    }

    /// Takes back what was changed since.
    pub fn back_to(&mut self, mark: Mark) {
        self.removed.truncate(mark.removed);
        self.lines.truncate(mark.lines);
        self.defaults.truncate(mark.defaults);
        (self.removed_names, self.line_names) = Default::default();
        names_of(&self.removed).for_each(|name| self.removed_names.insert(name));
        lines_of(&self.lines).for_each(|(name, _)| self.line_names.insert(name));
    }

    /// Takes back everything, and keeps at most so many bytes of each buffer.
    pub fn clear(&mut self, keep: usize) {
        self.back_to(Mark::default());
        self.removed.shrink_to(keep);
        self.lines.shrink_to(keep);
        self.defaults.shrink_to(keep);
    }

    fn removes(&self, name: &[u8]) -> bool {
        self.removed_names.may_have(name)
            && names_of(&self.removed).any(|removed| removed.eq_ignore_ascii_case(name))
    }
}

/// The names in a buffer of names, each behind its length.
fn names_of(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (name, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        rest = after;
        Some(name)
    })
}

/// The lines in a buffer of lines, each with its name.
fn lines_of(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)? + 1;
        let (line, after) = rest.split_at(end);
        rest = after;
        let name = memchr::memchr(b':', line).unwrap_or(line.len());
        Some((&line[..name], line))
    })
}

#[cfg(test)]
mod tests {
    use super::Edits;

    fn defaults(edits: &Edits, present: &[&str]) -> String {
        let mut out = Vec::new();
        edits
            .write_defaults(&mut out, |name| present.iter().any(|p| p.as_bytes().eq_ignore_ascii_case(name)));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_default_stands_only_where_nobody_else_gives_the_field_a_value() {
        let mut edits = Edits::default();
        edits.set_default("X-Frame-Options", "SAMEORIGIN");
        edits.set_default("Referrer-Policy", "no-referrer");
        assert!(!edits.is_empty() && edits.lines().is_empty() && !edits.replaces("x-frame-options"));
        let both = "X-Frame-Options: SAMEORIGIN\r\nReferrer-Policy: no-referrer\r\n";
        assert_eq!(defaults(&edits, &[]), both);
        assert_eq!(defaults(&edits, &["x-frame-options"]), "Referrer-Policy: no-referrer\r\n");
        assert_eq!(defaults(&edits, &["X-Frame", "Frame-Options"]), both);
        let mark = edits.so_far();
        edits.add("X-FRAME-OPTIONS", "DENY");
        edits.remove("referrer-policy");
        edits.set_default("referrer-policy", "origin");
        assert_eq!(defaults(&edits, &[]), "");
        edits.back_to(mark);
        edits.set_default("referrer-policy", "origin");
        assert_eq!(defaults(&edits, &[]), both);
        edits.clear(0);
        assert!(edits.is_empty());
    }

    #[test]
    fn changes_can_be_joined_and_values_be_written_in_place() {
        let (mut edits, mut more) = (Edits::default(), Edits::default());
        edits.set("A", "1");
        more.set("B", "2");
        more.set_default("C", "3");
        more.add_with("D", |out| out.extend_from_slice(b"\"x\";r=4"));
        edits.extend(&more);
        assert_eq!(edits.lines(), b"A: 1\r\nB: 2\r\nD: \"x\";r=4\r\n");
        assert!(edits.replaces("a") && edits.replaces("b"));
        assert_eq!(defaults(&edits, &[]), "C: 3\r\n");
    }

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
