//! Field lines as offsets into the bytes of their head.

use crate::known::Known;

/// A run of bytes inside a head, by offset and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte from the start of the head.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The span from `start` up to and not including `end`. Heads are far below 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, len: (end - start) as u32 }
    }

    /// Offset behind the last byte.
    pub fn end(self) -> usize {
        (self.start + self.len) as usize
    }

    /// The bytes of this span in `head`.
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end()]
    }
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Where the name stands, spelled as it came.
    pub name: Span,
    /// Where the value stands, without white space around it.
    pub value: Span,
    /// The name, if it is one that Tollgate looks at.
    pub known: Known,
}

/// The field lines of one head, in order. Made to be cleared and filled again without allocating.
#[derive(Clone, Debug, Default)]
pub struct FieldList {
    entries: Vec<Field>,
    present: u64,
}

impl FieldList {
    /// An empty list with room for `capacity` fields.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), present: 0 }
    }

    /// Forgets all fields, keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.present = 0;
    }

    /// Appends a field.
    pub fn push(&mut self, field: Field) {
        self.present |= 1 << (field.known as u8);
        self.entries.push(field);
    }

    /// The fields in order.
    pub fn entries(&self) -> &[Field] {
        &self.entries
    }

    /// Whether a field of this known name is there. Costs one bit test.
    pub fn has(&self, known: Known) -> bool {
        self.present & (1 << (known as u8)) != 0
    }
}

/// A field list together with the bytes it points into: what readers of a head get.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    list: &'a FieldList,
}

impl<'a> Fields<'a> {
    /// Joins a list with the bytes that it was made from.
    pub fn new(bytes: &'a [u8], list: &'a FieldList) -> Self {
        Self { bytes, list }
    }

    /// Whether a field of this known name is there.
    pub fn has(&self, known: Known) -> bool {
        self.list.has(known)
    }

    /// The value of the first field of this known name.
    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        if !self.list.has(known) {
            return None;
        }
        self.list.entries.iter().find(|f| f.known == known).map(|f| f.value.of(self.bytes))
    }

    /// The values of all fields of this known name, in order.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.list.entries.iter().filter(move |f| f.known == known).map(move |f| f.value.of(bytes))
    }

    /// The value of the first field of this name, compared without case.
    pub fn get_by_name(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.list
            .entries
            .iter()
            .find(|f| f.name.len as usize == name.len() && f.name.of(self.bytes).eq_ignore_ascii_case(name))
            .map(|f| f.value.of(self.bytes))
    }

    /// All fields in order: name as spelled, value, known name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], Known)> + use<'a> {
        let bytes = self.bytes;
        self.list.entries.iter().map(move |f| (f.name.of(bytes), f.value.of(bytes), f.known))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.list.entries.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.list.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, FieldList, Fields, Known, Span};

    fn field(head: &[u8], name: &str, value: &str) -> Field {
        let text = std::str::from_utf8(head).unwrap();
        let (n, v) = (text.find(name).unwrap(), text.find(value).unwrap());
        Field {
            name: Span::new(n, n + name.len()),
            value: Span::new(v, v + value.len()),
            known: Known::from_name(name.as_bytes()),
        }
    }

    #[test]
    fn fields_are_found_by_known_and_by_free_name() {
        let head = b"Host: a.example\r\nX-Team: blue\r\n";
        let mut list = FieldList::with_capacity(4);
        list.push(field(head, "Host", "a.example"));
        list.push(field(head, "X-Team", "blue"));
        let fields = Fields::new(head, &list);
        assert_eq!(fields.get(Known::Host), Some(&b"a.example"[..]));
        assert_eq!(fields.get_by_name(b"x-team"), Some(&b"blue"[..]));
        assert_eq!(fields.get(Known::Via), None);
        list.clear();
        assert!(!list.has(Known::Host));
    }
}
