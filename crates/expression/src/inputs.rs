//! What a request gives to its expressions.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use tollgate_message::Known;

use crate::variables::{ListVariable, MapVariable, TextVariable};

/// A key that is looked for in a map of the request.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// Its bytes. For [`MapVariable::Headers`] in lower case, to be compared with names without case.
    pub bytes: &'k [u8],
    /// For headers the known field of this name, found once when the expression was compiled.
    pub known: Known,
}

/// Says whether a walk goes on.
pub type Visit = ControlFlow<()>;

/// What a request gives to its expressions. Each method lends: nothing is built that no expression asks for.
///
/// Values are bytes as the client sent them (after percent-decoding where the variable's doc says so), UTF-8 or not.
/// Which method gives a variable says its [`Source`](crate::Source).
pub trait Inputs {
    /// One string; empty if there is none.
    fn text(&self, variable: TextVariable) -> Cow<'_, [u8]>;

    /// The value at a key of a map. For headers with several lines the values joined by `, `.
    fn entry(&self, map: MapVariable, key: Key<'_>) -> Option<Cow<'_, [u8]>>;

    /// Walks a map: each key once, with the value that [`entry`](Self::entry) gives for it; names of headers in lower case.
    fn entries<'a>(
        &'a self,
        map: MapVariable,
        visit: &mut dyn FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>) -> Visit,
    ) -> Visit;

    /// Walks a list in its order.
    fn items<'a>(&'a self, list: ListVariable, visit: &mut dyn FnMut(Cow<'a, [u8]>) -> Visit) -> Visit;

    /// The client's address; `None` on a Unix socket.
    fn address(&self) -> Option<IpAddr>;

    /// The declared length of the body in bytes; -1 if unknown.
    fn size(&self) -> i64;

    /// Whether the client came by TLS.
    fn tls(&self) -> bool;

    /// The claims of the caller's token; `None` counts as no claims.
    fn claims(&self) -> Option<&serde_json::Map<String, serde_json::Value>>;

    /// The time at which the request arrived, in microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> i64;
}
