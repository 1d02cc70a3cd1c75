//! The variables of an expression: one table, from which the checker, the evaluator and the docs read.

use crate::types::Type;

/// A variable whose value is one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextVariable {
    /// The method.
    Method,
    /// The normalised path.
    Path,
    /// The host asked for.
    Host,
    /// `http` or `https`.
    Scheme,
    /// The protocol's version.
    Protocol,
    /// The request id.
    Id,
    /// The listener's name.
    Listener,
    /// The route's name.
    Route,
    /// The name asked for in the TLS handshake.
    ServerName,
    /// The consumer's name.
    Consumer,
    /// The name of the method that identified the caller.
    Auth,
}

/// A variable that maps names to strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapVariable {
    /// Parameters of the query.
    Query,
    /// Header fields.
    Headers,
    /// Cookies.
    Cookies,
    /// The consumer's labels.
    Labels,
}

/// A variable that is a list of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListVariable {
    /// The path's segments.
    Segments,
    /// The consumer's groups.
    Groups,
    /// The scopes that the caller was given.
    Scopes,
}

/// Where a variable's value comes from: which method of [`Inputs`](crate::Inputs) gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// [`Inputs::text`](crate::Inputs::text)
    Text(TextVariable),
    /// [`Inputs::entry`](crate::Inputs::entry) and [`Inputs::entries`](crate::Inputs::entries)
    Map(MapVariable),
    /// [`Inputs::items`](crate::Inputs::items)
    List(ListVariable),
    /// [`Inputs::address`](crate::Inputs::address)
    Address,
    /// [`Inputs::size`](crate::Inputs::size)
    Size,
    /// [`Inputs::tls`](crate::Inputs::tls)
    Tls,
    /// [`Inputs::claims`](crate::Inputs::claims)
    Claims,
    /// [`Inputs::now`](crate::Inputs::now)
    Now,
}

/// A row of [`VARIABLES`].
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name in expressions.
    pub name: &'static str,
    /// Its type, as CEL writes it.
    pub kind: &'static str,
    /// What it holds.
    pub doc: &'static str,
    /// Where its value comes from.
    pub source: Source,
    /// Whether it is known only after the caller was identified.
    pub of_caller: bool,
}

const fn row(name: &'static str, source: Source, doc: &'static str) -> Variable {
    Variable { name, kind: Type::spelling_of(source), doc, source, of_caller: false }
}

const fn caller(name: &'static str, source: Source, doc: &'static str) -> Variable {
    Variable { of_caller: true, ..row(name, source, doc) }
}

/// All variables, in the order of the docs.
pub const VARIABLES: &[Variable] = &[
    row("method", Source::Text(TextVariable::Method), "The method, such as `GET`."),
    row(
        "path",
        Source::Text(TextVariable::Path),
        "The path, normalised: percent-encoding and dot segments resolved as for choosing the route, without the query.",
    ),
    row(
        "segments",
        Source::List(ListVariable::Segments),
        "The parts of the path between slashes: `/v1/orders` has `v1` and `orders`.",
    ),
    row("host", Source::Text(TextVariable::Host), "The host asked for, in lower case, without a port."),
    row("scheme", Source::Text(TextVariable::Scheme), "`http` or `https`."),
    row(
        "protocol",
        Source::Text(TextVariable::Protocol),
        "The protocol: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.",
    ),
    row(
        "query",
        Source::Map(MapVariable::Query),
        "The query's parameters, decoded; of one that comes several times the first value.",
    ),
    row(
        "headers",
        Source::Map(MapVariable::Headers),
        "The header fields. Names are in lower case; the values of several lines of one name are joined by `, `.",
    ),
    row(
        "cookies",
        Source::Map(MapVariable::Cookies),
        "The cookies; of one that comes several times the first value.",
    ),
    row("size", Source::Size, "The declared length of the body in bytes; 0 without a body, -1 if unknown."),
    row("id", Source::Text(TextVariable::Id), "The request id."),
    row(
        "address",
        Source::Address,
        "The client's address, without a port, as found behind trusted proxies; `\"\"` on a Unix socket.",
    ),
    row("listener", Source::Text(TextVariable::Listener), "The name of the listener."),
    row("route", Source::Text(TextVariable::Route), "The name of the route."),
    row("tls", Source::Tls, "Whether the client came by TLS."),
    row(
        "server_name",
        Source::Text(TextVariable::ServerName),
        "The server name of the client's TLS handshake, else `\"\"`.",
    ),
    caller(
        "consumer",
        Source::Text(TextVariable::Consumer),
        "The name of the consumer; `\"\"` if anonymous or not identified.",
    ),
    caller(
        "auth",
        Source::Text(TextVariable::Auth),
        "The name of the authentication method that passed, else `\"\"`.",
    ),
    caller("groups", Source::List(ListVariable::Groups), "The groups of the consumer."),
    caller("scopes", Source::List(ListVariable::Scopes), "The scopes that the caller's token was given."),
    caller("labels", Source::Map(MapVariable::Labels), "The labels of the consumer."),
    caller("claims", Source::Claims, "The claims of the caller's token, of any type; empty without a token."),
    row("now", Source::Now, "The time at which the request arrived."),
];

/// The variable of this name.
pub(crate) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Which variables an expression reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u32);

const _: () = assert!(VARIABLES.len() <= u32::BITS as usize);

impl Needs {
    pub(crate) fn add(&mut self, variable: &Variable) {
        self.0 |= Self::bit(variable.source);
    }

    /// Whether it reads this one.
    pub fn reads(self, source: Source) -> bool {
        self.0 & Self::bit(source) != 0
    }

    /// Whether it reads one that is known only after the caller was identified.
    pub fn reads_caller(self) -> bool {
        self.variables().any(|variable| variable.of_caller)
    }

    /// Those that it reads, in the order of the table.
    pub fn variables(self) -> impl Iterator<Item = &'static Variable> {
        VARIABLES.iter().filter(move |variable| self.reads(variable.source))
    }

    /// What either reads.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn bit(source: Source) -> u32 {
        let place = VARIABLES.iter().position(|variable| variable.source == source);
        place.map_or(0, |place| 1 << place)
    }
}

#[cfg(test)]
mod tests {
    use super::{Needs, VARIABLES, find};

    #[test]
    fn each_variable_has_a_row_of_its_own() {
        let mut all = Needs::default();
        for (place, variable) in VARIABLES.iter().enumerate() {
            assert!(variable.doc.ends_with('.'), "{}", variable.name);
            assert_eq!(find(variable.name).unwrap().source, variable.source);
            let mut one = Needs::default();
            one.add(variable);
            assert_eq!(one.0, 1 << place, "{}", variable.name);
            all = all.union(one);
        }
        assert_eq!(all.variables().count(), VARIABLES.len());
        assert!(all.reads_caller());
    }
}
