//! The macro for a fixed set of words.

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
