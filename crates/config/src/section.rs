//! The macros that turn one row per key into the struct field, its decoding, its default, and its
//! lines in the schema and the reference.

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting};
use crate::shape::{Need, Row};
use crate::source::Origin;
use crate::suggest::nearest;
use crate::table::nothing;
use crate::tree::{Key, Node, Value};

/// The entries of a mapping that is being decoded.
pub(crate) struct Fields<'n> {
    pub(crate) origin: Origin,
    entries: Entries<'n>,
}

enum Entries<'n> {
    Mapping(&'n [(Key, Node)]),
    /// The short form: the whole value stands for one key.
    Short(&'static str, &'n Node),
}

/// What was found under the names of a key.
enum Found<'n> {
    Absent,
    /// There, wrong, and reported.
    Broken,
    Node(&'n Node),
}

impl<'n> Fields<'n> {
    /// The entries of a node; with `short`, a node that is no mapping stands for that key.
    pub(crate) fn open(
        node: &'n Node,
        short: Option<&'static str>,
        decoder: &mut Decoder<'_>,
    ) -> Option<Self> {
        let entries = match (&node.value, short) {
            (Value::Mapping(entries), _) => Entries::Mapping(entries),
            (Value::Scalar(_) | Value::Sequence(_), Some(key)) if !node.is_nothing() => {
                Entries::Short(key, node)
            }
            _ => {
                decoder.expected(node, "a mapping");
                return None;
            }
        };
        Some(Self { origin: node.origin, entries })
    }

    fn find(&self, names: &[&str], decoder: &mut Decoder<'_>) -> Found<'n> {
        let entries = match self.entries {
            Entries::Short(key, node) if names.contains(&key) => return Found::Node(node),
            Entries::Short(..) => return Found::Absent,
            Entries::Mapping(entries) => entries,
        };
        let mut found = entries.iter().filter(|(key, _)| names.contains(&&*key.text));
        let Some((key, node)) = found.next() else { return Found::Absent };
        if let Some((second, _)) = found.next() {
            let message = format!("`{}` says the same as `{}`", second.text, key.text);
            let finding = Diagnostic::error(second.origin, message).note(key.origin, "first written here");
            decoder.report(finding.mend("keep one of the two"));
        }
        match &node.value {
            Value::Broken => Found::Broken,
            _ if node.is_nothing() => {
                decoder.report(nothing(&key.text, key.origin));
                Found::Broken
            }
            _ => Found::Node(node),
        }
    }

    /// A key that must be there. `None` after a report.
    pub(crate) fn required<T: Setting>(&self, names: &[&str], decoder: &mut Decoder<'_>) -> Option<T> {
        match self.find(names, decoder) {
            Found::Node(node) => T::decode(node, decoder),
            Found::Broken => None,
            Found::Absent => {
                let message = format!("the key `{}` is missing here", names[0]);
                decoder.report(Diagnostic::error(self.origin, message));
                None
            }
        }
    }

    /// A key that may be left out. One that is wrong counts as left out after its report.
    pub(crate) fn optional<T: Setting>(&self, names: &[&str], decoder: &mut Decoder<'_>) -> Option<T> {
        match self.find(names, decoder) {
            Found::Node(node) => T::decode(node, decoder),
            Found::Broken | Found::Absent => None,
        }
    }

    /// A section that is there with all its defaults when it is left out.
    pub(crate) fn or_empty<T: Setting>(&self, names: &[&str], decoder: &mut Decoder<'_>) -> Option<T> {
        match self.find(names, decoder) {
            Found::Node(node) => T::decode(node, decoder),
            Found::Broken | Found::Absent => T::decode(&Node::EMPTY, decoder),
        }
    }

    /// The one key of a choice that was written, with its node. `None` after a report.
    pub(crate) fn one_of(&self, keys: &[&str], decoder: &mut Decoder<'_>) -> Option<(&'n str, &'n Node)> {
        let entries = match self.entries {
            Entries::Short(key, node) => return keys.contains(&key).then_some((key, node)),
            Entries::Mapping(entries) => entries,
        };
        let mut written = entries.iter().filter(|(key, _)| keys.contains(&&*key.text));
        let list = || keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let Some((key, node)) = written.next() else {
            decoder.report(Diagnostic::error(self.origin, format!("one of {} is missing here", list())));
            return None;
        };
        for (second, _) in written {
            let message = format!("`{}` cannot stand beside `{}`", second.text, key.text);
            decoder.report(
                Diagnostic::error(second.origin, message)
                    .note(key.origin, "first written here")
                    .mend(format!("keep exactly one of {}", list())),
            );
        }
        if node.is_nothing() {
            decoder.report(nothing(&key.text, key.origin));
            return None;
        }
        Some((&*key.text, node))
    }

    /// Reports the keys that are not known.
    pub(crate) fn refuse_unknown(&self, known: &[&[&'static str]], decoder: &mut Decoder<'_>) {
        let Entries::Mapping(entries) = self.entries else { return };
        let known = || known.iter().flat_map(|names| names.iter().copied());
        for (key, _) in entries {
            if known().any(|name| name == &*key.text) {
                continue;
            }
            if decoder.diagnostics.is_full() {
                decoder.report(Diagnostic::error(key.origin, String::new()));
                continue;
            }
            let mend = match nearest(&key.text, known()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => {
                    let names = known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    if names.is_empty() {
                        "no keys are known here".into()
                    } else {
                        format!("known here: {names}")
                    }
                }
            };
            decoder.report(Diagnostic::error(key.origin, format!("unknown key `{}`", key.text)).mend(mend));
        }
    }
}

/// A set of keys of which exactly one is written.
pub(crate) trait Choice: Sized {
    /// All names of all keys.
    const KEYS: &'static [&'static str];
    /// Decodes the one that was written.
    fn read(fields: &Fields<'_>, decoder: &mut Decoder<'_>) -> Option<Self>;
    /// The rows for the schema and the reference.
    fn rows() -> Vec<Row>;
    /// Writes the key and its value.
    fn write(&self, out: &mut Map<String, Json>);
}

/// A row for the schema and the reference.
pub(crate) fn row<T: Setting>(names: &[&'static str], doc: String, need: Need) -> Row {
    Row { names: names.to_vec(), doc, need, shape: T::shape() }
}

/// Writes a key unless its value is what it would be without it.
pub(crate) fn write_changed<T: Setting>(out: &mut Map<String, Json>, key: &str, value: &T, default: &T) {
    let encoded = value.encode();
    if encoded != default.encode() {
        out.insert(key.to_owned(), encoded);
    }
}

/// Writes a section unless all of it is as without it.
pub(crate) fn write_section<T: Setting>(out: &mut Map<String, Json>, key: &str, value: &T) {
    let encoded = value.encode();
    if encoded.as_object().is_none_or(|object| !object.is_empty()) {
        out.insert(key.to_owned(), encoded);
    }
}

/// A mapping with known keys. A row is `field ("key" | "alias"): Type = mode;` with a doc comment,
/// the names only where they differ from the field's. Modes: `required`; `optional` (the type is an
/// `Option`); `default(value)`; `section` (all its defaults when left out); `choice` (the keys of a
/// [`choice!`] stand among the section's own). `short "key"`: a value that is no mapping stands for
/// that key.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident $(short $short:literal)? {
            $(
                $(#[doc = $row_doc:literal])+
                $field:ident $(($($key:literal)|+))? : $type:ty = $mode:ident $(($default:expr))?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[doc = $row_doc])+ pub $field: $type,)* }

        impl $crate::setting::Setting for $name {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                let short: Option<&'static str> = None $(.or(Some($short)))?;
                let fields = $crate::section::Fields::open(node, short, decoder)?;
                $(let $field = $crate::section::section!(
                    @read $mode fields decoder ($type)
                    ($crate::section::section!(@names $field $($($key)+)?)) $(($default))?
                );)*
                fields.refuse_unknown(
                    &[$($crate::section::section!(@known $mode ($type) $field $($($key)+)?)),*],
                    decoder,
                );
                Some(Self { $($field: $field?,)* })
            }

            fn shape() -> $crate::shape::Shape {
                fn rows() -> Vec<$crate::shape::Row> {
                    #[allow(unused_mut, reason = "a section may have no keys")]
                    let mut rows = Vec::new();
                    $(
                        let doc = $crate::shape::paragraph(&[$($row_doc),+]);
                        $crate::section::section!(
                            @row $mode rows doc ($type)
                            ($crate::section::section!(@names $field $($($key)+)?)) $(($default))?
                        );
                    )*
                    rows
                }
                let section = $crate::shape::Shape::Section($crate::shape::Section {
                    name: stringify!($name),
                    doc: &[$($doc),+],
                    rows,
                });
                $(
                    let short = rows().into_iter().find(|row| row.names.contains(&$short));
                    if let Some(short) = short {
                        return $crate::shape::Shape::AnyOf(vec![short.shape, section]);
                    }
                )?
                section
            }

            fn encode(&self) -> serde_json::Value {
                self.encode_without(&[])
            }

            fn encode_without(&self, _keys: &[&str]) -> serde_json::Value {
                #[allow(unused_mut, reason = "a section may have no keys")]
                let mut out = serde_json::Map::new();
                $(
                    let names: &[&str] = $crate::section::section!(@names $field $($($key)+)?);
                    if !_keys.contains(&names[0]) {
                        $crate::section::section!(
                            @write $mode out (&self.$field) ($type) (names) $(($default))?
                        );
                    }
                )*
                serde_json::Value::Object(out)
            }
        }
    };

    (@names $field:ident) => { &[stringify!($field)] };
    (@names $field:ident $($key:literal)+) => { &[$($key),+] };

    (@known choice ($type:ty) $($rest:tt)+) => { <$type as $crate::section::Choice>::KEYS };
    (@known $mode:ident ($type:ty) $($rest:tt)+) => { $crate::section::section!(@names $($rest)+) };

    (@read required $fields:ident $decoder:ident ($type:ty) ($names:expr)) => {
        $fields.required::<$type>($names, $decoder)
    };
    (@read optional $fields:ident $decoder:ident ($type:ty) ($names:expr)) => {
        Some($fields.optional($names, $decoder))
    };
    (@read default $fields:ident $decoder:ident ($type:ty) ($names:expr) ($default:expr)) => {
        $fields.optional::<$type>($names, $decoder).or_else(|| Some($default))
    };
    (@read section $fields:ident $decoder:ident ($type:ty) ($names:expr)) => {
        $fields.or_empty::<$type>($names, $decoder)
    };
    (@read choice $fields:ident $decoder:ident ($type:ty) ($names:expr)) => {
        <$type as $crate::section::Choice>::read(&$fields, $decoder)
    };

    (@row required $rows:ident $doc:ident ($type:ty) ($names:expr)) => {
        $rows.push($crate::section::row::<$type>($names, $doc, $crate::shape::Need::Required));
    };
    (@row optional $rows:ident $doc:ident ($type:ty) ($names:expr)) => {
        $rows.push($crate::section::row::<$type>($names, $doc, $crate::shape::Need::Optional));
    };
    (@row default $rows:ident $doc:ident ($type:ty) ($names:expr) ($default:expr)) => {{
        let default: $type = $default;
        let need = $crate::shape::Need::Default($crate::setting::Setting::encode(&default));
        $rows.push($crate::section::row::<$type>($names, $doc, need));
    }};
    (@row section $rows:ident $doc:ident ($type:ty) ($names:expr)) => {
        $rows.push($crate::section::row::<$type>($names, $doc, $crate::shape::Need::Section));
    };
    (@row choice $rows:ident $doc:ident ($type:ty) ($names:expr)) => {{
        let _ = $doc;
        $rows.extend(<$type as $crate::section::Choice>::rows());
    }};

    (@write required $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        $out.insert($names[0].to_owned(), $crate::setting::Setting::encode($value));
    };
    (@write optional $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        if let Some(value) = $value {
            $out.insert($names[0].to_owned(), $crate::setting::Setting::encode(value));
        }
    };
    (@write default $out:ident ($value:expr) ($type:ty) ($names:expr) ($default:expr)) => {
        $crate::section::write_changed::<$type>(&mut $out, $names[0], $value, &$default);
    };
    (@write section $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        $crate::section::write_section::<$type>(&mut $out, $names[0], $value);
    };
    (@write choice $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        $crate::section::Choice::write($value, &mut $out);
    };
}
pub(crate) use section;

/// A union of which a document writes exactly one key. `short Variant`: a scalar stands for that
/// variant.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident $(short $short:ident)? {
            $($(#[doc = $row_doc:literal])+ $variant:ident ($($key:literal)|+): $type:ty;)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $($(#[doc = $row_doc])+ $variant($type),)+ }

        impl $crate::section::Choice for $name {
            const KEYS: &'static [&'static str] = &[$($($key),+),+];

            fn read(
                fields: &$crate::section::Fields<'_>,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                let (key, node) = fields.one_of(Self::KEYS, decoder)?;
                match key {
                    $($($key)|+ => <$type as $crate::setting::Setting>::decode(node, decoder).map(Self::$variant),)+
                    _ => None,
                }
            }

            fn rows() -> Vec<$crate::shape::Row> {
                let mut rows = Vec::new();
                $(
                    let doc = $crate::shape::paragraph(&[$($row_doc),+]);
                    let need = $crate::shape::Need::OneOf;
                    rows.push($crate::section::row::<$type>(&[$($key),+], doc, need));
                )+
                rows
            }

            fn write(&self, out: &mut serde_json::Map<String, serde_json::Value>) {
                match self {
                    $(Self::$variant(value) => {
                        let keys: &[&str] = &[$($key),+];
                        out.insert(keys[0].to_owned(), $crate::setting::Setting::encode(value));
                    })+
                }
            }
        }

        impl $crate::setting::Setting for $name {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                $(
                    if matches!(node.value, $crate::tree::Value::Scalar(_)) {
                        return $crate::setting::Setting::decode(node, decoder).map(Self::$short);
                    }
                )?
                let fields = $crate::section::Fields::open(node, None, decoder)?;
                let value = <Self as $crate::section::Choice>::read(&fields, decoder);
                fields.refuse_unknown(&[<Self as $crate::section::Choice>::KEYS], decoder);
                value
            }

            fn shape() -> $crate::shape::Shape {
                let section = $crate::shape::Shape::Section($crate::shape::Section {
                    name: stringify!($name),
                    doc: &[$($doc),+],
                    rows: <Self as $crate::section::Choice>::rows,
                });
                let _variants = [$(stringify!($variant)),+];
                $(
                    let at = _variants.iter().position(|variant| *variant == stringify!($short));
                    let rows = <Self as $crate::section::Choice>::rows();
                    if let Some(row) = at.and_then(|at| rows.into_iter().nth(at)) {
                        return $crate::shape::Shape::AnyOf(vec![row.shape, section]);
                    }
                )?
                section
            }

            fn encode(&self) -> serde_json::Value {
                let mut out = serde_json::Map::new();
                $crate::section::Choice::write(self, &mut out);
                $(
                    if let Self::$short(value) = self {
                        let short = $crate::setting::Setting::encode(value);
                        if short.is_string() {
                            return short;
                        }
                    }
                )?
                serde_json::Value::Object(out)
            }
        }
    };
}
pub(crate) use choice;

/// One of a fixed set of words. The first word of a row is the usual one, the others are accepted;
/// `later` lists words that are refused as not available yet.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $($(#[doc = $row_doc:literal])+ $variant:ident = $word:literal $(| $alias:literal)*;)+
        }
        $(later [$($later:literal),*])?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $row_doc])+ $variant,)+ }

        impl $name {
            /// The word that a document uses.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl $crate::setting::Setting for $name {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                const WORDS: &[(&str, $name)] =
                    &[$(($word, $name::$variant), $(($alias, $name::$variant),)*)+];
                $crate::setting::decode_word(node, decoder, WORDS, &[$($($later),*)?])
            }

            fn shape() -> $crate::shape::Shape {
                let mut words = Vec::new();
                $(
                    let doc = $crate::shape::paragraph(&[$($row_doc),+]);
                    words.push($crate::shape::Word { word: $word, doc });
                    $(
                        let doc = concat!("The same as `", $word, "`.").to_owned();
                        words.push($crate::shape::Word { word: $alias, doc });
                    )*
                )+
                $crate::shape::Shape::Words(words)
            }

            fn encode(&self) -> serde_json::Value {
                // Words that look like numbers are written as such.
                let word = self.word();
                word.parse::<u64>().map_or_else(|_| word.into(), serde_json::Value::from)
            }
        }
    };
}
pub(crate) use words;
