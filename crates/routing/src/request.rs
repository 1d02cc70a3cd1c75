//! What of a request takes part in routing.

use tollgate_message::Fields;

/// A request as routing sees it, in its one spelling.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The host as [`parse_host`](crate::host::parse_host) gives it: lower case, without port and trailing
    /// dot, an IPv6 address in brackets. Empty if the request names none.
    pub host: &'a [u8],
    /// The path as [`normalise_path`](crate::normalise::normalise_path) gives it.
    pub path: &'a [u8],
    /// The query as it came, without the `?`; empty if there is none.
    pub query: &'a [u8],
    /// The method as it came.
    pub method: &'a [u8],
    /// The field lines.
    pub fields: Fields<'a>,
}
