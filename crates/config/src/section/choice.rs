//! The macro for keys of which exactly one is written.

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

        impl $crate::section::Part for $name {
            fn knows(key: &str) -> bool {
                const KEYS: &[&str] = &[$($($key),+),+];
                KEYS.contains(&key)
            }

            fn names() -> Vec<&'static str> {
                vec![$($($key),+),+]
            }

            fn read(
                fields: &$crate::section::Fields<'_>,
                decoder: &mut $crate::setting::Decoder<'_>,
            ) -> Option<Self> {
                let (key, node) = fields.one_of(&[$($($key),+),+], decoder)?;
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

            fn write(&self, out: &mut serde_json::Map<String, serde_json::Value>, but: &[&str]) {
                match self {
                    $(Self::$variant(value) => {
                        let keys: &[&str] = &[$($key),+];
                        if !but.contains(&keys[0]) {
                            out.insert(keys[0].to_owned(), $crate::setting::Setting::encode(value));
                        }
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
                let value = <Self as $crate::section::Part>::read(&fields, decoder);
                fields.refuse_unknown::<Self>(decoder);
                value
            }

            fn shape() -> $crate::shape::Shape {
                let section = $crate::shape::Shape::Section($crate::shape::Section {
                    name: stringify!($name),
                    doc: &[$($doc),+],
                    rows: <Self as $crate::section::Part>::rows,
                });
                let _variants = [$(stringify!($variant)),+];
                $(
                    let at = _variants.iter().position(|variant| *variant == stringify!($short));
                    let rows = <Self as $crate::section::Part>::rows();
                    if let Some(row) = at.and_then(|at| rows.into_iter().nth(at)) {
                        return $crate::shape::Shape::AnyOf(vec![row.shape, section]);
                    }
                )?
                section
            }

            fn encode(&self) -> serde_json::Value {
                let mut out = serde_json::Map::new();
                $crate::section::Part::write(self, &mut out, &[]);
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
