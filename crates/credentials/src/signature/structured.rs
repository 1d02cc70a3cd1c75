//! Structured fields (RFC 9651) as far as signatures need them: dictionaries of items and inner lists, read strictly,
//! written as section 4.1 says.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The most members of a dictionary, of an inner list, and of parameters.
const MAX_MEMBERS: usize = 64;

/// Why a field is not read: what was found where something else belongs.
pub(super) type Fault = &'static str;

/// A bare item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    Integer(i64),
    /// As it was spelled: nothing here counts with it, and read strictly it has one spelling but for zeros at its end.
    Decimal(String),
    String(String),
    Token(String),
    Bytes(Vec<u8>),
    Boolean(bool),
}

/// Parameters, in order, without two of one name.
pub(super) type Parameters = Vec<(String, Bare)>;

/// An item and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) bare: Bare,
    pub(super) parameters: Parameters,
}

/// A member of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    List(Vec<Item>, Parameters),
}

/// Reads a dictionary. Two members of one name are refused, where the RFC lets the last one count: nobody signs so.
pub(super) fn dictionary(text: &[u8]) -> Result<Vec<(String, Member)>, Fault> {
    let mut reader = Reader { rest: text };
    let mut members: Vec<(String, Member)> = Vec::new();
    reader.skip(b" ");
    while !reader.rest.is_empty() {
        let name = reader.key()?;
        if members.iter().any(|(other, _)| *other == name) {
            return Err("two members of one name");
        }
        let member = if reader.take(b'=') {
            reader.member()?
        } else {
            Member::Item(Item { bare: Bare::Boolean(true), parameters: reader.parameters()? })
        };
        members.push((name, member));
        if members.len() > MAX_MEMBERS {
            return Err("too many members");
        }
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            return Ok(members);
        }
        if !reader.take(b',') {
            return Err("no comma between two members");
        }
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            return Err("a comma at the end");
        }
    }
    Ok(members)
}

/// Reads one item with its parameters; nothing may follow.
pub(super) fn item(text: &[u8]) -> Result<Item, Fault> {
    let mut reader = Reader { rest: text };
    let item = reader.item()?;
    if reader.rest.is_empty() { Ok(item) } else { Err("something follows the item") }
}

/// Writes an item.
pub(super) fn write_item(out: &mut String, item: &Item) {
    write_bare(out, &item.bare);
    write_parameters(out, &item.parameters);
}

/// Writes an inner list.
pub(super) fn write_list(out: &mut String, list: &[Item], parameters: &Parameters) {
    out.push('(');
    for (place, item) in list.iter().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        write_item(out, item);
    }
    out.push(')');
    write_parameters(out, parameters);
}

/// Writes parameters.
pub(super) fn write_parameters(out: &mut String, parameters: &Parameters) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Boolean(true) {
            out.push('=');
            write_bare(out, value);
        }
    }
}

fn write_bare(out: &mut String, bare: &Bare) {
    match bare {
        // Writing to a String cannot fail.
        Bare::Integer(number) => drop(write!(out, "{number}")),
        Bare::Decimal(text) | Bare::Token(text) => out.push_str(text),
        Bare::String(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
        Bare::Bytes(bytes) => drop(write!(out, ":{}:", STANDARD.encode(bytes))),
        Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn member(&mut self) -> Result<Member, Fault> {
        if !self.take(b'(') {
            return self.item().map(Member::Item);
        }
        let mut list = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Ok(Member::List(list, self.parameters()?));
            }
            list.push(self.item()?);
            if list.len() > MAX_MEMBERS {
                return Err("too many members");
            }
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return Err("an inner list without an end");
            }
        }
    }

    fn item(&mut self) -> Result<Item, Fault> {
        let bare = self.bare()?;
        Ok(Item { bare, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters, Fault> {
        let mut parameters = Parameters::new();
        while self.take(b';') {
            self.skip(b" ");
            let name = self.key()?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err("two parameters of one name");
            }
            let value = if self.take(b'=') { self.bare()? } else { Bare::Boolean(true) };
            parameters.push((name, value));
            if parameters.len() > MAX_MEMBERS {
                return Err("too many parameters");
            }
        }
        Ok(parameters)
    }

    fn key(&mut self) -> Result<String, Fault> {
        if !matches!(self.rest.first(), Some(b'a'..=b'z' | b'*')) {
            return Err("a name does not begin with a lower-case letter or `*`");
        }
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        Ok(self.text(is_key))
    }

    fn bare(&mut self) -> Result<Bare, Fault> {
        match self.rest.first() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.string(),
            Some(b':') => self.bytes(),
            Some(b'?') => match self.rest.get(1) {
                Some(digit @ (b'0' | b'1')) => {
                    let value = *digit == b'1';
                    self.rest = &self.rest[2..];
                    Ok(Bare::Boolean(value))
                }
                _ => Err("a boolean is `?0` or `?1`"),
            },
            Some(first) if first.is_ascii_alphabetic() || *first == b'*' => {
                let is_token =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Ok(Bare::Token(self.text(is_token)))
            }
            _ => Err("no item where one belongs"),
        }
    }

    fn number(&mut self) -> Result<Bare, Fault> {
        let negative = self.take(b'-');
        let whole = self.text(|byte| byte.is_ascii_digit());
        let sign = if negative { "-" } else { "" };
        if !self.take(b'.') {
            // Fifteen digits fit in an i64.
            let value = if whole.len() <= 15 { format!("{sign}{whole}").parse().ok() } else { None };
            return value.map(Bare::Integer).ok_or("an integer has 1 to 15 digits");
        }
        let fraction = self.text(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 12 || fraction.is_empty() || fraction.len() > 3 {
            return Err("a decimal has 1 to 12 digits before its point and 1 to 3 behind");
        }
        Ok(Bare::Decimal(format!("{sign}{whole}.{fraction}")))
    }

    fn string(&mut self) -> Result<Bare, Fault> {
        let mut text = String::new();
        let mut at = 1;
        while let Some(byte) = self.rest.get(at) {
            match byte {
                b'"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Bare::String(text));
                }
                b'\\' => match self.rest.get(at + 1) {
                    Some(escaped @ (b'"' | b'\\')) => {
                        text.push(char::from(*escaped));
                        at += 1;
                    }
                    _ => return Err("a backslash before something else than `\"` or `\\`"),
                },
                0x20..=0x7e => text.push(char::from(*byte)),
                _ => return Err("a string with something else than printable ASCII"),
            }
            at += 1;
        }
        Err("a string without an end")
    }

    fn bytes(&mut self) -> Result<Bare, Fault> {
        let rest = &self.rest[1..];
        let end = rest.iter().position(|byte| *byte == b':').ok_or("bytes without an end")?;
        let bytes = STANDARD.decode(&rest[..end]).map_err(|_| "bytes are not strict base64")?;
        self.rest = &rest[end + 1..];
        Ok(Bare::Bytes(bytes))
    }

    /// Takes ASCII as long as `is_part` says so.
    fn text(&mut self, is_part: impl Fn(u8) -> bool) -> String {
        let end = self.rest.iter().position(|byte| !is_part(*byte)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.iter().map(|byte| char::from(*byte)).collect()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn skip(&mut self, bytes: &[u8]) {
        while self.rest.first().is_some_and(|first| bytes.contains(first)) {
            self.rest = &self.rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bare, Member, dictionary, item, write_item, write_list};

    fn rewritten(text: &str) -> Option<String> {
        let mut out = String::new();
        for (name, member) in dictionary(text.as_bytes()).ok()? {
            if !out.is_empty() {
                out.push_str(", ");
            }
            out.push_str(&name);
            out.push('=');
            match member {
                Member::Item(item) => write_item(&mut out, &item),
                Member::List(list, parameters) => write_list(&mut out, &list, &parameters),
            }
        }
        Some(out)
    }

    #[test]
    fn what_is_read_is_written_in_its_one_spelling() {
        for (text, written) in [
            ("", ""),
            ("a=1", "a=1"),
            ("a=?0;b, c", "a=?0;b, c=?1"),
            ("a=(\"x\"  \"y\";k=\"v\" );c=-5;d=1.50", "a=(\"x\" \"y\";k=\"v\");c=-5;d=1.50"),
            ("a=();b=tok/en:x\t,\tb=:aGk=:", "a=();b=tok/en:x, b=:aGk=:"),
            ("a=\"q\\\"\\\\\"", "a=\"q\\\"\\\\\""),
            ("a=0;  b", "a=0;b"),
        ] {
            assert_eq!(rewritten(text).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_is_not_strict_is_refused() {
        for text in [
            "a=",
            "A=1",
            "a=1,",
            "a=1 b=2",
            "a=1,,b=2",
            "=1",
            "a=1;",
            "a=1;B=2",
            "a=(1",
            "a=(1,2)",
            "a=(\"x\"\"y\")",
            "a=\"x",
            "a=\"\\n\"",
            "a=\"\t\"",
            "a=\"é\"",
            "a=:aGk:",
            "a=:aGl=:",
            "a=:aGk=",
            "a=?2",
            "a=1234567890123456",
            "a=1.",
            "a=1.2345",
            "a=-",
            "a=@5",
            "a=1, a=2",
            "a=1;b=1;b=2",
            "a =1",
            "a= 1",
            "a=1\r\n",
        ] {
            assert_eq!(rewritten(text), None, "{text}");
        }
        let many: Vec<_> = (0..65).map(|n| format!("a{n}=1")).collect();
        assert_eq!(rewritten(&many.join(", ")), None);
        assert!(item(b"\"a\";b=\"c\"").is_ok_and(|item| item.bare == Bare::String("a".to_owned())));
        assert!(item(b"\"a\" ").is_err());
    }
}
