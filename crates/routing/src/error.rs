//! What can be wrong with a list of routes.

use std::fmt;

use crate::normalise::PathProblem;

/// A route that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The route's place in the list.
    pub route: usize,
    /// What is wrong with it.
    pub problem: RouteProblem,
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteProblem {
    /// The exact path or prefix `path` can be in no request.
    Path {
        /// The path as written.
        path: String,
        /// Why no request has it.
        problem: PathProblem,
    },
    /// The exact path or prefix `path` holds `//` or a dot segment, which normalised paths do not.
    PathNotNormal {
        /// The path as written.
        path: String,
        /// The normalised path.
        normal: String,
    },
    /// A regular expression cannot be used.
    Regex {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A method that is no token (RFC 9110 section 5.6.2).
    Method(String),
    /// A field name that is no token.
    FieldName(String),
    /// The value wanted of this field can never come: it has white space around it or control characters.
    FieldValue(String),
    /// Two predicates on this field. (The Gateway API ignores all but the first; that would hide a mistake.)
    RepeatedField(String),
    /// Two predicates on this query parameter.
    RepeatedParameter(String),
    /// With this route there are more combinations of hosts and paths than a table holds.
    TooMany,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.route, self.problem)
    }
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { path, problem } => write!(f, "path `{path}` can be in no request: {problem}"),
            Self::PathNotNormal { path, normal } => {
                write!(f, "path `{path}` can be in no request: write `{normal}`")
            }
            Self::Regex { pattern, message } => write!(f, "regular expression `{pattern}`: {message}"),
            Self::Method(method) => write!(f, "`{method}` is no method"),
            Self::FieldName(name) => write!(f, "`{name}` is no header name"),
            Self::FieldValue(name) => write!(
                f,
                "header `{name}` can never have this value: white space around it or control characters in it"
            ),
            Self::RepeatedField(name) => write!(f, "two conditions on header `{name}`"),
            Self::RepeatedParameter(name) => write!(f, "two conditions on query parameter `{name}`"),
            Self::TooMany => f.write_str("too many combinations of hosts and paths"),
        }
    }
}

impl std::error::Error for RouteError {}
