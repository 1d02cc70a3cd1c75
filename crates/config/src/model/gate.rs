//! What the document says of callers: who they are, how they show it, what they share, and what must hold.

use super::{AuthMethod, ConcurrencyLimit, Consumer, OnFailedTests, Quota, RateLimit, RedisStore, Test};
use crate::section::section;
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{FilePath, Name};

section! {
    /// What the document says of callers.
    pub struct Gate {
        /// Known callers, by name.
        consumers: Table<Name, Consumer> = default(Table::none());
        /// Files with more of them, each a mapping as under `consumers`; `*` and `?` match within a file name. Changed
        /// files are taken without a reload.
        consumer_files ("consumer_files" | "consumer_file"): Many<Located<FilePath>> = default(Many::none());
        /// Methods of authentication, by name, one key each.
        auth: Table<Name, Located<AuthMethod>> = default(Table::none());
        /// Rate limits that routes share, by name.
        rate_limits: Table<Name, Located<RateLimit>> = default(Table::none());
        /// Limits of requests at once that routes share, by name.
        concurrency_limits: Table<Name, Located<ConcurrencyLimit>> = default(Table::none());
        /// Quotas that routes share, by name.
        quotas: Table<Name, Located<Quota>> = default(Table::none());
        /// Redis or Valkey, by name, where instances share limits.
        redis: Table<Name, Located<RedisStore>> = default(Table::none());
        /// The folder for what must survive a restart: the counts of quotas. Only Tollgate's own user can read it.
        data_dir: Option<Located<FilePath>> = optional;
        /// Requests that are tried on each new document, and what must become of them.
        tests: Vec<Located<Test>> = default(Vec::new());
        /// What a failed test does.
        on_failed_tests: OnFailedTests = default(OnFailedTests::Warn);
    }
}
