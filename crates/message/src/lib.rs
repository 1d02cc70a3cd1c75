//! Heads, fields and body lengths, neutral to the protocol that carried them.
//!
//! A head stays the bytes it arrived as. A [`FieldList`] holds offsets into them and the
//! [`Known`] name of each field, found once when the head is parsed; routing, framing and
//! forwarding read fields through it without copying or allocating.

pub mod fields;
pub mod form;
pub mod head;
pub mod known;
pub mod method;

pub use fields::{Field, FieldList, Fields, Span};
pub use head::{BodyLength, RequestHead, ResponseHead, Version};
pub use known::Known;
pub use method::Method;
