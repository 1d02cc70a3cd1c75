//! Which addresses requests may come from.
//!
//! Lists of hundreds of thousands of blocks become sorted, disjoint ranges ([`AddressSet`]), which several
//! policies may share. Deny wins; where there is an allow list, everything else is refused.

mod block;
mod held;
mod list;
mod set;

use std::net::IpAddr;

use tollgate_decision::Reason;
use tollgate_policy::{Asked, Gate, Policy, Refused, Resolution, Stage, Verdict};

pub use block::{AddressBlock, BadBlock};
pub use held::{Held, SetCell};
pub use list::{BadLine, BadList, MAX_BLOCKS, parse as parse_list};
pub use set::AddressSet;

/// Whose address counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The client's: what a trusted proxy said, else the peer's.
    #[default]
    Client,
    /// The connection's other end, whatever it says of others.
    Peer,
}

/// Which addresses may send requests.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Only these may; `None` for all.
    pub allow: Option<Held>,
    /// These may not, even if they are allowed.
    pub deny: Option<Held>,
    /// Whose address counts.
    pub source: Source,
}

/// The policy.
#[derive(Debug)]
pub struct Addresses {
    settings: Settings,
}

impl Addresses {
    /// The policy of these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn objection(&self, address: IpAddr) -> Option<&'static str> {
        let Settings { allow, deny, .. } = &self.settings;
        if deny.as_ref().is_some_and(|deny| deny.contains(address)) {
            return Some("the address is on the deny list");
        }
        let allowed = allow.as_ref().is_none_or(|allow| allow.contains(address));
        (!allowed).then_some("the address is not on the allow list")
    }
}

impl Policy for Addresses {
    fn name(&self) -> &str {
        "addresses"
    }

    fn stage(&self) -> Stage {
        Stage::Admit
    }

    fn decide(&self, asked: &Asked<'_>, _: &mut Gate, _: Option<Resolution>) -> Verdict {
        let address = match self.settings.source {
            Source::Client => asked.connection.client,
            Source::Peer => asked.connection.peer,
        };
        match self.objection(address) {
            None => Verdict::CONTINUE,
            Some(objection) => Verdict::Refuse(Refused::because(Reason::AddressDenied, objection)),
        }
    }

    fn is_repeatable(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
