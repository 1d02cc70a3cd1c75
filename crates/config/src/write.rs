//! Documents as text: the one that the no-file mode stands for, and any document once it is decoded.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::item::{Builder, Content, Item, MASK};
use crate::model::Document;
use crate::setting::Setting;

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
        // What was included is part of it now.
        let encoded = self.encode_without(&["include"]);
        let item = Builder::default().item(&encoded, &Self::shape(), None, true);
        let mut writer = Writer { out: String::new(), only_set: true, comment: &|_| None };
        writer.block(&item, 0);
        writer.out
    }
}

/// Writes items as YAML.
pub(crate) struct Writer<'a> {
    pub(crate) out: String,
    /// Leaves out what is as without it.
    pub(crate) only_set: bool,
    /// What to say about a value at the end of its line.
    pub(crate) comment: &'a dyn Fn(&Item) -> Option<String>,
}

impl Writer<'_> {
    /// Writes a value that begins on its own line, at an indentation.
    pub(crate) fn block(&mut self, item: &Item, indent: usize) {
        match &item.content {
            Content::Mapping(entries) if Item::shown(entries, self.only_set).next().is_none() => {
                let _ = write!(self.out, "{:indent$}{{}}", "");
                self.end(item);
            }
            Content::Mapping(entries) => {
                for (key, item) in Item::shown(entries, self.only_set) {
                    let _ = write!(self.out, "{:indent$}{}:", "", scalar(&Json::from(key.as_str())));
                    self.after_key(item, indent);
                }
            }
            Content::List(items) => {
                for item in items {
                    let start = self.out.len();
                    self.block(item, indent + 2);
                    // The dash takes the place of the first line's indentation.
                    let dash = start + indent..start + indent + 1;
                    if self.out.get(dash.clone()) == Some(" ") {
                        self.out.replace_range(dash, "-");
                    }
                }
            }
            Content::Scalar(value) => {
                let _ = write!(self.out, "{:indent$}{}", "", scalar(value));
                self.end(item);
            }
            Content::Secret(_) => {
                let _ = write!(self.out, "{:indent$}\"{MASK}\"", "");
                self.end(item);
            }
        }
    }

    fn after_key(&mut self, item: &Item, indent: usize) {
        match &item.content {
            Content::Mapping(entries) if Item::shown(entries, self.only_set).next().is_none() => {
                self.out.push_str(" {}");
                self.end(item);
            }
            Content::List(items) if self.fits_a_line(items) => {
                let items: Vec<String> = items.iter().map(|item| scalar(&item.masked())).collect();
                let _ = write!(self.out, " [{}]", items.join(", "));
                self.end(item);
            }
            Content::Mapping(_) | Content::List(_) => {
                self.out.push('\n');
                self.block(item, indent + 2);
            }
            Content::Scalar(_) | Content::Secret(_) => {
                let _ = write!(self.out, " {}", scalar(&item.masked()));
                self.end(item);
            }
        }
    }

    /// Whether the items are single values about which the same is to be said.
    fn fits_a_line(&self, items: &[Item]) -> bool {
        let single = |item: &Item| matches!(item.content, Content::Scalar(_) | Content::Secret(_));
        let Some(head) = items.first() else { return true };
        let comment = (self.comment)(head);
        items.iter().all(|item| single(item) && (self.comment)(item) == comment)
    }

    fn end(&mut self, item: &Item) {
        // Of a list on one line, its values say where they are from.
        let said = match &item.content {
            Content::List(items) => items.first().unwrap_or(item),
            _ => item,
        };
        if let Some(comment) = (self.comment)(said) {
            // A file may have any name, but a comment ends with its line.
            let comment: String = comment.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            let _ = write!(self.out, "  # {comment}");
        }
        self.out.push('\n');
    }
}

pub(crate) fn scalar(value: &Json) -> String {
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
