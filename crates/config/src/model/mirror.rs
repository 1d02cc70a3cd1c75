//! Mirrors: copies of a route's requests for another upstream.

use serde_json::Value as Json;

use super::Destination;
use crate::preset::Preset;
use crate::section::{section, words};
use crate::setting::{Decoder, Many, Setting, Whole};
use crate::shape::{Shape, Word};
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{Duration, HeaderName, JsonPath, Percent, Size};

section! {
    /// Copies of requests for another upstream, whose answers no client waits for or sees. A name alone is enough.
    pub struct Mirror short "to" {
        /// The upstream, by its name, or an address: `http://127.0.0.1:3000`.
        to: Located<Destination> = required;
        /// The share of requests.
        share: Percent = default(Percent::whole(100));
        /// The largest body of a request that is mirrored.
        body: Size<0, 16_777_216> = default(Size::kib(64));
        /// How long a copy may take in all.
        timeout: Duration<1> = default(Duration::seconds(10));
        /// How many copies may be under way to the upstream at once; more are not made.
        max_in_flight: Whole<1, 100_000> = default(Whole::of::<100>());
        /// Compares the answers with those that clients get: `true`, or the long form.
        compare: Option<Box<Preset<Compare>>> = optional;
    }
}

section! {
    /// How the answers of a mirror are compared with those that clients get.
    pub struct Compare {
        /// Whether the statuses are compared.
        status: bool = default(true);
        /// Header fields that are compared: names, `all`, or `none`.
        headers: ComparedHeaders = default(ComparedHeaders::standard());
        /// How bodies are compared.
        body: ComparedBody = default(ComparedBody::Json);
        /// What may differ.
        ignore: Option<Box<MayDiffer>> = optional;
        /// The largest body of a response that is compared.
        max_body: Size<0, 1_048_576> = default(Size::kib(256));
        /// How many differences of an exchange are kept.
        max_differences: Whole<1, 100> = default(Whole::of::<16>());
        /// Whether values that differ are shown, and not only where they stand.
        values: bool = default(true);
    }
}

words! {
    /// How bodies are compared.
    pub enum ComparedBody {
        /// By what they say, where both are JSON, else byte by byte.
        Json = "json";
        /// Byte by byte.
        Bytes = "bytes";
        /// Not at all.
        None = "none";
    }
}

section! {
    /// What may differ between answers.
    pub struct MayDiffer {
        /// Header fields.
        headers: Many<Located<HeaderName>> = default(Many::none());
        /// Places in JSON, with all below them: `$.generated_at`, `items[*].id`, `$.**.updated_at`.
        json: Many<Located<JsonPath>> = default(Many::none());
    }
}

/// Header fields that are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum ComparedHeaders {
    /// All but those that differ always.
    All,
    /// None.
    None,
    /// Those of these names.
    Named(Many<Located<HeaderName>>),
}

impl ComparedHeaders {
    fn standard() -> Self {
        Self::Named(Many(vec![Located::nowhere(HeaderName::of("content-type"))]))
    }
}

impl Setting for ComparedHeaders {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.text.as_str() == "all" => Some(Self::All),
            Value::Scalar(scalar) if scalar.text.as_str() == "none" => Some(Self::None),
            _ => Many::decode(node, decoder).map(Self::Named),
        }
    }
    fn shape() -> Shape {
        let word = |word, doc: &str| Word { word, doc: doc.to_owned() };
        let words =
            vec![word("all", "All but those that differ always, such as `Date`."), word("none", "None.")];
        Shape::AnyOf(vec![Shape::Words(words), Many::<Located<HeaderName>>::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::All => "all".into(),
            Self::None => "none".into(),
            Self::Named(names) => names.encode(),
        }
    }
}
