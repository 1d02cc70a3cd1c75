//! Whose requests a limit counts together.

use serde_json::Value as Json;

use crate::section::{choice, words};
use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{ClaimPath, CookieName, ExpressionText, HeaderName, QueryName};

/// Whose requests a limit counts together.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitKey {
    /// Those of the same caller or place.
    Of(KeyWord),
    /// Those with the same value somewhere.
    Part(KeyPart),
}

words! {
    /// Whose requests are counted together.
    pub enum KeyWord {
        /// Those of a consumer; of callers that are none, those of an address.
        Consumer = "consumer";
        /// Those of a client address (of IPv6, of a /64).
        Address = "address";
        /// All of the route, or of all routes that share the limit.
        Route = "route";
    }
}

choice! {
    /// A part of requests: those with the same value are counted together, those without a value by address.
    pub enum KeyPart {
        /// A request header.
        Header("header"): HeaderName;
        /// A claim of the token.
        Claim("claim"): ClaimPath;
        /// A cookie.
        Cookie("cookie"): CookieName;
        /// A query parameter.
        Query("query"): QueryName;
        /// What an expression gives.
        Expression("expression"): Box<Located<ExpressionText>>;
    }
}

impl Setting for LimitKey {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => KeyPart::decode(node, decoder).map(Self::Part),
            _ => KeyWord::decode(node, decoder).map(Self::Of),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![KeyWord::shape(), KeyPart::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Of(word) => word.encode(),
            Self::Part(part) => part.encode(),
        }
    }
}
