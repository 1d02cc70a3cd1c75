//! Where limits are counted.

use serde_json::Value as Json;

use crate::section::{section, words};
use crate::setting::{Decoder, Setting, decode_word};
use crate::shape::{Shape, Word};
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::Name;

/// Where a limit is counted.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitStore {
    /// In this process.
    Memory,
    /// On this machine's disk, in `data_dir`.
    Disk,
    /// In a Redis, for all instances together.
    Redis(RedisName),
}

section! {
    /// A Redis, by its name.
    pub struct RedisName {
        /// Its name under `redis` of the document.
        redis: Located<Name> = required;
    }
}

impl Setting for LimitStore {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => RedisName::decode(node, decoder).map(Self::Redis),
            _ => {
                let words = [("memory", true), ("disk", false)];
                decode_word(node, decoder, &words, &[])
                    .map(|memory| if memory { Self::Memory } else { Self::Disk })
            }
        }
    }
    fn shape() -> Shape {
        let word = |word, doc: &str| Word { word, doc: doc.to_owned() };
        let memory = word("memory", "In this process.");
        let disk = word("disk", "On this machine's disk, in `data_dir`.");
        Shape::AnyOf(vec![Shape::Words(vec![memory, disk]), RedisName::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Memory => "memory".into(),
            Self::Disk => "disk".into(),
            Self::Redis(name) => name.encode(),
        }
    }
}

words! {
    /// How a limit uses Redis.
    pub enum StoreMode {
        /// Each request asks, one round trip.
        Exact = "exact";
        /// An instance leases a share and asks again when it is used up: most requests ask nothing, and somewhat more
        /// than the limit may pass.
        Leased = "leased";
    }
}

words! {
    /// What happens while Redis is down or slow.
    pub enum IfStoreDown {
        /// Requests pass.
        Open = "open";
        /// Requests are refused.
        Closed = "closed";
        /// Each instance counts for itself.
        Local = "local";
    }
}
