//! What browsers keep pages from, and let them do.

use crate::model::Hsts;
use crate::section::{section, words};
use crate::setting::{Many, Switch};
use crate::source::Located;
use crate::units::{Duration, FieldValue, HeaderName, MethodName, OriginPattern};

section! {
    /// Which pages of other origins may read the answers (CORS, Fetch Standard). Origins alone are enough.
    pub struct Cors short "origins" {
        /// The origins of the pages: `https://app.example`, `https://*.example.com`, or `*` for all.
        origins: Many<Located<OriginPattern>> = required;
        /// Methods that they may use; `*` for all.
        methods: Many<Located<MethodName>> = default(Many(MethodName::simple()));
        /// Request headers that they may set; `*` for all.
        headers: Many<Located<HeaderName>> = default(Many::none());
        /// Response headers that they may read; `*` for all.
        expose: Many<Located<HeaderName>> = default(Many::none());
        /// Whether requests come with cookies and the like.
        credentials: Located<bool> = default(Located::nowhere(false));
        /// How long browsers may remember the answer to a preflight request.
        max_age: Duration = default(Duration::seconds(5));
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

section! {
    /// Refuses requests that change something and begin on other sites, by `Sec-Fetch-Site` or else `Origin`.
    pub struct Csrf {
        /// Origins of other sites that may.
        trusted_origins: Many<Located<OriginPattern>> = default(Many::none());
        /// Whether it only counts and tells what it would have refused.
        shadow: bool = default(false);
    }
}

section! {
    /// Response headers that make browsers careful. `none` leaves one out.
    pub struct SecurityHeaders {
        /// `Strict-Transport-Security`, over TLS.
        hsts: Switch<Hsts> = default(Switch::On(Hsts::standard()));
        /// Whether there is `X-Content-Type-Options: nosniff`.
        nosniff: bool = default(true);
        /// Who may show the page in a frame, `X-Frame-Options`.
        frame_options: Switch<FrameOptions> = default(Switch::On(FrameOptions::Deny));
        /// `Referrer-Policy`.
        referrer_policy: Switch<FieldValue> =
            default(Switch::On(FieldValue::of("strict-origin-when-cross-origin")));
        /// `Content-Security-Policy`.
        content_security_policy: Option<FieldValue> = optional;
        /// `Permissions-Policy`.
        permissions_policy: Option<FieldValue> = optional;
        /// `Cross-Origin-Opener-Policy`.
        opener_policy: Switch<FieldValue> = default(Switch::On(FieldValue::of("same-origin")));
        /// `Cross-Origin-Resource-Policy`.
        resource_policy: Switch<FieldValue> = default(Switch::On(FieldValue::of("same-origin")));
        /// Headers that are removed, since they tell strangers what is inside.
        remove: Many<Located<HeaderName>> = default(Many(vec![
            Located::nowhere(HeaderName::of("Server")),
            Located::nowhere(HeaderName::of("X-Powered-By")),
        ]));
        /// Whether a header that the upstream sets itself is replaced.
        replace: bool = default(false);
        /// Whether it only counts and tells what it would have changed.
        shadow: bool = default(false);
    }
}

words! {
    /// Who may show a page in a frame.
    pub enum FrameOptions {
        /// Nobody.
        Deny = "deny";
        /// Pages of the same origin.
        SameOrigin = "sameorigin";
    }
}
