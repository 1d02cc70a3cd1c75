//! The reference page of the document, in Markdown.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use crate::model::Document;
use crate::setting::Setting;
use crate::shape::{Need, Row, Section, Shape, paragraph};

/// The reference of all keys of the document, in Markdown, a heading for each section.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut waiting = VecDeque::new();
    let mut seen = HashSet::new();
    collect(&Document::shape(), &mut waiting, &mut seen);
    while let Some(section) = waiting.pop_front() {
        let rows = (section.rows)();
        self::section(&mut out, section, &rows);
        for row in &rows {
            collect(&row.shape, &mut waiting, &mut seen);
        }
    }
    out
}

const INTRODUCTION: &str = "# Reference of the document

Made from the program's own rows by `tollgate reference`; do not edit.

Durations are a whole number and a unit (`250ms`, `5s`, `1m`, `1h`, `7d`), sizes likewise (`64KiB`, `10MiB`, a plain
number is bytes), percentages end in `%`. `${NAME}`, `${NAME:-default}` and `${NAME:?message}` in unquoted values are
replaced from the environment; `$${` is a literal `${`.
";

/// Puts the sections that a shape names in line, each once.
fn collect(shape: &Shape, waiting: &mut VecDeque<Section>, seen: &mut HashSet<&'static str>) {
    match shape {
        Shape::Section(section) => {
            if seen.insert(section.name) {
                waiting.push_back(*section);
            }
        }
        Shape::List { of, .. } | Shape::Map { of, .. } => collect(of, waiting, seen),
        Shape::AnyOf(shapes) => {
            for shape in shapes {
                collect(shape, waiting, seen);
            }
        }
        Shape::Boolean | Shape::Integer { .. } | Shape::Text(_) | Shape::Words(_) => {}
    }
}

fn section(out: &mut String, section: Section, rows: &[Row]) {
    let _ = write!(out, "\n## {}\n\n{}\n", section.name, paragraph(section.doc));
    if rows.is_empty() {
        return;
    }
    out.push_str("\n| key | value | if left out | meaning |\n| --- | --- | --- | --- |\n");
    for row in rows {
        let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
        let absent = match &row.need {
            Need::Required => "an error".to_owned(),
            Need::Optional | Need::Section => String::new(),
            Need::Default(serde_json::Value::String(text)) => format!("`{text}`"),
            Need::Default(value) => format!("`{value}`"),
            Need::OneOf => "one of these is needed".to_owned(),
        };
        let words = described_words(&row.shape);
        let meaning = if words.is_empty() { row.doc.clone() } else { format!("{} {words}", row.doc) };
        let cells = [names.join(" or "), label(&row.shape), absent, meaning];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

/// What a value is, in a few words.
fn label(shape: &Shape) -> String {
    match shape {
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Integer { minimum, maximum } if minimum == maximum => format!("`{minimum}`"),
        Shape::Integer { minimum, maximum } => format!("number, {minimum} to {maximum}"),
        Shape::Text(text) => text.word.to_owned(),
        Shape::Words(words) => {
            words.iter().map(|word| format!("`{}`", word.word)).collect::<Vec<_>>().join(", ")
        }
        Shape::List { of, .. } => format!("list of: {}", label(of)),
        Shape::Map { names, of } => format!("mapping of {names} to: {}", label(of)),
        Shape::Section(section) => format!("[{}](#{})", section.name, section.name.to_lowercase()),
        Shape::AnyOf(shapes) => shapes.iter().map(label).collect::<Vec<_>>().join("; or "),
    }
}

/// What each word of a choice of words stands for.
fn described_words(shape: &Shape) -> String {
    let Shape::Words(words) = shape else { return String::new() };
    words.iter().map(|word| format!("`{}`: {}", word.word, word.doc)).collect::<Vec<_>>().join(" ")
}
