//! Services that decide about each request.

use crate::section::{section, words};
use crate::setting::Many;
use crate::source::Located;
use crate::units::{Duration, FilePath, HeaderName, HttpUrl};

section! {
    /// An HTTP service of your own decides about each request: 2xx lets it pass, 3xx and 4xx go to the client, anything
    /// else is no answer.
    pub struct ForwardAuth {
        /// Where to ask. Method, URL and client of the request go there as `X-Forwarded-*`.
        url: Located<HttpUrl> = required;
        /// How long it may take to answer.
        timeout: Duration<1> = default(Duration::seconds(1));
        /// Headers of the request that it gets.
        request_headers: Many<Located<HeaderName>> = default(Many(vec![
            Located::nowhere(HeaderName::of("Authorization")),
            Located::nowhere(HeaderName::of("Cookie")),
        ]));
        /// Headers of its answer that the upstream gets. What clients send under these names is removed.
        response_headers: Many<Located<HeaderName>> = default(Many::none());
        /// What happens to requests when it does not answer in time.
        if_unreachable: IfUnreachable = default(IfUnreachable::Deny);
        /// The authorities that may have issued its certificate, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
    }
}

section! {
    /// A service that speaks Envoy's `ext_authz` (gRPC, `envoy.service.auth.v3.Authorization/Check`) decides about
    /// each request.
    pub struct ExtAuthzAuth {
        /// Where to ask; HTTP/2 is spoken there.
        url: Located<HttpUrl> = required;
        /// How long it may take to answer.
        timeout: Duration<1> = default(Duration::millis(200));
        /// What happens to requests when it does not answer in time.
        if_unreachable: IfUnreachable = default(IfUnreachable::Deny);
        /// Headers of its answer that the upstream gets. What clients send under these names is removed.
        response_headers: Many<Located<HeaderName>> = default(Many::none());
        /// The authorities that may have issued its certificate, PEM; those of the system if left out.
        ca: Option<Located<FilePath>> = optional;
    }
}

words! {
    /// What happens to requests when a service does not answer in time.
    pub enum IfUnreachable {
        /// They are refused.
        Deny = "deny";
        /// They pass, and nobody knows who they are.
        Allow = "allow";
    }
}
