//! The checked form of an expression, as it is evaluated.

use tollgate_message::Known;

use crate::functions::Operation;
use crate::inputs::Key;
use crate::moments::Part;
use crate::networks::Network;
use crate::patterns::Pattern;
use crate::syntax::Binary;
use crate::value::Value;
use crate::variables::{MapVariable, Source};

#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    Variable(Source),
    /// The variable of a loop, by its place from the outermost loop.
    Local(usize),
    /// An entry of a map of the request at a key known when loaded, or whether there is one.
    Entry {
        map: MapVariable,
        name: Name,
    },
    HasEntry {
        map: MapVariable,
        name: Name,
    },
    /// An entry of another map at a key known when loaded.
    Member {
        of: Box<Node>,
        key: Box<str>,
    },
    Index(Box<[Node; 2]>),
    Has {
        of: Box<Node>,
        field: Box<str>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Choice(Box<[Node; 3]>),
    /// Whether two strings are equal, or differ.
    SameText {
        sides: Box<[Node; 2]>,
        wanted: bool,
    },
    Binary {
        operator: Binary,
        sides: Box<[Node; 2]>,
    },
    Call {
        operation: Operation,
        arguments: Box<[Node]>,
    },
    Matches {
        of: Box<Node>,
        pattern: Box<Pattern>,
    },
    InNetwork {
        of: Box<Node>,
        network: Network,
    },
    /// A part of a time, in a zone this many seconds ahead of UTC; or of a duration.
    Part {
        of: Box<Node>,
        part: Part,
        offset: i64,
    },
    Loop(Box<Loop>),
    List(Box<[Node]>),
    /// Keys are literals.
    Map(Box<[(Value<'static>, Node)]>),
}

/// `range.kind(variable, body)`
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: LoopKind,
    pub(crate) range: Node,
    /// Of `map` with three arguments: which items are taken.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// A key of a map of the request.
#[derive(Debug)]
pub(crate) struct Name {
    bytes: Box<str>,
    known: Known,
}

impl Name {
    pub(crate) fn new(map: MapVariable, key: &str) -> Self {
        match map {
            MapVariable::Headers => {
                let bytes = key.to_ascii_lowercase();
                Self { known: Known::from_name(bytes.as_bytes()), bytes: bytes.into() }
            }
            _ => Self { bytes: key.into(), known: Known::Other },
        }
    }

    pub(crate) fn key(&self) -> Key<'_> {
        Key { bytes: self.bytes.as_bytes(), known: self.known }
    }
}
