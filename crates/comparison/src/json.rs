//! Comparing JSON by what it says.

use serde_json::{Number, Value};

use crate::path::{Path, Step};
use crate::{Comparison, Difference, Place, Rules, VALUE_CHARS, shortened};

/// The value of a body, if it is JSON and not nested deeper than 128 levels.
pub(crate) fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// Compares two values.
pub(crate) fn compare(rules: &Rules, first: &Value, second: &Value, found: &mut Comparison) {
    Walk { rules, found, path: Path::default() }.values(Some(first), Some(second));
}

struct Walk<'r, 'v> {
    rules: &'r Rules,
    found: &'r mut Comparison,
    path: Path<'v>,
}

impl<'v> Walk<'_, 'v> {
    /// No deeper than the parser lets values be nested.
    fn values(&mut self, first: Option<&'v Value>, second: Option<&'v Value>) {
        if self.rules.ignored_paths.iter().any(|pattern| pattern.matches(&self.path)) {
            return;
        }
        match (first, second) {
            (Some(Value::Object(one)), Some(Value::Object(other))) => {
                for (name, value) in one {
                    self.below(Step::Name(name), Some(value), other.get(name));
                }
                for (name, value) in other.iter().filter(|(name, _)| !one.contains_key(*name)) {
                    self.below(Step::Name(name), None, Some(value));
                }
            }
            (Some(Value::Array(one)), Some(Value::Array(other))) => {
                for index in 0..one.len().max(other.len()) {
                    self.below(Step::Index(index), one.get(index), other.get(index));
                }
            }
            (Some(Value::Number(one)), Some(Value::Number(other))) if same_number(one, other) => {}
            (one, other) if one == other => {}
            _ => self.differ(first, second),
        }
    }

    fn below(&mut self, step: Step<'v>, first: Option<&'v Value>, second: Option<&'v Value>) {
        self.path.push(step);
        self.values(first, second);
        self.path.pop();
    }

    fn differ(&mut self, first: Option<&Value>, second: Option<&Value>) {
        let value = |value: Option<&Value>| value.map(|value| shortened(&value.to_string(), VALUE_CHARS));
        let path = &self.path;
        self.found.add(|| Difference {
            place: Place::Body { path: path.to_string(), pattern: path.general() },
            first: value(first),
            second: value(second),
        });
    }
}

/// Whether two numbers have the same value: whole ones of up to 64 bits exactly, others as far as a double tells.
fn same_number(one: &Number, other: &Number) -> bool {
    if one == other {
        return true;
    }
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other),
    }
}
