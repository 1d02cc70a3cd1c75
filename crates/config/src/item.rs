//! A document as a tree of values that is the same for every kind of document key: defaults filled in, secrets
//! sealed, each value with its place in the texts. What is shown of documents and of their differences is
//! made from it, so that a new key is covered without a line here.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::shape::{Need, Row, Shape};
use crate::source::Origin;
use crate::tree::{Node, Value};
use crate::units::SEALED;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";

/// A value.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) content: Content,
    /// Where it was written; nowhere if nobody wrote it.
    pub(crate) origin: Origin,
    /// It holds the content of a variable.
    pub(crate) filled: bool,
    /// It is other than it would be if it had not been written.
    pub(crate) set: bool,
}

/// The kinds of values. Keys are in the order of the section's rows or, in a table, of their names.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    Scalar(Json),
    /// The seal of a secret: good for comparing, never for showing.
    Secret(Json),
    List(Vec<Item>),
    /// A secret that comes from a file has its seal under [`SEALED`], beside the file's name.
    Mapping(Vec<(String, Item)>),
}

/// Places do not count: moving a line is not a change.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Item {
    /// The entries that may be shown: all, or only those that are set.
    pub(crate) fn shown(entries: &[(String, Self)], only_set: bool) -> impl Iterator<Item = &(String, Self)> {
        entries.iter().filter(move |(key, item)| key != SEALED && (item.set || !only_set))
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::List(items) => items.is_empty(),
            Content::Mapping(entries) => entries.is_empty(),
            Content::Scalar(_) | Content::Secret(_) => false,
        }
    }

    /// The value as it may be shown, without defaults.
    pub(crate) fn masked(&self) -> Json {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Secret(_) => MASK.into(),
            Content::List(items) => items.iter().map(Self::masked).collect(),
            Content::Mapping(entries) => {
                let entries = Self::shown(entries, true);
                Json::Object(entries.map(|(key, item)| (key.clone(), item.masked())).collect())
            }
        }
    }
}

/// The path of a key below another: `limits.fields`, `match.query["a b"]`.
pub(crate) fn path(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_/".contains(c);
    match (parent, key) {
        (parent, SEALED) => parent.to_owned(),
        (parent, key) if !key.chars().all(plain) => format!("{parent}[{}]", Json::from(key)),
        ("", key) => key.to_owned(),
        (parent, key) => format!("{parent}.{key}"),
    }
}

/// Makes items of encoded values.
#[derive(Default)]
pub(crate) struct Builder {
    /// The rows of each section that was met, by its name: making them anew for each value would be most of
    /// the work.
    rows: HashMap<&'static str, Rc<Vec<Row>>>,
}

/// How a mapping is to be read.
enum Layout<'s> {
    Section(Rc<Vec<Row>>),
    Table(&'s Shape),
}

impl Builder {
    /// The item of an encoded value. `node` is what was written for it, and `set` whether it is other than
    /// without it.
    pub(crate) fn item(&mut self, value: &Json, shape: &Shape, node: Option<&Node>, set: bool) -> Item {
        let node = node.map(|node| unwrapped(node, value));
        let content = match value {
            Json::Object(map) if map.len() == 1 && map.contains_key(SEALED) => {
                Content::Secret(map[SEALED].clone())
            }
            Json::Object(map) => match self.layout(shape, map) {
                Some(Layout::Section(rows)) => Content::Mapping(self.section(map, &rows, node, set)),
                Some(Layout::Table(of)) => Content::Mapping(self.table(map, of, node, set)),
                None => Content::Scalar(value.clone()),
            },
            Json::Array(values) => Content::List(self.list(values, shape, node, set)),
            scalar => Content::Scalar(scalar.clone()),
        };
        let filled = matches!(node, Some(Node { value: Value::Scalar(scalar), .. }) if scalar.filled);
        Item { content, origin: node.map_or(Origin::NOWHERE, |node| node.origin), filled, set }
    }

    fn section(
        &mut self,
        map: &serde_json::Map<String, Json>,
        rows: &[Row],
        node: Option<&Node>,
        set: bool,
    ) -> Vec<(String, Item)> {
        let mut entries = Vec::new();
        for row in rows {
            let key = row.names[0];
            let (written, present) = (map.get(key), map.contains_key(key));
            let value = match (&row.need, written) {
                (_, Some(value)) => value,
                (Need::Default(value), None) => value,
                (Need::Section, None) => &Json::Object(serde_json::Map::new()),
                _ => continue,
            };
            let node = match node {
                Some(mapping @ Node { value: Value::Mapping(_), .. }) => {
                    row.names.iter().find_map(|name| mapping.get(name)).map(|(_, node)| node)
                }
                // The short form stands for the one key that is written.
                short => short.filter(|_| present),
            };
            let item = self.item(value, &row.shape, node, set && present);
            // Nothing, where nothing was written, is not worth a line.
            if present || node.is_some() || !item.is_empty() {
                entries.push((key.to_owned(), item));
            }
        }
        if let Some(seal) = map.get(SEALED) {
            let content = Content::Secret(seal.clone());
            let item = Item { content, origin: Origin::NOWHERE, filled: false, set };
            entries.push((SEALED.to_owned(), item));
        }
        entries
    }

    fn table(
        &mut self,
        map: &serde_json::Map<String, Json>,
        of: &Shape,
        node: Option<&Node>,
        set: bool,
    ) -> Vec<(String, Item)> {
        let nodes: HashMap<&str, &Node> = match node.map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries.iter().map(|(key, node)| (&*key.text, node)).collect(),
            _ => HashMap::new(),
        };
        map.iter()
            .map(|(key, value)| (key.clone(), self.item(value, of, nodes.get(key.as_str()).copied(), set)))
            .collect()
    }

    fn list(&mut self, values: &[Json], shape: &Shape, node: Option<&Node>, set: bool) -> Vec<Item> {
        let of = first(shape, |shape| matches!(shape, Shape::List { .. }));
        let of = match of {
            Some(Shape::List { of, .. }) => of,
            _ => shape,
        };
        let node_of = |at: usize| match node.map(|node| &node.value) {
            Some(Value::Sequence(items)) => items.get(at),
            _ => node,
        };
        (0..).zip(values).map(|(at, value)| self.item(value, of, node_of(at), set)).collect()
    }

    /// The section that has all keys of a mapping, or else the table that may have any.
    fn layout<'s>(&mut self, shape: &'s Shape, map: &serde_json::Map<String, Json>) -> Option<Layout<'s>> {
        match shape {
            Shape::Section(section) => {
                let rows = self.rows.entry(section.name).or_insert_with(|| Rc::new((section.rows)()));
                let known = |key: &String| key == SEALED || rows.iter().any(|row| row.names[0] == key);
                map.keys().all(known).then(|| Layout::Section(rows.clone()))
            }
            Shape::Map { of, .. } => Some(Layout::Table(of)),
            Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| self.layout(shape, map)),
            _ => None,
        }
    }
}

/// The first shape of a kind among those that a value may have.
fn first(shape: &Shape, wanted: fn(&Shape) -> bool) -> Option<&Shape> {
    match shape {
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| first(shape, wanted)),
        shape => wanted(shape).then_some(shape),
    }
}

/// The node that says a value which may have been written in a longer form: in a list of one, or under the
/// only key of a choice.
fn unwrapped<'n>(node: &'n Node, value: &Json) -> &'n Node {
    match (&node.value, value) {
        (Value::Sequence(items), Json::Object(map)) if items.len() == 1 => match &items[0].value {
            // A list may also be the short form of a section, for a key of it that is a list.
            Value::Mapping(entries) if !entries.iter().any(|(key, _)| map.contains_key(&*key.text)) => node,
            Value::Scalar(_) if map.values().any(Json::is_array) => node,
            _ => &items[0],
        },
        (Value::Sequence(items), value) if items.len() == 1 && !value.is_array() => {
            unwrapped(&items[0], value)
        }
        (Value::Mapping(entries), Json::String(_) | Json::Number(_) | Json::Bool(_))
            if entries.len() == 1 =>
        {
            unwrapped(&entries[0].1, value)
        }
        _ => node,
    }
}
