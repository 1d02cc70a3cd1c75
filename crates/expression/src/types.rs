//! The types of expressions, as far as they are known when loaded.

use std::fmt;

use crate::variables::Source;

/// A type. `Any` is what is known only when evaluated: claims and what comes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Null,
    Bool,
    Int,
    Double,
    Text,
    Time,
    Duration,
    List(Box<Type>),
    /// From strings.
    Map(Box<Type>),
}

impl Type {
    pub(crate) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    pub(crate) fn of(source: Source) -> Self {
        match source {
            Source::Text(_) | Source::Address => Self::Text,
            Source::Map(_) => Self::Map(Box::new(Self::Text)),
            Source::List(_) => Self::list(Self::Text),
            Source::Size => Self::Int,
            Source::Tls => Self::Bool,
            Source::Claims => Self::Map(Box::new(Self::Any)),
            Source::Now => Self::Time,
        }
    }

    /// The same as [`Type::of`] and its `Display`, for tables.
    pub(crate) const fn spelling_of(source: Source) -> &'static str {
        match source {
            Source::Text(_) | Source::Address => "string",
            Source::Map(_) => "map(string, string)",
            Source::List(_) => "list(string)",
            Source::Size => "int",
            Source::Tls => "bool",
            Source::Claims => "map(string, dyn)",
            Source::Now => "timestamp",
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// Whether a value of this type may turn out to be one of `other`: equal, but for what is known only when evaluated.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (a, b) => a == b,
        }
    }

    /// Whether `==` makes sense between the two. Numbers of both types can be compared.
    pub(crate) fn compares(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.compares(b),
            (a, b) => a.fits(b) || a.is_number() && b.is_number(),
        }
    }

    /// The type of either of the two.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::List(a), Self::List(b)) => Self::list(a.join(*b)),
            (Self::Map(a), Self::Map(b)) => Self::Map(Box::new(a.join(*b))),
            _ => Self::Any,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Time => "timestamp",
            Self::Duration => "duration",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(value) => return write!(f, "map(string, {value})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Type;
    use crate::variables::VARIABLES;

    #[test]
    fn the_table_spells_the_types_as_they_are() {
        for variable in VARIABLES {
            assert_eq!(variable.kind, Type::of(variable.source).to_string(), "{}", variable.name);
        }
    }
}
