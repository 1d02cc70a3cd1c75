//! Functions on strings, conversions, parts of times.

use memchr::memmem;

use super::{Evaluated, Evaluation, MAKE};
use crate::error::EvaluateError;
use crate::functions::Operation;
use crate::moments::{self, Part};
use crate::node::Node;
use crate::value::Value;

const SECOND: i64 = 1_000_000;

impl<'a> Evaluation<'a> {
    /// `startsWith`, `endsWith`, `contains`
    pub(super) fn search(&mut self, operation: Operation, text: &'a Node, part: &'a Node) -> Evaluated<bool> {
        let text = self.text(text)?;
        let part = self.text(part)?;
        self.spend_on(&part)?;
        Ok(match operation {
            Operation::StartsWith => text.starts_with(&part),
            Operation::EndsWith => text.ends_with(&part),
            _ => {
                self.spend_on(&text)?;
                memmem::find(&text, &part).is_some()
            }
        })
    }

    /// Functions of one argument.
    pub(super) fn convert(&mut self, operation: Operation, of: Value<'a>) -> Evaluated<Value<'a>> {
        if let Value::Text(text) = &of {
            self.spend_on(text)?;
        }
        match operation {
            Operation::Size => self.size(&of).map(Value::Int),
            Operation::ToText => {
                self.spend(MAKE)?;
                to_text(of)
            }
            Operation::ToInt => to_int(&of).map(Value::Int),
            Operation::ToDouble => to_double(&of).map(Value::Double),
            Operation::ToTime => to_time(&of).map(Value::Time),
            Operation::ToDuration => to_duration(&of).map(Value::Duration),
            _ => match of {
                Value::Text(text) => {
                    self.spend(MAKE)?;
                    let mut text = text.into_owned();
                    match operation {
                        Operation::LowerAscii => text.make_ascii_lowercase(),
                        _ => text.make_ascii_uppercase(),
                    }
                    Ok(Value::Text(text.into()))
                }
                other => Err(wrong("string", &other)),
            },
        }
    }

    fn size(&mut self, of: &Value<'a>) -> Evaluated<i64> {
        let size = match of {
            Value::Text(text) if text.is_ascii() => text.len(),
            Value::Text(text) => String::from_utf8_lossy(text).chars().count(),
            other => self.length(other)?.ok_or_else(|| wrong("string", other))?,
        };
        i64::try_from(size).map_err(|_| EvaluateError::Overflow)
    }
}

fn wrong(wanted: &'static str, found: &Value<'_>) -> EvaluateError {
    EvaluateError::WrongType { wanted, found: found.kind() }
}

/// Reads the whole string.
fn read<T>(text: &[u8], what: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Evaluated<T> {
    std::str::from_utf8(text).ok().and_then(read).ok_or(EvaluateError::Unreadable(what))
}

fn to_text(of: Value<'_>) -> Evaluated<Value<'_>> {
    let text = match of {
        Value::Text(_) => return Ok(of),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Time(time) => moments::write_time(time).ok_or(EvaluateError::Overflow)?,
        Value::Duration(duration) => moments::write_duration(duration),
        other => return Err(wrong("string", &other)),
    };
    Ok(Value::Text(text.into_bytes().into()))
}

fn to_int(of: &Value<'_>) -> Evaluated<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match of {
        Value::Int(number) => Ok(*number),
        Value::Double(number) if *number >= -BEYOND && *number < BEYOND => Ok(*number as i64),
        Value::Double(_) => Err(EvaluateError::Overflow),
        Value::Text(text) => read(text, "an integer", |text| text.parse().ok()),
        Value::Time(time) => Ok(moments::seconds(*time)),
        other => Err(wrong("int", other)),
    }
}

fn to_double(of: &Value<'_>) -> Evaluated<f64> {
    match of {
        Value::Double(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Text(text) => {
            read(text, "a number", |text| text.parse().ok().filter(|number: &f64| number.is_finite()))
        }
        other => Err(wrong("double", other)),
    }
}

fn to_time(of: &Value<'_>) -> Evaluated<i64> {
    match of {
        Value::Time(time) => Ok(*time),
        Value::Int(seconds) => {
            seconds.checked_mul(SECOND).and_then(moments::in_range).ok_or(EvaluateError::Overflow)
        }
        Value::Text(text) => read(text, "a timestamp", moments::parse_time),
        other => Err(wrong("timestamp", other)),
    }
}

fn to_duration(of: &Value<'_>) -> Evaluated<i64> {
    match of {
        Value::Duration(duration) => Ok(*duration),
        Value::Text(text) => read(text, "a duration", moments::parse_duration),
        other => Err(wrong("duration", other)),
    }
}

pub(super) fn part<'a>(of: &Value<'a>, part: Part, offset: i64) -> Evaluated<Value<'a>> {
    match of {
        Value::Time(time) => {
            moments::part_of_time(*time, offset, part).map(Value::Int).ok_or(EvaluateError::Overflow)
        }
        Value::Duration(duration) if part.of_durations() => {
            Ok(Value::Int(moments::part_of_duration(*duration, part)))
        }
        other => Err(wrong("timestamp", other)),
    }
}
