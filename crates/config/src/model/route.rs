//! Routes: which requests, and where to.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use super::{Fallback, GrpcMatch, HeaderEdits, Hedge, Hold, Policies, Priority, Retry, Sticky, Timeouts};
use crate::diagnostic::Diagnostic;
use crate::section::{choice, section, words};
use crate::setting::{Decoder, Many, Setting, Switch, ValueError, Whole, text_setting};
use crate::shape::Shape;
use crate::source::Located;
use crate::table::Table;
use crate::tree::Node;
use crate::units::{EndpointAddress, FieldValue, HeaderName, HostPattern, MethodName, Name, PathPattern};
use crate::units::{QueryName, Regex, Scheme, Size};

section! {
    /// A rule from requests to a destination. All its conditions must hold.
    pub struct Route {
        /// What logs and metrics call it.
        name: Option<Located<Name>> = optional;
        /// The hosts it is for: `shop.example.com`, or `*.example.com` for all names below. All hosts if left out.
        hosts ("hosts" | "host"): Many<Located<HostPattern>> = default(Many::none());
        /// The paths it is for, any of them. A text is a prefix by path elements. All paths if left out.
        paths ("path" | "paths"): Many<Located<PathMatch>> = default(Many::none());
        /// The methods it is for. All methods if left out.
        methods ("methods" | "method"): Many<Located<MethodName>> = default(Many::none());
        /// The gRPC calls it is for, instead of paths and methods: `{ service: shop.Orders, method: Create }`.
        grpc: Option<Located<Box<GrpcMatch>>> = optional;
        /// Conditions on headers and query parameters.
        conditions ("match"): Option<Box<Match>> = optional;
        /// What happens to its requests.
        action: Action = choice;
        /// Changes of the request's host and path before it is sent on.
        rewrite: Option<Located<Box<Rewrite>>> = optional;
        /// Changes of header fields.
        headers: Option<Box<HeaderEdits>> = optional;
        /// When to try again.
        retry: Option<Box<Switch<Retry>>> = optional;
        /// Holds requests while there is no endpoint for them: `hold: 10s`. What an upstream or `defaults` set is its default.
        hold: Option<Box<Switch<Hold>>> = optional;
        /// What requests get that the upstream could not serve.
        fallback: Option<Located<Box<Fallback>>> = optional;
        /// A second attempt beside one that is slow: `hedge: 200ms`.
        hedge: Option<Box<Switch<Hedge>>> = optional;
        /// Keeps requests of one session at one endpoint, in place of what the upstream sets; `none` for no sessions.
        sticky: Option<Located<Box<Switch<Sticky>>>> = optional;
        /// How long to wait on the upstream side.
        timeouts: Option<Box<Timeouts>> = optional;
        /// Limits of the request's body.
        body: Option<Body> = optional;
        /// How urgent its requests are, where they wait for an upstream that has a `queue`.
        priority: Priority = default(Priority::Normal);
        /// Whether its exchanges are traced, where `tracing` is set. If not, `traceparent` passes as it is.
        trace: bool = default(true);
        /// What is asked of its requests before they are sent on.
        policies: Option<Box<Policies>> = flatten;
    }
}

choice! {
    /// How a path is matched. A text alone is a prefix.
    pub enum PathMatch short Prefix {
        /// This path only, case and final `/` included.
        Exact("exact"): PathPattern;
        /// This path and all below it, by path elements: `/a` is for `/a`, `/a/` and `/a/b`, not for `/ab`.
        Prefix("prefix"): PathPattern;
        /// A regular expression for the whole path.
        Regex("regex"): Regex;
    }
}

section! {
    /// Conditions on headers and query parameters; all must hold.
    pub struct Match {
        /// By header name, in any case.
        headers: Table<HeaderName, Located<TextMatch>> = default(Table::none());
        /// By name of a query parameter; of a repeated parameter the first value counts.
        query: Table<QueryName, Located<TextMatch>> = default(Table::none());
    }
}

choice! {
    /// How a value is matched. A text alone must be the whole value.
    pub enum TextMatch short Exact {
        /// The whole value, case included.
        Exact("exact"): String;
        /// A regular expression for the whole value.
        Regex("regex"): Regex;
        /// Any value, as long as there is one.
        Present("present"): Presence;
    }
}

/// `true`, as the value of `present`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Presence;

impl Setting for Presence {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if bool::decode(node, decoder)? {
            return Some(Self);
        }
        decoder.report(Diagnostic::error(node.origin, "`present` can only be `true`"));
        None
    }
    fn shape() -> Shape {
        Shape::Boolean
    }
    fn encode(&self) -> Json {
        Json::Bool(true)
    }
}

choice! {
    /// What happens to the requests of a route.
    pub enum Action {
        /// Sends them to an upstream, by its name, or to an address: `http://127.0.0.1:3000`,
        /// `https://app.internal`.
        To("to"): Located<Destination>;
        /// Shares them among upstreams by weight: `{ blue: 95, green: 5 }`.
        Split("split"): Located<Table<Name, Weight>>;
        /// Answers with a redirect.
        Redirect("redirect"): Located<Box<Redirect>>;
        /// Answers at once.
        Respond("respond"): Located<Box<Respond>>;
    }
}

/// A share of the traffic relative to the other shares.
pub type Weight = Whole<0, 1_000_000>;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// An upstream of the document.
    Upstream(Name),
    /// An upstream of this one endpoint, with all defaults.
    Inline(EndpointAddress),
}

impl FromStr for Destination {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.contains(':') { text.parse().map(Self::Inline) } else { text.parse().map(Self::Upstream) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(name) => name.fmt(f),
            Self::Inline(address) if address.is_https() => address.fmt(f),
            Self::Inline(address) => write!(f, "http://{address}"),
        }
    }
}

text_setting!(
    Destination,
    "an upstream's name or an address",
    Shape::pattern("destination", r"^[A-Za-z0-9_\[][^\s]*$")
);

section! {
    /// A redirect: the parts of the request's URL that it replaces.
    pub struct Redirect {
        /// The scheme.
        scheme: Option<Scheme> = optional;
        /// The host.
        host: Option<HostPattern> = optional;
        /// The port; the one of the scheme if `scheme` is set, else the listener's.
        port: Option<Whole<1, 65_535>> = optional;
        /// The path.
        path: Option<Located<PathRewrite>> = optional;
        /// The status of the answer.
        status: RedirectStatus = default(RedirectStatus::Found);
    }
}

words! {
    /// The status of a redirect (RFC 9110 section 15.4).
    pub enum RedirectStatus {
        /// For good; the method may become GET.
        MovedPermanently = "301";
        /// For now; the method may become GET.
        Found = "302";
        /// To another resource; the method becomes GET.
        SeeOther = "303";
        /// For now; the method stays.
        TemporaryRedirect = "307";
        /// For good; the method stays.
        PermanentRedirect = "308";
    }
}

impl RedirectStatus {
    /// The status code.
    pub fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }
}

choice! {
    /// A new path.
    pub enum PathRewrite {
        /// Instead of the whole path.
        Full("full"): PathPattern;
        /// Instead of the prefix that the route matched; needs exactly one path, a prefix, on the route.
        Prefix("prefix"): PathPattern;
    }
}

section! {
    /// An answer without an upstream. A status alone is enough.
    pub struct Respond short "status" {
        /// The status.
        status: Located<Whole<200, 599>> = default(Located::nowhere(Whole::of::<200>()));
        /// The body.
        body: Option<Located<String>> = optional;
        /// The body's `Content-Type`; `text/plain; charset=utf-8` if left out.
        content_type: Option<FieldValue> = optional;
        /// More headers.
        headers: Table<HeaderName, FieldValue> = default(Table::none());
    }
}

section! {
    /// Changes of a request's host and path before it is sent on.
    pub struct Rewrite {
        /// The host.
        host: Option<HostPattern> = optional;
        /// The path.
        path: Option<Located<PathRewrite>> = optional;
    }
}

section! {
    /// Limits of the request's body.
    pub struct Body {
        /// The largest body, instead of `limits.body_size`.
        max_size: Option<Switch<Size>> = optional;
    }
}
