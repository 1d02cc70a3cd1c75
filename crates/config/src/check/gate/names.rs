//! Names that the document gives, where they are used.

use std::collections::HashSet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Gate;
use crate::source::Located;
use crate::suggest::nearest;
use crate::table::Table;
use crate::units::Name;

/// The names of one kind.
pub(in crate::check) struct Names<'d> {
    known: HashSet<&'d str>,
    /// What they are names of, and the key that they stand under.
    what: &'static str,
    key: &'static str,
    judge: bool,
}

impl<'d> Names<'d> {
    pub(super) fn of<V>(
        table: &'d Table<Name, V>,
        what: &'static str,
        key: &'static str,
        judge: bool,
    ) -> Self {
        let names = table.iter().map(|(name, _)| name.as_str());
        Self { known: names.chain(table.broken.iter().map(String::as_str)).collect(), what, key, judge }
    }

    /// Reports a name that there is not.
    pub(in crate::check) fn need(&self, name: &Located<Name>, found: &mut Diagnostics) {
        self.need_text(name.as_str(), name.origin, found);
    }

    pub(in crate::check) fn need_text(&self, name: &str, origin: crate::Origin, found: &mut Diagnostics) {
        if !self.judge || self.known.contains(name) {
            return;
        }
        if found.is_full() {
            return found.push(Diagnostic::error(origin, String::new()));
        }
        let mend = match nearest(name, self.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it to `{}`", self.key),
        };
        let message = format!("there is no {} `{name}`", self.what);
        found.push(Diagnostic::error(origin, message).mend(mend));
    }
}

/// Consumers and their groups.
pub(in crate::check) struct Callers<'d> {
    consumers: Names<'d>,
    groups: HashSet<&'d str>,
    /// More of them may be in files.
    open: bool,
}

impl<'d> Callers<'d> {
    pub(super) fn new(gate: &'d Gate, judge: bool) -> Self {
        let groups = gate.consumers.iter().flat_map(|(_, consumer)| consumer.groups.iter());
        Self {
            consumers: Names::of(&gate.consumers, "consumer", "consumers", judge),
            groups: groups.map(|group| group.as_str()).collect(),
            open: !gate.consumer_files.is_empty() || !gate.consumers.broken.is_empty() || !judge,
        }
    }

    /// Reports a consumer that there is not, if that is known.
    pub(in crate::check) fn consumer(&self, name: &str, origin: crate::Origin, found: &mut Diagnostics) {
        if !self.open {
            self.consumers.need_text(name, origin, found);
        }
    }

    /// Warns of a group in which there is nobody.
    pub(in crate::check) fn group(&self, name: &Located<Name>, found: &mut Diagnostics) {
        if self.open || self.groups.contains(name.as_str()) {
            return;
        }
        let near = nearest(name.as_str(), self.groups.iter().copied());
        let message = format!("no consumer is in the group `{}`", name.as_str());
        let finding = Diagnostic::warning(name.origin, message);
        found.push(finding.mend_if(near.map(|near| format!("did you mean `{near}`?"))));
    }
}
