//! Limits of a route: by name, or of its own.

use serde_json::Value as Json;

use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::{Node, Value};
use crate::units::Name;

/// A limit of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitUse<T> {
    /// One of the document, by name: routes that name it share its counters.
    Named(Name),
    /// One of the route's own.
    Own(Box<T>),
}

impl<T: Setting> Setting for LimitUse<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        // `100/min` and `10` are limits in short.
        let short = |text: &str| text.contains('/') || text.bytes().all(|byte| byte.is_ascii_digit());
        match &node.value {
            Value::Scalar(scalar) if !short(&scalar.text) => Name::decode(node, decoder).map(Self::Named),
            _ => T::decode(node, decoder).map(|own| Self::Own(Box::new(own))),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Name::shape(), T::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Named(name) => name.encode(),
            Self::Own(own) => own.encode(),
        }
    }
}
