//! From a request to its route: pure matching, without I/O and without a clock.
//!
//! The steps before a lookup bring a request into its one spelling: [`host::parse_host`] checks the
//! authority, [`normalise::normalise_path`] the path. A [`RouteTable`], compiled from [`RouteSpec`]s, then
//! names the route ([`RouteTable::find`]), tells about every route why it did or did not get the request
//! ([`RouteTable::explain`]), and knows which routes can never get one ([`RouteTable::findings`]).
//! [`rewrite`] builds what a route makes of the path: a new path or a redirect's `Location`.
//!
//! # Precedence
//!
//! That of the Kubernetes Gateway API, where it says something:
//!
//! 1. host: an exact name, then the longest `*.suffix`, then any. Where no route of a more specific host takes
//!    the request, the less specific hosts are asked;
//! 2. path: exact, then regular expressions (the longer pattern first), then the longest prefix. The Gateway
//!    API leaves regular expressions open: before prefixes, because whoever writes one beside a prefix means
//!    an exception to it; the length of the pattern, because it is all there is to compare;
//! 3. a method condition before none, then the number of header predicates, then that of query predicates;
//! 4. the place in the list.
//!
//! A route whose predicates fail gives the request on to the next one in this order.

mod byte_map;
mod compile;
mod error;
mod explain;
mod findings;
pub mod host;
mod host_index;
mod host_pattern;
pub mod normalise;
mod parameters;
mod predicates;
mod query;
mod regexes;
mod request;
pub mod rewrite;
mod spec;
mod table;

pub use error::{RouteError, RouteProblem};
pub use explain::{Condition, Considered, Outcome};
pub use findings::{Finding, Place};
pub use host_pattern::{HostPattern, HostPatternError};
pub use regexes::{Scratch, WholeValue};
pub use request::RequestView;
pub use spec::{FieldPredicate, PathMatch, QueryPredicate, RouteSpec, ValueTest};
pub use table::{Found, RouteTable};
