//! Which addresses may come, and what requests must be like.

use crate::section::section;
use crate::setting::{Many, Whole};
use crate::source::Located;
use crate::units::{Cidr, FilePath, MediaType, MethodName, Size};

section! {
    /// Which client addresses may come. The client's address is what trusted proxies say it is.
    pub struct Addresses {
        /// Those that may; all if neither this nor `allow_files` is set.
        allow: Many<Located<Cidr>> = default(Many::none());
        /// Those that may not, whatever `allow` says.
        deny: Many<Located<Cidr>> = default(Many::none());
        /// Files of addresses that may, one a line, `#` for comments. Watched.
        allow_files ("allow_files" | "allow_file"): Many<Located<FilePath>> = default(Many::none());
        /// Files of addresses that may not. Watched.
        deny_files ("deny_files" | "deny_file"): Many<Located<FilePath>> = default(Many::none());
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

section! {
    /// What requests must be like.
    pub struct RequestLimits {
        /// Methods that may come (405 for others). Unlike `methods` of the route, other routes do not get the rest.
        methods: Many<Located<MethodName>> = default(Many::none());
        /// Types that a body may have (415 for others): `application/json`, `image/*`.
        content_types: Many<Located<MediaType>> = default(Many::none());
        /// The largest body (413).
        body_size: Option<Size> = optional;
        /// The most header fields (431).
        fields: Option<Whole<1, 10_000>> = optional;
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}
