//! Values while an expression is evaluated: lent by the request or by the expression where that can be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::variables::{ListVariable, MapVariable};

/// A value. Lists and maps of the request stay there until their items are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, [u8]>),
    /// Microseconds since 1970.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    InputList(ListVariable),
    InputMap(MapVariable),
    List(Row<'a, Value<'a>>),
    /// Keys are distinct.
    Map(Row<'a, (Value<'a>, Value<'a>)>),
    JsonList(&'a [Json]),
    JsonMap(&'a serde_json::Map<String, Json>),
}

/// Items: of a literal, which the expression lends, or made while evaluating.
#[derive(Debug)]
pub(crate) enum Row<'a, T> {
    Lent(&'a [T]),
    Made(Arc<[T]>),
}

impl<T> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Lent(items) => Self::Lent(items),
            Self::Made(items) => Self::Made(Arc::clone(items)),
        }
    }
}

impl<T> Row<'_, T> {
    pub(crate) fn items(&self) -> &[T] {
        match self {
            Self::Lent(items) => items,
            Self::Made(items) => items,
        }
    }
}

impl<'a> Value<'a> {
    /// The same value, borrowed from this one.
    pub(crate) fn lend<'b>(&'b self) -> Value<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::List(items) => Value::List(Row::Lent(items.items())),
            Self::Map(entries) => Value::Map(Row::Lent(entries.items())),
            other => other.clone(),
        }
    }

    pub(crate) fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text.as_bytes())),
            Json::Array(items) => Self::JsonList(items),
            Json::Object(entries) => Self::JsonMap(entries),
        }
    }

    /// Its type, as errors name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Time(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::InputList(_) | Self::List(_) | Self::JsonList(_) => "list",
            Self::InputMap(_) | Self::Map(_) | Self::JsonMap(_) => "map",
        }
    }

    /// The order of two values that have one: numbers, strings, booleans, times, durations. `None` if they
    /// have none, or one is not a number.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::Int(a), Self::Double(b)) => int_to_double(*a, *b)?,
            (Self::Double(a), Self::Int(b)) => int_to_double(*b, *a)?.reverse(),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b)?,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

/// Compares exactly, also where a double cannot hold the integer.
fn int_to_double(int: i64, double: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    Some(int.cmp(&(whole as i64)).then_with(|| 0.0.partial_cmp(&(double - whole)).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::int_to_double;

    #[test]
    fn integers_and_doubles_are_compared_exactly() {
        for (int, double, wanted) in [
            (1, 1.0, Some(Equal)),
            (1, 1.5, Some(Less)),
            (-1, -1.5, Some(Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Equal)),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Some(Greater)),
            (0, f64::INFINITY, Some(Less)),
            (0, f64::NEG_INFINITY, Some(Greater)),
            (0, -0.0, Some(Equal)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(int_to_double(int, double), wanted, "{int} {double}");
        }
    }
}
