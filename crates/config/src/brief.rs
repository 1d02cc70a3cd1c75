//! Sections that are written in their short form where that says everything.

use std::ops::Deref;

use serde_json::Value as Json;

use crate::setting::{Decoder, Setting};
use crate::shape::Shape;
use crate::tree::Node;

/// A section whose one required key is also its short form: written as that alone where nothing else is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief<T>(Box<T>);

impl<T> Deref for Brief<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Setting> Setting for Brief<T> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(|value| Self(Box::new(value)))
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn encode(&self) -> Json {
        match self.0.encode() {
            // The key that is always there.
            Json::Object(mut keys) if keys.len() == 1 => {
                keys.iter_mut().next().map_or(Json::Null, |(_, value)| value.take())
            }
            other => other,
        }
    }
}
