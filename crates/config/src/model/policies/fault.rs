//! Faults on purpose, to see how clients take them.

use crate::section::section;
use crate::setting::Whole;
use crate::source::Located;
use crate::units::{Duration, HeaderName, Percent};

section! {
    /// Delays and failures on purpose, for tests of whoever calls.
    pub struct Fault {
        /// A wait before requests are sent on. A time alone is enough.
        delay: Option<FaultDelay> = optional;
        /// An answer instead of sending requests on. A status alone is enough.
        abort: Option<FaultAbort> = optional;
        /// Only requests with this header field. All if left out.
        when: Option<FaultCondition> = optional;
        /// Whether it only counts and tells what it would have done.
        shadow: bool = default(false);
    }
}

section! {
    /// A wait.
    pub struct FaultDelay short "by" {
        /// How long.
        by: Duration<1> = required;
        /// Up to so much more, by chance.
        jitter: Option<Duration<1>> = optional;
        /// The share of requests.
        share: Percent = default(Percent::whole(100));
    }
}

section! {
    /// An answer that is made here.
    pub struct FaultAbort short "status" {
        /// Its status. gRPC calls get the status of gRPC that stands for it.
        status: Located<Whole<400, 599>> = required;
        /// The share of requests.
        share: Percent = default(Percent::whole(100));
    }
}

section! {
    /// A header field. A name alone is enough.
    pub struct FaultCondition short "header" {
        /// Its name.
        header: HeaderName = required;
        /// Its value; any if left out.
        value: Option<Located<String>> = optional;
    }
}
