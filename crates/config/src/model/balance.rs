//! How an endpoint is chosen.

use serde_json::Value as Json;

use super::policies::KeyPart;
use crate::section::{choice, section, words};
use crate::setting::{Decoder, Many, Setting, Whole};
use crate::shape::Shape;
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{Duration, LoadBound};

/// How an endpoint is chosen: a word, or a balancer with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// A balancer as it is where nothing is said.
    Of(BalanceWord),
    /// A balancer with settings.
    With(BalanceWith),
}

words! {
    /// How an endpoint is chosen.
    pub enum BalanceWord {
        /// In turn, by weight.
        RoundRobin = "round_robin";
        /// The one with the fewest open requests for its weight; with more than 32 endpoints, of 16 of them.
        LeastRequests = "least_requests" | "least_request";
        /// The better of two chosen at random: nearly as even as the fewest, without looking at all.
        TwoChoices = "two_choices";
        /// At random, by weight.
        Random = "random";
        /// Of two chosen at random the one that answers sooner, the requests that it has open counted in.
        PeakEwma = "peak_ewma";
        /// The same for the same key, on a ring: when one goes, only its keys move.
        RingHash = "ring_hash";
        /// The same for the same key, from a table: evener than a ring.
        Maglev = "maglev";
    }
}

choice! {
    /// A balancer with its settings.
    pub enum BalanceWith {
        /// By latency and open requests.
        PeakEwma("peak_ewma"): PeakEwma;
        /// By key, on a ring.
        RingHash("ring_hash"): RingHash;
        /// By key, from a table.
        Maglev("maglev"): Maglev;
    }
}

section! {
    /// Two chosen at random, and the one of the smaller latency times open requests.
    pub struct PeakEwma {
        /// In this time, what is known of a latency falls to 37 %. A slower answer counts at once.
        decay: Duration<1> = default(Duration::seconds(10));
    }
}

section! {
    /// Keys and endpoints on a ring.
    pub struct RingHash {
        /// What requests have in common that go to the same endpoint: one part, or a list of them.
        by: Many<BalanceKey> = default(Many(vec![BalanceKey::Of(BalanceKeyWord::Address)]));
        /// How much busier than the average an endpoint may be, such as `125%`, before its keys go to the next. No
        /// bound if left out.
        bounded_load: Option<LoadBound> = optional;
        /// Points on the ring, at least.
        min_size: Located<Whole<1, 8_388_608>> = default(Located::nowhere(Whole::of::<1024>()));
        /// Points on the ring, at most; but one for each endpoint.
        max_size: Located<Whole<1, 8_388_608>> = default(Located::nowhere(Whole::of::<8_388_608>()));
    }
}

section! {
    /// Keys and endpoints in a Maglev table.
    pub struct Maglev {
        /// What requests have in common that go to the same endpoint: one part, or a list of them.
        by: Many<BalanceKey> = default(Many(vec![BalanceKey::Of(BalanceKeyWord::Address)]));
        /// How much busier than the average an endpoint may be, such as `125%`, before its keys go to the next. No
        /// bound if left out.
        bounded_load: Option<LoadBound> = optional;
        /// Places in the table, at least: rounded up to a prime, and to 100 for each endpoint.
        table: Whole<3, 8_388_608> = default(Whole::of::<65_537>());
    }
}

/// What requests have in common that go to the same endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum BalanceKey {
    /// Caller, place or path.
    Of(BalanceKeyWord),
    /// The same value somewhere.
    Part(KeyPart),
}

words! {
    /// What requests have in common that go to the same endpoint.
    pub enum BalanceKeyWord {
        /// The consumer; of callers that are none, the address.
        Consumer = "consumer";
        /// The client's address (of IPv6, a /64).
        Address = "address";
        /// The path, as routes are matched with it.
        Path = "path";
    }
}

impl Setting for Balance {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => BalanceWith::decode(node, decoder).map(Self::With),
            _ => BalanceWord::decode(node, decoder).map(Self::Of),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![BalanceWord::shape(), BalanceWith::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Of(word) => word.encode(),
            Self::With(balancer) => balancer.encode(),
        }
    }
}

impl Setting for BalanceKey {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => KeyPart::decode(node, decoder).map(Self::Part),
            _ => BalanceKeyWord::decode(node, decoder).map(Self::Of),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![BalanceKeyWord::shape(), KeyPart::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Of(word) => word.encode(),
            Self::Part(part) => part.encode(),
        }
    }
}

impl Balance {
    /// The balancer's name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Of(word) => *word,
            Self::With(BalanceWith::PeakEwma(_)) => BalanceWord::PeakEwma,
            Self::With(BalanceWith::RingHash(_)) => BalanceWord::RingHash,
            Self::With(BalanceWith::Maglev(_)) => BalanceWord::Maglev,
        }
        .word()
    }

    /// What requests have in common that go to the same endpoint; `None` where the balancer goes by nothing of them.
    pub fn by(&self) -> Option<&[BalanceKey]> {
        const STANDARD: &[BalanceKey] = &[BalanceKey::Of(BalanceKeyWord::Address)];
        match self {
            Self::Of(BalanceWord::RingHash | BalanceWord::Maglev) => Some(STANDARD),
            Self::With(BalanceWith::RingHash(ring)) => Some(&ring.by),
            Self::With(BalanceWith::Maglev(maglev)) => Some(&maglev.by),
            Self::Of(_) | Self::With(BalanceWith::PeakEwma(_)) => None,
        }
    }
}
