//! What a value may look like, as data: the schema and the reference are both made from it.

use serde_json::Value as Json;

/// What a value may look like.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Boolean,
    Integer {
        minimum: u32,
        maximum: u32,
    },
    Text(Text),
    /// One of a fixed set of words.
    Words(Vec<Word>),
    List {
        of: Box<Shape>,
        minimum: usize,
    },
    /// A mapping with names of the document's choosing.
    Map {
        names: &'static str,
        of: Box<Shape>,
    },
    /// A mapping with known keys.
    Section(Section),
    AnyOf(Vec<Shape>),
}

/// A text of some form.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// What it is, in a word or two.
    pub(crate) word: &'static str,
    /// A regular expression (ECMA 262) that every right text matches.
    pub(crate) pattern: Option<&'static str>,
    /// Whether a bare number is right as well.
    pub(crate) or_number: bool,
}

/// A word and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) doc: String,
}

/// A mapping with known keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// The name of its definition in the schema.
    pub(crate) name: &'static str,
    /// What it is for, as written in the code.
    pub(crate) doc: &'static [&'static str],
    /// Its keys, made on demand: sections hold sections.
    pub(crate) rows: fn() -> Vec<Row>,
}

/// A key of a section.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The names it may be written by, the usual one first.
    pub(crate) names: Vec<&'static str>,
    pub(crate) doc: String,
    pub(crate) need: Need,
    pub(crate) shape: Shape,
}

/// What happens when a key is left out.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    Required,
    Optional,
    /// All defaults of the section are used.
    Section,
    /// This is used.
    Default(Json),
    /// Exactly one of the section's keys of this kind is needed.
    OneOf,
}

impl Shape {
    /// Any text.
    pub(crate) fn text(word: &'static str) -> Self {
        Self::Text(Text { word, pattern: None, or_number: false })
    }

    /// Text of a form.
    pub(crate) fn pattern(word: &'static str, pattern: &'static str) -> Self {
        Self::Text(Text { word, pattern: Some(pattern), or_number: false })
    }

    /// The word `none`.
    pub(crate) fn none() -> Self {
        Self::Words(vec![Word { word: "none", doc: "Switched off.".to_owned() }])
    }
}

/// Doc comment lines as one paragraph.
pub(crate) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}
