//! Which exchanges a log or a live tail is for.

use tollgate_decision::{Reason, Side};

use super::Entry;

/// What an exchange must be like. A kind of condition that is empty holds for all; of one that is not,
/// one value must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Ranges of statuses, both ends included; 0 is an exchange without one.
    pub statuses: Vec<(u16, u16)>,
    /// Reasons.
    pub reasons: ReasonSet,
    /// Sides at fault.
    pub sides: SideSet,
    /// Names of routes.
    pub routes: Vec<Box<str>>,
    /// Names of upstreams.
    pub upstreams: Vec<Box<str>>,
    /// Paths with everything below them.
    pub paths: Vec<Box<str>>,
    /// How long it took at least, in microseconds.
    pub at_least_us: u64,
}

impl Conditions {
    /// Whether an exchange is meant.
    pub fn hold(&self, entry: &Entry<'_>) -> bool {
        let named = |names: &[Box<str>], name: &str| names.is_empty() || names.iter().any(|n| **n == *name);
        entry.timings.total_us >= self.at_least_us
            && (self.statuses.is_empty()
                || self.statuses.iter().any(|(low, high)| (*low..=*high).contains(&entry.status)))
            && (self.reasons.is_empty() || self.reasons.contains(entry.reason))
            && (self.sides.is_empty() || self.sides.contains(entry.reason.side()))
            && named(&self.routes, entry.route)
            && named(&self.upstreams, entry.upstream)
            && (self.paths.is_empty() || self.paths.iter().any(|path| is_below(entry.request.path, path)))
    }
}

/// Whether a path is `prefix` or below it, on a segment's border.
fn is_below(path: &[u8], prefix: &str) -> bool {
    path.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || prefix.ends_with('/'))
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonSet([u64; 4]);

impl ReasonSet {
    /// Adds a reason.
    pub fn insert(&mut self, reason: Reason) {
        self.0[reason as usize / 64] |= 1 << (reason as usize % 64);
    }

    /// Whether a reason is in it.
    pub fn contains(&self, reason: Reason) -> bool {
        self.0[reason as usize / 64] & (1 << (reason as usize % 64)) != 0
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// A set of sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideSet(u8);

impl SideSet {
    /// Adds a side.
    pub fn insert(&mut self, side: Side) {
        self.0 |= 1 << side as u8;
    }

    /// Whether a side is in it.
    pub fn contains(self, side: Side) -> bool {
        self.0 & (1 << side as u8) != 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::entry;
    use super::*;
    use crate::access::Captured;

    #[test]
    fn each_kind_of_condition_can_exclude() {
        let captured = Captured::default();
        let entry = entry(&captured);
        let none = Conditions::default();
        assert!(none.hold(&entry));
        let mut reasons = ReasonSet::default();
        reasons.insert(Reason::NoRoute);
        assert!(!Conditions { reasons, ..none.clone() }.hold(&entry));
        reasons.insert(entry.reason);
        assert!(Conditions { reasons, ..none.clone() }.hold(&entry));
        let mut sides = SideSet::default();
        sides.insert(Side::Upstream);
        assert!(!Conditions { sides, ..none.clone() }.hold(&entry));
        sides.insert(Side::Nobody);
        assert!(Conditions { sides, ..none.clone() }.hold(&entry));
        for (statuses, holds) in [(vec![(500, 599)], false), (vec![(500, 599), (200, 200)], true)] {
            assert_eq!(Conditions { statuses, ..none.clone() }.hold(&entry), holds);
        }
        for (names, holds) in [(vec!["other"], false), (vec!["other", "shop"], true)] {
            let names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
            assert_eq!(Conditions { routes: names.clone(), ..none.clone() }.hold(&entry), holds);
            assert_eq!(Conditions { upstreams: names, ..none.clone() }.hold(&entry), holds);
        }
        for (path, holds) in
            [("/a", true), ("/a/", true), ("/", true), ("/a/b", true), ("/a/b/c", false), ("/a/", true)]
        {
            assert_eq!(Conditions { paths: vec![path.into()], ..none.clone() }.hold(&entry), holds, "{path}");
        }
        assert!(!is_below(b"/ab", "/a"));
        for (us, holds) in [(12_345, true), (12_346, false)] {
            assert_eq!(Conditions { at_least_us: us, ..none.clone() }.hold(&entry), holds);
        }
    }

    #[test]
    fn every_reason_has_a_place_in_the_set() {
        let mut set = ReasonSet::default();
        for reason in Reason::ALL {
            assert!(!set.contains(*reason));
            set.insert(*reason);
            assert!(set.contains(*reason));
        }
    }
}
