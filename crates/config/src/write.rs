//! Documents as text: the one that the no-file mode stands for, and any document once it is decoded.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::model::Document;
use crate::setting::Setting;
use crate::shape::Shape;

/// The document that `tollgate proxy --listen … --to …` stands for. Addresses go in as they are; loading
/// the text checks them.
pub fn forwarding(listen: &[String], to: &[String]) -> String {
    let list =
        |addresses: &[String]| addresses.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
    let listen = match listen {
        [one] => quoted(one),
        more => format!("[{}]", list(more)),
    };
    match to {
        [one] if one.contains(':') => {
            format!("version: 1\nlisten: {listen}\nroutes:\n  - path: /\n    to: {}\n", quoted(one))
        }
        more => format!(
            "version: 1\nlisten: {listen}\nupstreams:\n  endpoints: [{}]\nroutes:\n  - path: /\n    to: endpoints\n",
            list(more)
        ),
    }
}

impl Document {
    /// The document as YAML: includes merged, variables replaced, secrets masked, and what is as without
    /// it left out.
    pub fn to_yaml(&self) -> String {
        let mut encoded = self.encode();
        if let Json::Object(map) = &mut encoded {
            // What was included is part of it now.
            map.remove("include");
        }
        let mut out = String::new();
        block(&mut out, &encoded, &Self::shape(), 0);
        out
    }
}

/// Writes a value that begins on its own line, at an indentation.
fn block(out: &mut String, value: &Json, shape: &Shape, indent: usize) {
    match value {
        Json::Object(map) => {
            for (key, item, shape) in ordered(map, shape) {
                let _ = write!(out, "{:indent$}{}:", "", scalar(&Json::from(key)));
                after_key(out, item, &shape, indent);
            }
        }
        Json::Array(items) => {
            let of = element(shape);
            for item in items {
                let mut text = String::new();
                block(&mut text, item, &of, indent + 2);
                // The dash takes the place of the first line's indentation.
                let _ = write!(out, "{:indent$}- {}", "", text.trim_start_matches(' '));
            }
        }
        other => {
            let _ = writeln!(out, "{:indent$}{}", "", scalar(other));
        }
    }
}

fn after_key(out: &mut String, value: &Json, shape: &Shape, indent: usize) {
    match value {
        Json::Object(map) if map.is_empty() => out.push_str(" {}\n"),
        Json::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Json::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<String> = items.iter().map(scalar).collect();
            let _ = writeln!(out, " [{}]", items.join(", "));
        }
        Json::Object(_) | Json::Array(_) => {
            out.push('\n');
            block(out, value, shape, indent + 2);
        }
        other => {
            let _ = writeln!(out, " {}", scalar(other));
        }
    }
}

/// The entries of a mapping in the order of the section's rows, each with its shape.
fn ordered<'a>(map: &'a serde_json::Map<String, Json>, shape: &Shape) -> Vec<(&'a str, &'a Json, Shape)> {
    match find(shape, |shape| matches!(shape, Shape::Section(_) | Shape::Map { .. })) {
        Some(Shape::Map { of, .. }) => {
            map.iter().map(|(key, value)| (key.as_str(), value, (**of).clone())).collect()
        }
        Some(Shape::Section(section)) => {
            let entry = |name: &str| map.get_key_value(name).map(|(key, value)| (key.as_str(), value));
            let rows = (section.rows)();
            let entries = rows.iter().filter_map(|row| entry(row.names[0]).map(|entry| (row, entry)));
            entries.map(|(row, (key, value))| (key, value, row.shape.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// The shape of a list's elements.
fn element(shape: &Shape) -> Shape {
    match find(shape, |shape| matches!(shape, Shape::List { .. })) {
        Some(Shape::List { of, .. }) => (**of).clone(),
        _ => Shape::Boolean,
    }
}

/// The first shape of a kind among those that a value may have.
fn find(shape: &Shape, wanted: fn(&Shape) -> bool) -> Option<&Shape> {
    match shape {
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| find(shape, wanted)),
        shape => wanted(shape).then_some(shape),
    }
}

fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) if is_plain(text) => text.clone(),
        Json::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Texts that YAML reads back as the same text without quotes.
fn is_plain(text: &str) -> bool {
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let first = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
    let number = |text: &str| text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let rest = |c: char| c.is_ascii_alphanumeric() || "/_.-%".contains(c);
    (text.starts_with(first) || number(text) && text.ends_with(|c: char| c.is_ascii_alphabetic() || c == '%'))
        && text.chars().all(rest)
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
}

/// In double quotes. JSON's escapes are YAML's as well; `${` is doubled, so that it stays literal.
fn quoted(text: &str) -> String {
    Json::from(text.replace("${", "$${")).to_string()
}
