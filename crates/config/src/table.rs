//! Mappings with names of the document's choosing.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting, ValueError};
use crate::shape::Shape;
use crate::source::{Located, Origin};
use crate::tree::{Key, Node, Value};

/// A mapping whose keys are names that the document chooses, in the order they were written.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    entries: Vec<(Located<K>, V)>,
    /// Names whose values were reported: they exist, so that using them is not reported as well.
    pub(crate) broken: Vec<String>,
}

impl<K, V> Table<K, V> {
    /// A table without entries.
    pub const fn none() -> Self {
        Self { entries: Vec::new(), broken: Vec::new() }
    }

    /// Gives back memory that was taken for entries that did not come.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// The entries in the order they were written.
    pub fn iter(&self) -> std::slice::Iter<'_, (Located<K>, V)> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: AsRef<str>, V> Table<K, V> {
    /// The value of a name. Looks at each entry: for many look-ups, index [`Table::iter`].
    pub fn get(&self, name: &str) -> Option<&V> {
        self.entries.iter().find(|(key, _)| key.value.as_ref() == name).map(|(_, value)| value)
    }
}

/// The order of the entries does not count: no setting depends on it.
impl<K: AsRef<str>, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |table: &'_ Self| {
            let mut order: Vec<usize> = (0..table.len()).collect();
            order.sort_by(|a, b| table.entries[*a].0.as_ref().cmp(table.entries[*b].0.as_ref()));
            order
        };
        let same = |(a, b): (usize, usize)| {
            let ((key, value), (other_key, other_value)) = (&self.entries[a], &other.entries[b]);
            key.as_ref() == other_key.as_ref() && value == other_value
        };
        self.len() == other.len() && sorted(self).into_iter().zip(sorted(other)).all(same)
    }
}

/// A key type of a [`Table`].
pub(crate) trait Named: FromStr<Err = ValueError> + fmt::Display {
    /// What the keys are, for the reference: "name", "header".
    const WORD: &'static str;
}

#[expect(private_bounds, reason = "only this crate decodes")]
impl<K: Named, V: Setting> Table<K, V> {
    /// Decodes an entry and adds it.
    pub(crate) fn add(&mut self, key: &Key, node: &Node, decoder: &mut Decoder<'_>) {
        let name = match key.text.parse::<K>() {
            Ok(name) => Some(Located { value: name, origin: key.origin }),
            Err(error) => {
                let finding = Diagnostic::error(key.origin, error.message);
                decoder.report(finding.mend_if(error.mend));
                None
            }
        };
        let value = if node.is_nothing() {
            decoder.report(nothing(&key.text, key.origin));
            None
        } else {
            V::decode(node, decoder)
        };
        match (name, value) {
            (Some(name), Some(value)) => self.entries.push((name, value)),
            _ => self.broken.push(key.text.to_string()),
        }
    }
}

impl<K: Named, V: Setting> Setting for Table<K, V> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            decoder.expected(node, "a mapping");
            return None;
        };
        let mut table = Self { entries: Vec::with_capacity(entries.len()), broken: Vec::new() };
        for (key, node) in entries {
            table.add(key, node, decoder);
        }
        Some(table)
    }
    fn shape() -> Shape {
        Shape::Map { names: K::WORD, of: Box::new(V::shape()) }
    }
    fn encode(&self) -> Json {
        Json::Object(self.entries.iter().map(|(key, value)| (key.to_string(), value.encode())).collect())
    }
}

/// The finding for a key with nothing after it.
pub(crate) fn nothing(key: &str, origin: Origin) -> Diagnostic {
    Diagnostic::error(origin, format!("`{key}` has no value"))
        .mend("write one, write `{}` or `[]` for an empty one, or remove the key")
}
