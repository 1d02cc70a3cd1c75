//! Subsets of an upstream's endpoints, by label.

use std::fmt;

use crate::endpoint::Labels;

/// Which of an upstream's endpoints a route is for. Health, counts in flight and connections are those of the
/// upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subset {
    /// The labels that they all have.
    pub labels: Labels,
    /// What is done when none of them is usable.
    pub if_none: IfNone,
}

/// What a route does when no endpoint of its subset is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IfNone {
    /// As with an upstream that has no other endpoints: a panic uses those that are not, and else the request fails.
    Fail,
    /// All endpoints of the upstream are used.
    Any,
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.labels.fmt(f)
    }
}
