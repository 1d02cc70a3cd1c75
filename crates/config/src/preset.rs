//! Sections that `true` stands for with all defaults.

use std::ops::Deref;

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::{Node, Value};

/// A section, or `true` for all of its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Preset<T>(pub T);

impl<T> Deref for Preset<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Setting> Setting for Preset<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text.as_str() == "true" => {
                let all_defaults = Node { origin: node.origin, ..Node::EMPTY };
                T::decode(&all_defaults, decoder).map(Self)
            }
            Value::Scalar(_) if !node.is_nothing() => {
                let finding = Diagnostic::error(node.origin, "this is neither `true` nor a mapping");
                decoder.report(finding.mend("write `true` for all defaults, or `none`"));
                None
            }
            _ => T::decode(node, decoder).map(Self),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Boolean, T::shape()])
    }
    fn encode(&self) -> Json {
        let encoded = self.0.encode();
        if encoded.as_object().is_some_and(serde_json::Map::is_empty) { true.into() } else { encoded }
    }
}
