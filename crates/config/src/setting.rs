//! What every value of the document can do: be decoded, describe itself, be written again.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::shape::Shape;
use crate::source::{Files, Located, Sources};
use crate::suggest::nearest;
use crate::tree::{Node, Scalar, Value};

/// Where decoding reports to and reads secrets from.
pub(crate) struct Decoder<'a> {
    pub(crate) diagnostics: &'a mut Diagnostics,
    pub(crate) sources: &'a mut Sources,
    pub(crate) files: &'a dyn Files,
}

impl Decoder<'_> {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports that a node is of the wrong kind. Broken nodes were reported before.
    pub(crate) fn expected(&mut self, node: &Node, what: &str) {
        if !matches!(node.value, Value::Broken) {
            let message = format!("expected {what}, but this is {}", node.kind());
            self.report(Diagnostic::error(node.origin, message));
        }
    }

    /// The scalar of a node, or a report that it is none.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) if !node.is_nothing() => Some(scalar),
            _ => {
                self.expected(node, what);
                None
            }
        }
    }
}

/// A type that values of the document decode into.
pub(crate) trait Setting: Sized {
    /// Decodes a node; reports what is wrong with it and gives `None`, or gives the value.
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self>;
    /// What the schema and the reference say about it.
    fn shape() -> Shape;
    /// The value as a document writes it: what is as without it left out, secrets sealed.
    fn encode(&self) -> Json;
    /// The same without some keys, for those that would be most of the work and are looked at otherwise. What
    /// has no keys is encoded whole.
    fn encode_without(&self, _keys: &[&str]) -> Json {
        self.encode()
    }
}

/// Why a text is not a value of some type: the problem, and the mend if one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// What is wrong, in one line, the value named.
    pub message: String,
    /// What to write instead.
    pub mend: Option<String>,
}

impl ValueError {
    /// An error without a mend.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), mend: None }
    }

    /// An error with what to write instead.
    pub(crate) fn mend(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { message: message.into(), mend: Some(mend.into()) }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.mend.as_ref().map_or(Ok(()), |mend| write!(f, ", {mend}"))
    }
}

impl std::error::Error for ValueError {}

/// Decodes a scalar by the type's own reading of text. Content that came from a variable is not
/// repeated in the finding.
pub(crate) fn decode_text<T>(node: &Node, decoder: &mut Decoder<'_>, what: &str) -> Option<T>
where
    T: FromStr<Err = ValueError>,
{
    let scalar = decoder.scalar(node, what)?;
    match scalar.text.parse() {
        Ok(value) => Some(value),
        Err(_) if scalar.filled => {
            let message = format!("what the variable stands for is not {what}");
            decoder.report(Diagnostic::error(node.origin, message));
            None
        }
        Err(error) => {
            decoder.report(Diagnostic::error(node.origin, error.message).mend_if(error.mend));
            None
        }
    }
}

/// The same for a text that must not hold a secret, but may: where it is wrong and may be one, its place is masked.
/// The type's messages must not repeat it then.
pub(crate) fn decode_careful<T>(
    node: &Node,
    decoder: &mut Decoder<'_>,
    what: &str,
    suspect: fn(&str) -> bool,
) -> Option<T>
where
    T: FromStr<Err = ValueError>,
{
    if let Value::Scalar(scalar) = &node.value
        && !scalar.filled
        && suspect(&scalar.text)
        && scalar.text.parse::<T>().is_err()
    {
        decoder.sources.mark_secret(node.origin);
    }
    decode_text(node, decoder, what)
}

/// Implements [`Setting`] for a type that is read from and shown as one text; `suspect` says which wrong texts may
/// be secrets.
macro_rules! text_setting {
    ($type:ty, $what:expr, $shape:expr, suspect $suspect:expr) => {
        impl $crate::setting::Setting for $type {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                $crate::setting::decode_careful(node, decoder, $what, $suspect)
            }
            fn shape() -> $crate::shape::Shape {
                $shape
            }
            fn encode(&self) -> serde_json::Value {
                serde_json::Value::String(self.to_string())
            }
        }
    };
    ($type:ty, $what:expr, $shape:expr $(, for const $bound:ident: $kind:ty)?) => {
        impl $(<const $bound: $kind>)? $crate::setting::Setting for $type {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                $crate::setting::decode_text(node, decoder, $what)
            }
            fn shape() -> $crate::shape::Shape {
                $shape
            }
            fn encode(&self) -> serde_json::Value {
                serde_json::Value::String(self.to_string())
            }
        }
    };
}
pub(crate) use text_setting;

impl Setting for String {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        decoder.scalar(node, "text").map(|scalar| scalar.text.to_string())
    }
    fn shape() -> Shape {
        Shape::text("text")
    }
    fn encode(&self) -> Json {
        Json::String(self.clone())
    }
}

impl Setting for bool {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let scalar = decoder.scalar(node, "`true` or `false`")?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Some(true),
            "false" if scalar.plain => Some(false),
            other => {
                let mend = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" | "1" => Some("write `true`".to_owned()),
                    "no" | "off" | "false" | "n" | "0" => Some("write `false`".to_owned()),
                    _ => None,
                };
                let message = "this is neither `true` nor `false`";
                decoder.report(Diagnostic::error(node.origin, message).mend_if(mend));
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Boolean
    }
    fn encode(&self) -> Json {
        Json::Bool(*self)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// The number, if it is within the bounds.
    pub fn new(number: u32) -> Option<Self> {
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }

    /// A number of the code's own choosing; one beyond the bounds does not compile.
    pub(crate) const fn of<const NUMBER: u32>() -> Self {
        const { assert!(MIN <= NUMBER && NUMBER <= MAX) };
        Self(NUMBER)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Setting for Whole<MIN, MAX> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let scalar = decoder.scalar(node, "a whole number")?;
        let digits =
            scalar.plain && !scalar.text.is_empty() && scalar.text.bytes().all(|b| b.is_ascii_digit());
        if digits && let Some(number) = scalar.text.parse().ok().and_then(Self::new) {
            return Some(number);
        }
        let unquoted = !scalar.plain && scalar.text.parse::<u32>().is_ok();
        let message = match digits {
            true => format!("this must be from {MIN} to {MAX}"),
            false => format!("expected a whole number from {MIN} to {MAX}"),
        };
        let mend = unquoted.then(|| "write it without quotes".to_owned());
        decoder.report(Diagnostic::error(node.origin, message).mend_if(mend));
        None
    }
    fn shape() -> Shape {
        Shape::Integer { minimum: MIN, maximum: MAX }
    }
    fn encode(&self) -> Json {
        self.0.into()
    }
}

impl<T: Setting> Setting for Located<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(|value| Self { value, origin: node.origin })
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn encode(&self) -> Json {
        self.value.encode()
    }
    fn encode_without(&self, keys: &[&str]) -> Json {
        self.value.encode_without(keys)
    }
}

impl<T: Setting> Setting for Box<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(Box::new)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn encode(&self) -> Json {
        (**self).encode()
    }
    fn encode_without(&self, keys: &[&str]) -> Json {
        (**self).encode_without(keys)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(Some)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn encode(&self) -> Json {
        self.as_ref().map_or(Json::Null, Setting::encode)
    }
}

impl<T: Setting> Setting for Vec<T> {
    /// Entries that are wrong are reported and left out.
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            decoder.expected(node, "a list");
            return None;
        };
        let mut decoded = Vec::with_capacity(items.len());
        decoded.extend(items.iter().filter_map(|item| T::decode(item, decoder)));
        Some(decoded)
    }
    fn shape() -> Shape {
        Shape::List { of: Box::new(T::shape()), minimum: 0 }
    }
    fn encode(&self) -> Json {
        self.iter().map(Setting::encode).collect()
    }
}

/// A list that cannot be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> Deref for NonEmpty<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Setting> Setting for NonEmpty<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if matches!(&node.value, Value::Sequence(items) if items.is_empty()) {
            decoder
                .report(Diagnostic::error(node.origin, "this list is empty, but needs at least one entry"));
            return None;
        }
        // Empty here means that every entry was wrong and reported.
        Vec::decode(node, decoder).filter(|items| !items.is_empty()).map(Self)
    }
    fn shape() -> Shape {
        Shape::List { of: Box::new(T::shape()), minimum: 1 }
    }
    fn encode(&self) -> Json {
        self.0.encode()
    }
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Many<T>(pub Vec<T>);

impl<T> Many<T> {
    /// An empty list.
    pub const fn none() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Many<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Setting> Setting for Many<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            // Where every entry was wrong and reported, the list is wrong, and not empty.
            Value::Sequence(items) => {
                Vec::decode(node, decoder).filter(|kept| items.is_empty() || !kept.is_empty()).map(Self)
            }
            _ => T::decode(node, decoder).map(|one| Self(vec![one])),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![T::shape(), Vec::<T>::shape()])
    }
    fn encode(&self) -> Json {
        match &*self.0 {
            [one] => one.encode(),
            more => more.iter().map(Setting::encode).collect(),
        }
    }
}

/// A value, or `none` to switch off what it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Switch<T> {
    /// `none` was written.
    Off,
    /// The value.
    On(T),
}

impl<T> Switch<T> {
    /// The value, if it is not switched off.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Setting> Setting for Switch<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.text.as_str() == "none" => Some(Self::Off),
            Value::Scalar(scalar)
                if matches!(scalar.text.as_str(), "off" | "false" | "no" | "disabled" | "never") =>
            {
                let message = format!("`{}` is not how to switch this off", scalar.text);
                decoder.report(Diagnostic::error(node.origin, message).mend("write `none`"));
                None
            }
            _ => T::decode(node, decoder).map(Self::On),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::none(), T::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Off => "none".into(),
            Self::On(value) => value.encode(),
        }
    }
}

/// A section, `true` for all of its defaults, or `false` for none of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Toggle<T> {
    /// `false` was written.
    Off,
    /// The section.
    On(T),
}

impl<T> Toggle<T> {
    /// The section, if it is not switched off.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Setting> Setting for Toggle<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "false" => Some(Self::Off),
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "true" => {
                let all_defaults = Node { origin: node.origin, ..Node::EMPTY };
                T::decode(&all_defaults, decoder).map(Self::On)
            }
            _ => T::decode(node, decoder).map(Self::On),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Boolean, T::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Off => false.into(),
            Self::On(value) => value.encode(),
        }
    }
}

/// Decodes one of a fixed set of words. `later` holds words of other products and versions that are
/// refused with a reason of their own.
pub(crate) fn decode_word<T: Copy>(
    node: &Node,
    decoder: &mut Decoder<'_>,
    words: &[(&'static str, T)],
    later: &[&str],
) -> Option<T> {
    let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let scalar = decoder.scalar(node, &format!("one of {known}"))?;
    let text = scalar.text.as_str();
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let finding = if scalar.filled {
        Diagnostic::error(node.origin, format!("what the variable stands for is not one of {known}"))
    } else if later.contains(&text) {
        Diagnostic::error(node.origin, format!("`{text}` is not available yet")).mend(format!("use {known}"))
    } else {
        // Of numbers, the nearest is no likelier than another.
        let named = |word: &&str| !word.starts_with(|c: char| c.is_ascii_digit());
        let near = nearest(text, words.iter().map(|(word, _)| *word).filter(named));
        let mend = near.map_or_else(|| format!("use {known}"), |word| format!("did you mean `{word}`?"));
        Diagnostic::error(node.origin, format!("`{text}` is not one of {known}")).mend(mend)
    };
    decoder.report(finding);
    None
}
