//! Who may come.

use serde_json::Value as Json;

use crate::section::{choice, section};
use crate::setting::{Decoder, Many, Setting};
use crate::shape::Shape;
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{HeaderName, Name};

section! {
    /// Who may come. A name or a list of names stands for `any`.
    pub struct Auth short "any" {
        /// The methods.
        methods: AuthMethods = choice;
        /// Whether those may come who show nothing: the name of the consumer that they count as, or `true`. Who shows
        /// something wrong is refused all the same.
        anonymous: Option<Located<Anonymous>> = optional;
        /// Request headers that tell the upstream who it is. What clients send under these names is removed.
        identity_headers: IdentityHeaders = section;
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

section! {
    /// Request headers that tell the upstream who sends a request.
    pub struct IdentityHeaders {
        /// The consumer's name.
        consumer: Option<Located<HeaderName>> = optional;
        /// The consumer's groups, with commas between them.
        groups: Option<Located<HeaderName>> = optional;
        /// The subject that a token, a login or a certificate names.
        subject: Option<Located<HeaderName>> = optional;
        /// The method of authentication.
        auth: Option<Located<HeaderName>> = optional;
    }
}

choice! {
    /// Methods of authentication, by their names in `auth` of the document.
    pub enum AuthMethods {
        /// One of them is enough; they are tried in this order.
        Any("any"): Many<Located<Name>>;
        /// All of them are needed. The first one that names a consumer says who it is.
        All("all"): Many<Located<Name>>;
    }
}

impl AuthMethods {
    /// The names of the methods.
    pub fn names(&self) -> &[Located<Name>] {
        match self {
            Self::Any(names) | Self::All(names) => names,
        }
    }
}

/// Who those are that show nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Anonymous {
    /// They may not come.
    Refused,
    /// Nobody that is known.
    Nobody,
    /// This consumer.
    Consumer(Name),
}

impl Setting for Anonymous {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "true" => Some(Self::Nobody),
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "false" => Some(Self::Refused),
            _ => Name::decode(node, decoder).map(Self::Consumer),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Boolean, Name::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Refused => false.into(),
            Self::Nobody => true.into(),
            Self::Consumer(name) => name.encode(),
        }
    }
}
