//! A route's conditions, as the document states them.

use crate::host_pattern::HostPattern;

/// One route: all of its non-empty lists must hold, of each of `hosts`, `paths` and `methods` one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSpec {
    /// The name that explanations and errors use.
    pub name: String,
    /// Hosts; empty means any.
    pub hosts: Vec<HostPattern>,
    /// Paths; empty means the prefix `/`.
    pub paths: Vec<PathMatch>,
    /// Methods, case-sensitive (RFC 9110 section 9.1); empty means any. `GET` does not include `HEAD`.
    pub methods: Vec<String>,
    /// Predicates on fields; all must hold.
    pub headers: Vec<FieldPredicate>,
    /// Predicates on query parameters; all must hold.
    pub query: Vec<QueryPredicate>,
}

/// A condition on the path.
///
/// Exact paths and prefixes are brought into the spelling of normalised request paths first, so that `/%41`
/// and `/é` match what they mean. They must start with `/` and hold no `//`, no dot segment and no encoded
/// slash, since no normalised path does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Exactly this path, case-sensitive; a trailing slash counts.
    Exact(String),
    /// This path and all below it, by path element: `/abc` takes `/abc`, `/abc/` and `/abc/d`, not `/abcd`.
    /// A trailing slash is ignored. `/` takes everything.
    Prefix(String),
    /// A regular expression that must match the whole normalised path, as if it stood between `^` and `$`.
    /// Matched on bytes: classes such as `\w` are ASCII. Takes time linear in the path.
    Regex(String),
}

/// What a field's or parameter's value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueTest {
    /// There, with any value, also an empty one.
    Present,
    /// Exactly this, case-sensitive.
    Exact(String),
    /// A regular expression that must match the whole value; see [`PathMatch::Regex`].
    Regex(String),
}

/// A condition on a field. It holds if one of the field lines of that name passes the test; lines are not
/// joined and lists in them not taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPredicate {
    /// The field's name, in any case.
    pub name: String,
    /// What its value must be.
    pub test: ValueTest,
}

/// A condition on a query parameter. Name and value are compared after percent-decoding, with `+` read as a
/// space, as forms write it. Of a repeated parameter only the first one counts (the Gateway API's advice).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryPredicate {
    /// The parameter's name, decoded, case-sensitive.
    pub name: String,
    /// What its decoded value must be. A parameter without `=` has an empty value.
    pub test: ValueTest,
}
