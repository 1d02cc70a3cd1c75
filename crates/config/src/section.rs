//! The macros that turn one row per key into the struct field, its decoding, its default, and its
//! lines in the schema and the reference.

mod choice;
mod words;

pub(crate) use choice::choice;
pub(crate) use words::words;

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

    /// Whether one of these keys is written.
    fn has(&self, knows: fn(&str) -> bool) -> bool {
        match self.entries {
            Entries::Mapping(entries) => entries.iter().any(|(key, _)| knows(&key.text)),
            Entries::Short(key, _) => knows(key),
        }
    }

    /// Reports the keys that are not those of a part.
    pub(crate) fn refuse_unknown<P: Part>(&self, decoder: &mut Decoder<'_>) {
        let Entries::Mapping(entries) = self.entries else { return };
        for (key, _) in entries.iter().filter(|(key, _)| !P::knows(&key.text)) {
            if decoder.diagnostics.is_full() {
                decoder.report(Diagnostic::error(key.origin, String::new()));
                continue;
            }
            let known = P::names();
            let mend = match nearest(&key.text, known.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None if known.is_empty() => "no keys are known here".into(),
                None => {
                    let names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    format!("known here: {names}")
                }
            };
            decoder.report(Diagnostic::error(key.origin, format!("unknown key `{}`", key.text)).mend(mend));
        }
    }
}

/// Keys that can stand among others: those of a section, which may be part of another section.
pub(crate) trait Part: Sized {
    /// Whether a key is one of them.
    fn knows(key: &str) -> bool;
    /// All names of all keys.
    fn names() -> Vec<&'static str>;
    /// Decodes them. `None` after a report.
    fn read(fields: &Fields<'_>, decoder: &mut Decoder<'_>) -> Option<Self>;
    /// The rows for the schema and the reference.
    fn rows() -> Vec<Row>;
    /// Writes the keys and their values, without some.
    fn write(&self, out: &mut Map<String, Json>, but: &[&str]);
}

/// Nothing is kept where none of the keys is written: many routes have none of most parts.
impl<P: Part> Part for Option<Box<P>> {
    fn knows(key: &str) -> bool {
        P::knows(key)
    }
    fn names() -> Vec<&'static str> {
        P::names()
    }
    fn read(fields: &Fields<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        if !fields.has(P::knows) {
            return Some(None);
        }
        P::read(fields, decoder).map(|part| Some(Box::new(part)))
    }
    fn rows() -> Vec<Row> {
        P::rows()
    }
    fn write(&self, out: &mut Map<String, Json>, but: &[&str]) {
        if let Some(part) = self {
            part.write(out, but);
        }
    }
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
/// [`choice!`] stand among the section's own); `flatten` (the keys of another section, or of an
/// `Option<Box<_>>` of one, stand among them). `short "key"`: a value that is no mapping stands for
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

        impl $crate::section::Part for $name {
            fn knows(_key: &str) -> bool {
                false $(|| $crate::section::section!(
                    @knows $mode _key ($type) ($crate::section::section!(@names $field $($($key)+)?))
                ))*
            }

            fn names() -> Vec<&'static str> {
                #[allow(unused_mut, reason = "a section may have no keys")]
                let mut names: Vec<&'static str> = Vec::new();
                $($crate::section::section!(
                    @list $mode names ($type) ($crate::section::section!(@names $field $($($key)+)?))
                );)*
                names
            }

            fn read(
                _fields: &$crate::section::Fields<'_>,
                _decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                $(let $field = $crate::section::section!(
                    @read $mode _fields _decoder ($type)
                    ($crate::section::section!(@names $field $($($key)+)?)) $(($default))?
                );)*
                Some(Self { $($field: $field?,)* })
            }

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

            fn write(&self, _out: &mut serde_json::Map<String, serde_json::Value>, _but: &[&str]) {
                $(
                    let names: &[&str] = $crate::section::section!(@names $field $($($key)+)?);
                    $crate::section::section!(
                        @write $mode _out _but (&self.$field) ($type) (names) $(($default))?
                    );
                )*
            }
        }

        impl $crate::setting::Setting for $name {
            fn decode(
                node: &$crate::tree::Node,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                let short: Option<&'static str> = None $(.or(Some($short)))?;
                let fields = $crate::section::Fields::open(node, short, decoder)?;
                // Unknown keys are told even where a known one is wrong.
                let read = <Self as $crate::section::Part>::read(&fields, decoder);
                fields.refuse_unknown::<Self>(decoder);
                read
            }

            fn shape() -> $crate::shape::Shape {
                let rows = <Self as $crate::section::Part>::rows;
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

            fn encode_without(&self, keys: &[&str]) -> serde_json::Value {
                let mut out = serde_json::Map::new();
                $crate::section::Part::write(self, &mut out, keys);
                serde_json::Value::Object(out)
            }
        }
    };

    (@names $field:ident) => { &[stringify!($field)] };
    (@names $field:ident $($key:literal)+) => { &[$($key),+] };

    (@$step:ident choice $($rest:tt)*) => { $crate::section::section!(@$step flatten $($rest)*) };

    (@knows flatten $key:ident ($type:ty) ($names:expr)) => {
        <$type as $crate::section::Part>::knows($key)
    };
    (@knows $mode:ident $key:ident ($type:ty) ($names:expr)) => {{
        const NAMES: &[&str] = $names;
        NAMES.contains(&$key)
    }};

    (@list flatten $list:ident ($type:ty) ($names:expr)) => {
        $list.extend(<$type as $crate::section::Part>::names())
    };
    (@list $mode:ident $list:ident ($type:ty) ($names:expr)) => {{
        const NAMES: &[&str] = $names;
        $list.extend(NAMES)
    }};

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
    (@read flatten $fields:ident $decoder:ident ($type:ty) ($names:expr)) => {
        <$type as $crate::section::Part>::read($fields, $decoder)
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
    (@row flatten $rows:ident $doc:ident ($type:ty) ($names:expr)) => {{
        let _ = $doc;
        $rows.extend(<$type as $crate::section::Part>::rows());
    }};

    (@write flatten $out:ident $but:ident ($value:expr) ($type:ty) ($names:expr)) => {
        let _ = $names;
        $crate::section::Part::write($value, $out, $but);
    };
    (@write $mode:ident $out:ident $but:ident ($value:expr) ($type:ty) ($names:expr) $(($default:expr))?) => {
        if !$but.contains(&$names[0]) {
            $crate::section::section!(@put $mode $out ($value) ($type) ($names) $(($default))?);
        }
    };

    (@put required $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        $out.insert($names[0].to_owned(), $crate::setting::Setting::encode($value));
    };
    (@put optional $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        if let Some(value) = $value {
            $out.insert($names[0].to_owned(), $crate::setting::Setting::encode(value));
        }
    };
    (@put default $out:ident ($value:expr) ($type:ty) ($names:expr) ($default:expr)) => {
        $crate::section::write_changed::<$type>($out, $names[0], $value, &$default);
    };
    (@put section $out:ident ($value:expr) ($type:ty) ($names:expr)) => {
        $crate::section::write_section::<$type>($out, $names[0], $value);
    };
}
pub(crate) use section;
