//! How much may come: per time, at once, and per long period.

mod keys;
mod stores;
mod uses;

pub use keys::{KeyPart, KeyWord, LimitKey};
pub use stores::{IfStoreDown, LimitStore, RedisName, StoreMode};
pub use uses::LimitUse;

use crate::section::{section, words};
use crate::setting::Whole;
use crate::source::Located;
use crate::table::Table;
use crate::units::{Duration, ExpressionText, Name, Rate};

section! {
    /// How many requests per time. A rate alone is enough: `100/min`.
    pub struct RateLimit short "rate" {
        /// The rate: `100/s`, `100/min`, `5000/h`, `10/day`, `100/10s`.
        rate: Located<Rate> = required;
        /// Requests that may come at once after a pause; as many as the rate's number if left out.
        burst: Option<Located<Whole<1, 1_000_000_000>>> = optional;
        /// How it is counted.
        algorithm: Located<RateAlgorithm> = default(Located::nowhere(RateAlgorithm::Gcra));
        /// Whose requests are counted together; `consumer` on routes with `auth`, else `address`, if left out.
        by: Option<Located<LimitKey>> = optional;
        /// What a request costs, an expression; 1 if left out.
        cost: Option<Located<ExpressionText>> = optional;
        /// Rates for the groups of consumers; of several, the highest.
        groups: Table<Name, Located<Rate>> = default(Table::none());
        /// The same for single consumers, before what their groups have.
        consumers: Table<Name, Located<Rate>> = default(Table::none());
        /// Requests over the rate wait up to this long instead of being refused.
        delay: Option<Located<Duration<1>>> = optional;
        /// Where it is counted: `memory`, or `{ redis: NAME }` for all instances together.
        store: Located<LimitStore> = default(Located::nowhere(LimitStore::Memory));
        /// How Redis is used; `exact` if left out.
        mode: Option<Located<StoreMode>> = optional;
        /// What happens while Redis is down or slow; `local` if left out.
        if_store_down: Option<Located<IfStoreDown>> = optional;
        /// Response headers that tell the client.
        fields: LimitFields = default(LimitFields::Draft);
        /// Keys that are counted at once in memory.
        max_keys: Whole<1, 100_000_000> = default(Whole::of::<100_000>());
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

words! {
    /// How a rate is counted.
    pub enum RateAlgorithm {
        /// Evenly, with a burst (generic cell rate algorithm).
        Gcra = "gcra";
        /// In the last period, estimated from the counts of this one and the one before.
        SlidingWindow = "sliding_window";
    }
    later ["token_bucket", "leaky_bucket", "fixed_window"]
}

words! {
    /// Response headers that tell the client of a limit.
    pub enum LimitFields {
        /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
        Draft = "draft";
        /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
        X = "x";
        /// None but `Retry-After` on refused requests.
        None = "none";
    }
}

section! {
    /// How many requests at once. A number alone is enough.
    pub struct ConcurrencyLimit short "max" {
        /// The number.
        max: Located<Whole<1, 1_000_000>> = required;
        /// Whose requests are counted together.
        by: Located<LimitKey> = default(Located::nowhere(LimitKey::Of(KeyWord::Route)));
        /// Numbers for the groups of consumers; of several, the highest.
        groups: Table<Name, Whole<1, 1_000_000>> = default(Table::none());
        /// The same for single consumers, before what their groups have.
        consumers: Table<Name, Whole<1, 1_000_000>> = default(Table::none());
        /// Keys that are counted at once.
        max_keys: Whole<1, 100_000_000> = default(Whole::of::<100_000>());
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

section! {
    /// How many requests in a day or a month, counted through restarts.
    pub struct Quota {
        /// The number.
        limit: Located<Whole<1, 4_000_000_000>> = required;
        /// The period.
        per: QuotaPeriod = required;
        /// Whose requests are counted together.
        by: Located<LimitKey> = default(Located::nowhere(LimitKey::Of(KeyWord::Consumer)));
        /// What a request costs, an expression; 1 if left out.
        cost: Option<Located<ExpressionText>> = optional;
        /// Numbers for the groups of consumers; of several, the highest.
        groups: Table<Name, Whole<1, 4_000_000_000>> = default(Table::none());
        /// The same for single consumers, before what their groups have.
        consumers: Table<Name, Whole<1, 4_000_000_000>> = default(Table::none());
        /// Where it is counted: `disk`, which needs `data_dir`, or `{ redis: NAME }` for all instances together.
        store: Located<LimitStore> = default(Located::nowhere(LimitStore::Disk));
        /// How Redis is used; `exact` if left out.
        mode: Option<Located<StoreMode>> = optional;
        /// What happens while Redis is down or slow; `open` if left out.
        if_store_down: Option<Located<IfStoreDown>> = optional;
        /// Response headers that tell the client.
        fields: LimitFields = default(LimitFields::Draft);
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

words! {
    /// The period of a quota. Periods begin at midnight UTC.
    pub enum QuotaPeriod {
        /// An hour.
        Hour = "hour";
        /// A day.
        Day = "day";
        /// A month of the calendar.
        Month = "month";
    }
}

impl RateLimit {
    /// Whose requests are counted together on a route with `auth` or without.
    pub fn key(&self, authenticated: bool) -> LimitKey {
        let usual = if authenticated { KeyWord::Consumer } else { KeyWord::Address };
        self.by.as_ref().map_or(LimitKey::Of(usual), |by| by.value.clone())
    }
}
