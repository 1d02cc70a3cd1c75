//! Who belongs to an upstream: what each origin lists, put together. Pure.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Traits;

/// How many changes of the operator one upstream keeps, so that a script gone wild does not fill the memory.
pub const OPERATOR_MAX: usize = 4096;

/// An endpoint as an origin lists it. Two with the same name and address are the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Host and port as the origin writes them.
    pub name: Arc<str>,
    /// Where to connect to.
    pub address: SocketAddr,
    /// Its share of the exchanges, relative to the others'; 0 for none.
    pub weight: u32,
    /// Its tier, zone and labels.
    pub traits: Arc<Traits>,
}

impl Member {
    /// An endpoint of the first tier, of which nothing more is said.
    pub fn new(name: impl Into<Arc<str>>, address: SocketAddr, weight: u32) -> Self {
        Self { name: name.into(), address, weight, traits: Arc::default() }
    }
}

/// A discovery source of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is called among those of its upstream.
    pub key: Arc<str>,
    /// The word for its kind, to be shown: `dns`, `file`.
    pub kind: Arc<str>,
    /// What it is made from, as a number: in another document a source of which all is the same is the same one, and
    /// what it has found stays.
    pub plan: u64,
}

/// Who lists an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The document, itself.
    Document,
    /// A discovery source of this kind.
    Found(Arc<str>),
    /// The operator has added it.
    Operator,
}

impl Origin {
    /// The word for it.
    pub fn label(&self) -> &str {
        match self {
            Self::Document => "document",
            Self::Found(kind) => kind,
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// An endpoint that the operator has removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub name: Arc<str>,
    /// Its address.
    pub address: SocketAddr,
    /// The weight that the document listed it with; `None` where it did not. Where a later document says anything
    /// else, the removal is over.
    pub listed: Option<u32>,
}

/// What the operator has changed in an upstream's set of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorMembers {
    /// Added, in order.
    pub added: Vec<Member>,
    /// Removed, in order. None of them is also added.
    pub removed: Vec<Removal>,
}

impl OperatorMembers {
    /// What of it goes on under a document that lists these endpoints: what it lists itself is no longer added, and
    /// what it lists in another way than when it was removed, or no longer, is no longer removed.
    #[must_use]
    pub fn under(&self, document: &[Member]) -> Self {
        let addresses: HashSet<SocketAddr> = document.iter().map(|member| member.address).collect();
        let weights: HashMap<Key<'_>, u32> = document.iter().rev().map(|m| (key(m), m.weight)).collect();
        let added = self.added.iter().filter(|member| !addresses.contains(&member.address));
        let listed = |removal: &Removal| weights.get(&(&*removal.name, removal.address)).copied();
        let removed = self.removed.iter().filter(|removal| listed(removal) == removal.listed);
        Self { added: added.cloned().collect(), removed: removed.cloned().collect() }
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.added.len() + self.removed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What tells endpoints of an upstream apart.
pub(crate) type Key<'a> = (&'a str, SocketAddr);

pub(crate) fn key(member: &Member) -> Key<'_> {
    (&member.name, member.address)
}

/// What each origin lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    pub(crate) document: Vec<Member>,
    /// By source.
    pub(crate) found: Vec<Vec<Member>>,
    pub(crate) operator: OperatorMembers,
}

/// Who lists an endpoint, by its place in the [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Document,
    Found(usize),
    Operator,
}

impl Lists {
    /// The set: each endpoint once, with who lists it. Where several do, the operator's word counts before the
    /// document's, and that before a discovery source's, the first of which counts. What the operator has removed is
    /// not in it, unless the operator has added it. In the order of document, sources, operator.
    pub(crate) fn merged(&self) -> Vec<(Listed, &Member)> {
        let removed: HashSet<Key<'_>> =
            self.operator.removed.iter().map(|removal| (&*removal.name, removal.address)).collect();
        let mut merged: Vec<(Listed, &Member)> = Vec::new();
        let mut places: HashMap<Key<'_>, usize> = HashMap::new();
        for (listed, member) in self.listed() {
            let place = *places.entry(key(member)).or_insert(merged.len());
            let is_operators = listed == Listed::Operator;
            if place < merged.len() {
                if is_operators && merged[place].0 != Listed::Operator {
                    merged[place] = (listed, member);
                }
            } else if is_operators || !removed.contains(&key(member)) {
                merged.push((listed, member));
            } else {
                // Its place is taken only by one that is in the set.
                places.remove(&key(member));
            }
        }
        merged
    }

    /// Who lists each endpoint, whether or not the operator has removed it.
    pub(crate) fn origins(&self) -> HashMap<Key<'_>, Listed> {
        let mut origins = HashMap::new();
        for (listed, member) in self.listed() {
            match listed {
                Listed::Operator => drop(origins.insert(key(member), listed)),
                _ => drop(origins.entry(key(member)).or_insert(listed)),
            }
        }
        origins
    }

    fn listed(&self) -> impl Iterator<Item = (Listed, &Member)> {
        let document = self.document.iter().map(|member| (Listed::Document, member));
        let found = self.found.iter().enumerate();
        let found = found.flat_map(|(source, list)| list.iter().map(move |m| (Listed::Found(source), m)));
        document.chain(found).chain(self.operator.added.iter().map(|member| (Listed::Operator, member)))
    }
}

#[cfg(test)]
#[path = "members/tests.rs"]
mod tests;
