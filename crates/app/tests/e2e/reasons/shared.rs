//! Limits that instances share.

use tollgate_decision::Reason;

use super::{GET, Row};

pub(super) const ROWS: &[Row] = &[Row {
    document: "redis: { counts: { url: \"redis://{origin}\" } }\nroutes:\n  \
               - { name: all, path: /, respond: 204, rate_limit: \
               { rate: 1/min, store: { redis: counts }, if_store_down: closed } }\n",
    told: &["503 from Tollgate", "Redis counts does not decide (unreachable: {origin}", "so it was refused"],
    ..Row::refused(Reason::LimitUnavailable, GET, &["Where the limit is counted cannot be asked now"])
}];
