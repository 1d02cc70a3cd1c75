//! What differs in what documents say of callers. Things are matched by their names.

use super::change::{Subject, SubjectKind};
use super::{Comparer, matched};
use crate::model::{Gate, Test};
use crate::setting::Setting;
use crate::source::Located;
use crate::table::Table;
use crate::units::Name;

impl Comparer {
    pub(super) fn gate(&mut self, old: &Gate, new: &Gate) {
        self.table(SubjectKind::Consumer, &old.consumers, &new.consumers);
        self.table(SubjectKind::AuthMethod, &old.auth, &new.auth);
        self.table(SubjectKind::RateLimit, &old.rate_limits, &new.rate_limits);
        self.table(SubjectKind::ConcurrencyLimit, &old.concurrency_limits, &new.concurrency_limits);
        self.table(SubjectKind::Quota, &old.quotas, &new.quotas);
        self.table(SubjectKind::Redis, &old.redis, &new.redis);
        let name = |test: &Located<Test>| test.name.value.clone();
        for (before, after) in matched(&old.tests, &new.tests, name) {
            let name = after.or(before).map(name).unwrap_or_default();
            self.compare(Subject::new(SubjectKind::Test, name), before, after, &["name"], None);
        }
    }

    fn table<T: Setting + PartialEq>(
        &mut self,
        kind: SubjectKind,
        old: &Table<Name, T>,
        new: &Table<Name, T>,
    ) {
        let [old, new] = [old, new].map(|table| table.iter().collect::<Vec<_>>());
        for (before, after) in matched(&old, &new, |(name, _)| name.value.to_string()) {
            let Some((name, _)) = after.or(before) else { continue };
            let subject = Subject::new(kind, name.value.to_string());
            let [before, after] = [before, after].map(|found| found.map(|(_, value)| value));
            self.compare(subject, before, after, &[], None);
        }
    }
}
