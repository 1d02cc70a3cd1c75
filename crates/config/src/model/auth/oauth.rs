//! Tokens that an authorization server is asked about.

use super::TokenPlace;
use crate::section::section;
use crate::setting::{Many, Switch, Whole};
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, Duration, FieldValue, FilePath, HeaderName, HttpUrl, ScopeName, Secret};

section! {
    /// Tokens that an authorization server is asked about (RFC 7662).
    pub struct IntrospectionAuth {
        /// Where to ask.
        url: Located<HttpUrl> = required;
        /// What the server calls Tollgate.
        client_id: FieldValue = required;
        /// The secret that goes with it.
        client_secret: Secret = required;
        /// The member of the answer that names the consumer, by its credential `subject`.
        consumer: ClaimPath = default(ClaimPath::sub());
        /// Scopes that the token must have, all of them.
        scopes: Many<Located<ScopeName>> = default(Many::none());
        /// Where the token is.
        from: TokenPlace = section;
        /// How answers are remembered; `none` asks each time.
        cache: Switch<AnswerCache> = default(Switch::On(AnswerCache::standard()));
        /// How long the server may take to answer. After that, the request is refused.
        timeout: Duration<1> = default(Duration::seconds(2));
        /// Request headers for the upstream, and the members they come from. What clients send under these names is
        /// removed.
        claims_to_headers: Table<HeaderName, ClaimPath> = default(Table::none());
        /// Whether the upstream gets the token too.
        forward: bool = default(true);
        /// The authorities that may have issued the server's certificate, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
    }
}

section! {
    /// How answers are remembered.
    pub struct AnswerCache {
        /// Tokens, at the most.
        size: Whole<1, 10_000_000> = default(Whole::of::<10_000>());
        /// How long at the most, and never past the token's end: so long a token works on after it was withdrawn.
        ttl: Duration<1> = default(Duration::seconds(60));
    }
}

impl AnswerCache {
    fn standard() -> Self {
        Self { size: Whole::of::<10_000>(), ttl: Duration::seconds(60) }
    }
}
