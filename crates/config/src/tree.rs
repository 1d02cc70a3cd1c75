//! YAML text to a tree of nodes that know their place.
//!
//! The parser's events become [`Node`]s in one pass with a stack, so that neither depth nor aliases
//! nor size can hurt; variables are replaced here, because only here it is known whether a scalar
//! was quoted.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::interpolate::{self, Replaced};
use crate::source::Origin;

/// Nesting allowed. The deepest document in use needs a third of it.
const MAX_DEPTH: usize = 32;

/// Nodes that aliases may add in one file: enough for every honest use, too few for a billion laughs.
const MAX_ALIASED: usize = 100_000;

/// A value of the document and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// The three kinds of YAML values, and what was already reported as wrong.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A scalar whose variables could not be replaced. Reported, hence to be passed over in silence.
    Broken,
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A single value before it has a type.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// As the parser made it: one allocation fewer than a tight copy, and short-lived.
    pub(crate) text: String,
    /// Written without quotes, hence able to be a number, a boolean or nothing.
    pub(crate) plain: bool,
    /// Holds the content of a variable, which diagnostics must not show.
    pub(crate) filled: bool,
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Shared among all keys of the same text, of which a large document has few.
    pub(crate) text: Rc<str>,
    pub(crate) origin: Origin,
}

impl Node {
    /// A mapping without keys, for what is read as if it had been written `{}`.
    pub(crate) const EMPTY: Node = Node { origin: Origin::NOWHERE, value: Value::Mapping(Vec::new()) };

    /// Nothing was written after the key, or `null`.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.plain && !scalar.filled && matches!(scalar.text.as_str(), "" | "~" | "null")
            }
            _ => false,
        }
    }

    /// What kind of value this is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_nothing() => "nothing",
            Value::Broken | Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<(&Key, &Node)> {
        match &self.value {
            Value::Mapping(entries) => {
                entries.iter().find(|(found, _)| &*found.text == key).map(|(key, node)| (key, node))
            }
            _ => None,
        }
    }

    /// The number of nodes, itself included.
    fn size(&self) -> usize {
        match &self.value {
            Value::Broken | Value::Scalar(_) => 1,
            Value::Sequence(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Mapping(entries) => 1 + entries.iter().map(|(_, node)| 1 + node.size()).sum::<usize>(),
        }
    }
}

/// Parses one text. A document whose YAML is broken gives nothing and one error; an empty one gives
/// an empty mapping.
pub(crate) fn parse(
    file: u32,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    parse_with(file, text, environment, diagnostics, None)
}

/// Takes an entry of the outermost mapping as soon as it is complete.
pub(crate) type Take<'a> = &'a mut dyn FnMut(Key, Node, &mut Diagnostics);

/// The same, but the entries of the outermost mapping are given away one by one, so that no tree of all of them is
/// ever there. Whoever takes them must look for keys that come twice.
pub(crate) fn parse_entries<'a>(
    file: u32,
    text: &str,
    environment: &'a dyn Fn(&str) -> Option<String>,
    diagnostics: &'a mut Diagnostics,
    take: Take<'a>,
) -> Option<Node> {
    parse_with(file, text, environment, diagnostics, Some(take))
}

fn parse_with<'a>(
    file: u32,
    text: &str,
    environment: &'a dyn Fn(&str) -> Option<String>,
    diagnostics: &'a mut Diagnostics,
    take: Option<Take<'a>>,
) -> Option<Node> {
    let text_start = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        environment,
        diagnostics,
        stack: Vec::new(),
        keys: HashSet::new(),
        anchors: HashMap::new(),
        aliased: 0,
        take,
        root: None,
    };
    for event in Parser::new_from_str(text_start) {
        let stop = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(scan_error(file, text_start, &error)),
        };
        if let Err(finding) = stop {
            builder.diagnostics.push(finding);
            return None;
        }
    }
    Some(builder.root.unwrap_or(Node { origin: Origin::start_of(file), value: Value::Mapping(Vec::new()) }))
}

/// The parser's own error, with the mend for what people stumble over.
fn scan_error(file: u32, text: &str, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let origin = place(file, marker.line(), marker.col(), 1);
    let line = text.lines().nth(marker.line().saturating_sub(1)).unwrap_or_default();
    let mend = if line.contains("${") {
        Some("`${…}` cannot stand inside `{ }` or `[ ]`: write one key (or `-`) a line instead".to_owned())
    } else if line.trim_start_matches(' ').starts_with('\t') {
        Some("indent with spaces".to_owned())
    } else if error.info().contains("mapping values are not allowed") {
        Some("check the indentation of this line; put values that hold `: ` in quotes".to_owned())
    } else {
        None
    };
    Diagnostic::error(origin, format!("this is not YAML: {}", error.info())).mend_if(mend)
}

fn place(file: u32, line: usize, column: usize, length: usize) -> Origin {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Origin { file, line: narrow(line), column: narrow(column.saturating_add(1)), length: narrow(length) }
}

struct Builder<'a> {
    file: u32,
    environment: &'a dyn Fn(&str) -> Option<String>,
    diagnostics: &'a mut Diagnostics,
    stack: Vec<Frame>,
    keys: HashSet<Rc<str>>,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    take: Option<Take<'a>>,
    root: Option<Node>,
}

/// A list or mapping whose end has not come yet.
struct Frame {
    origin: Origin,
    anchor: usize,
    open: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder<'_> {
    /// Takes one event; an error ends the file.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let origin = self.origin(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), origin);
                if self.expects_key() {
                    self.key(&text, origin);
                    return Ok(());
                }
                let value = self.scalar(text, style, origin);
                self.complete(Node { origin, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), origin);
                self.open(origin, anchor, Open::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), origin);
                self.open(origin, anchor, Open::Mapping { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, origin),
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second YAML document starts here; only one fits in a file";
                Err(Diagnostic::error(origin, message).mend("put it in a file of its own and `include` that"))
            }
            _ => Ok(()),
        }
    }

    fn origin(&self, span: Span) -> Origin {
        let (start, end) = (span.start, span.end);
        let one_line = start.line() == end.line();
        let length = if one_line { end.col().saturating_sub(start.col()) } else { usize::MAX };
        place(self.file, start.line(), start.col(), length)
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, origin: Origin) {
        let text = match self.keys.get(text) {
            Some(text) => text.clone(),
            None => {
                let text: Rc<str> = text.into();
                self.keys.insert(text.clone());
                text
            }
        };
        if let Some(Frame { open: Open::Mapping { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some(Key { text, origin });
        }
    }

    fn refuse_tag(&mut self, tagged: bool, origin: Origin) {
        if tagged {
            let finding = Diagnostic::error(origin, "YAML tags (`!…`) have no meaning here");
            self.diagnostics.push(finding.mend("remove the tag"));
        }
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, origin: Origin) -> Value {
        let plain = style == ScalarStyle::Plain;
        let scalar = |text: String, plain, filled| Value::Scalar(Scalar { text, plain, filled });
        if !text.contains("${") {
            return scalar(text.into_owned(), plain, false);
        }
        let replaced =
            if plain { interpolate::plain(&text, self.environment) } else { interpolate::quoted(&text) };
        match replaced {
            Ok(Replaced::Filled(text)) => scalar(text, plain, true),
            Ok(Replaced::Unescaped(text)) => scalar(text, false, false),
            Ok(Replaced::Same) => scalar(text.into_owned(), plain, false),
            Err(failure) => {
                let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                // The quote itself takes a column. Escapes and folded lines may shift the rest; the
                // line is right in any case.
                let column = origin.column.saturating_add(narrow(failure.at + usize::from(!plain)));
                let at = Origin { column, length: narrow(failure.length), ..origin };
                self.diagnostics.push(Diagnostic::error(at, failure.message).mend(failure.mend));
                Value::Broken
            }
        }
    }

    fn open(&mut self, origin: Origin, anchor: usize, open: Open) -> Result<(), Diagnostic> {
        if self.expects_key() {
            return Err(Diagnostic::error(origin, "a key must be a single word or text"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::error(origin, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.stack.push(Frame { origin, anchor, open });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.open {
            Open::Sequence(items) => Value::Sequence(items),
            Open::Mapping { entries, .. } => Value::Mapping(self.without_duplicates(entries)),
        };
        // A block mapping has no sign of its own: its first key stands for it.
        let origin = match &value {
            Value::Mapping(entries) if frame.origin.length == 0 => {
                entries.first().map_or(frame.origin, |(key, _)| key.origin)
            }
            _ => frame.origin,
        };
        self.complete(Node { origin, value }, frame.anchor)
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            // Counted by what it would add, so that nested aliases cannot multiply unseen.
            let size = node.size();
            self.spend(size, node.origin)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let outermost = self.stack.len() == 1;
        match self.stack.last_mut().map(|frame| &mut frame.open) {
            Some(Open::Sequence(items)) => items.push(node),
            Some(Open::Mapping { entries, key }) => match (key.take(), &mut self.take) {
                (Some(key), Some(take)) if outermost => take(key, node, self.diagnostics),
                (Some(key), _) => entries.push((key, node)),
                (None, _) => {}
            },
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, origin: Origin) -> Result<(), Diagnostic> {
        if self.expects_key() {
            return Err(Diagnostic::error(origin, "a key must be a single word or text"));
        }
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(Diagnostic::error(origin, "this alias names a value that holds it"));
        };
        self.spend(*size, origin)?;
        let node = self.anchors[&anchor].0.clone();
        self.complete(node, 0)
    }

    fn spend(&mut self, size: usize, origin: Origin) -> Result<(), Diagnostic> {
        self.aliased += size;
        if self.aliased > MAX_ALIASED {
            let message = format!("anchors and aliases stand for more than {MAX_ALIASED} values");
            return Err(Diagnostic::error(origin, message));
        }
        Ok(())
    }

    /// Reports keys that were written twice and keeps the first of each.
    fn without_duplicates(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        let mut kept: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        let mut seen: HashMap<Rc<str>, Origin> = HashMap::new();
        // A map pays only for the few mappings that are large.
        let large = entries.len() > 16;
        for (key, node) in entries {
            let first = if large {
                seen.get(&key.text).copied()
            } else {
                kept.iter().find(|(earlier, _)| earlier.text == key.text).map(|(earlier, _)| earlier.origin)
            };
            if let Some(first) = first {
                let message = format!("the key `{}` is written twice", key.text);
                self.diagnostics.push(
                    Diagnostic::error(key.origin, message)
                        .note(first, "first written here")
                        .mend("remove one of the two"),
                );
                continue;
            }
            if large {
                seen.insert(key.text.clone(), key.origin);
            }
            kept.push((key, node));
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Value, parse};
    use crate::diagnostic::Diagnostics;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut found = Diagnostics::default();
        let node = parse(0, text, &|_| None, &mut found);
        let messages =
            found.iter().map(|d| format!("{}:{} {}", d.origin.line, d.origin.column, d.message)).collect();
        (node, messages)
    }

    #[test]
    fn nodes_know_their_place() {
        let (node, found) = read("\u{feff}a: { é: [1, \"x\"] }\nb: y\n");
        assert!(found.is_empty(), "{found:?}");
        let node = node.unwrap();
        let (_, a) = node.get("a").unwrap();
        let (_, list) = a.get("é").unwrap();
        let Value::Sequence(items) = &list.value else { panic!("{list:?}") };
        let at = |node: &Node| (node.origin.line, node.origin.column, node.origin.length);
        assert_eq!(items.iter().map(at).collect::<Vec<_>>(), [(1, 10, 1), (1, 13, 3)]);
        assert_eq!(at(node.get("b").unwrap().1), (2, 4, 1));
    }

    #[test]
    fn broken_or_hostile_documents_are_refused_with_a_place() {
        for (text, expected) in [
            ("a: {b: ${X}}\n", "1:9 this is not YAML"),
            ("a:\n\t- b\n", "2:2 this is not YAML"),
            ("a: 1\na: 2\n", "2:1 the key `a` is written twice"),
            ("a: !!str 1\n", "1:4 YAML tags"),
            ("a: 1\n---\nb: 1\n", "2:1 a second YAML document"),
            ("[a]: 1\n", "1:1 a key must be"),
            ("a: &x [*x]\n", "1:8 this alias names"),
            ("a: *none\n", "1:4 this is not YAML"),
        ] {
            let (_, found) = read(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(expected), "{text}: {found:?}");
        }
        let (_, found) = read(&"[".repeat(100_000));
        // Here the parser looks ahead and gives up first.
        assert!(found[0].contains("recursion limit"), "{found:?}");
        let (_, found) = read(&"- ".repeat(100_000));
        assert!(found[0].contains("levels deep"), "{found:?}");
    }

    #[test]
    fn a_billion_laughs_end_early_and_honest_aliases_do_not() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        let (node, found) = read(&text);
        assert!(node.is_none());
        assert!(found[0].contains("stand for more than"), "{found:?}");
        let (node, found) = read("a: &x { k: 1 }\nb: *x\n");
        assert!(found.is_empty(), "{found:?}");
        assert!(node.unwrap().get("b").unwrap().1.get("k").is_some());
    }

    #[test]
    fn many_keys_are_checked_without_comparing_all_pairs() {
        let mut text = String::new();
        for key in 0..100_000 {
            text.push_str(&format!("k{key}: 1\n"));
        }
        text.push_str("k5: 1\n");
        let (_, found) = read(&text);
        assert_eq!(found, ["100001:1 the key `k5` is written twice"]);
    }
}
