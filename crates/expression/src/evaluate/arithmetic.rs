//! Sums, differences, products: what leaves the range is an error, never a wrong number.

use super::{Evaluated, Evaluation, MAKE};
use crate::error::EvaluateError;
use crate::moments;
use crate::syntax::Binary;
use crate::value::{Row, Value};

impl<'a> Evaluation<'a> {
    pub(super) fn arithmetic(
        &mut self,
        operator: Binary,
        left: Value<'a>,
        right: Value<'a>,
    ) -> Evaluated<Value<'a>> {
        match (operator, left, right) {
            (_, Value::Int(a), Value::Int(b)) => integers(operator, a, b).map(Value::Int),
            (_, Value::Double(a), Value::Double(b)) => doubles(operator, a, b).map(Value::Double),
            (Binary::Add, Value::Text(a), Value::Text(b)) => {
                self.spend_on(&a)?;
                self.spend_on(&b)?;
                self.spend(MAKE)?;
                let mut text = a.into_owned();
                text.extend_from_slice(&b);
                Ok(Value::Text(text.into()))
            }
            (Binary::Add, a, b) if a.kind() == "list" && b.kind() == "list" => {
                let mut items = self.items(&a)?;
                items.extend(self.items(&b)?);
                self.spend(items.len())?;
                Ok(Value::List(Row::Made(items.into())))
            }
            (operator, left, right) => moments(operator, &left, &right),
        }
    }
}

fn integers(operator: Binary, a: i64, b: i64) -> Evaluated<i64> {
    let result = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide | Binary::Remainder if b == 0 => return Err(EvaluateError::DivisionByZero),
        Binary::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    result.ok_or(EvaluateError::Overflow)
}

fn doubles(operator: Binary, a: f64, b: f64) -> Evaluated<f64> {
    match operator {
        Binary::Add => Ok(a + b),
        Binary::Subtract => Ok(a - b),
        Binary::Multiply => Ok(a * b),
        Binary::Divide => Ok(a / b),
        _ => Err(EvaluateError::WrongType { wanted: "int", found: "double" }),
    }
}

fn moments<'a>(operator: Binary, left: &Value<'a>, right: &Value<'a>) -> Evaluated<Value<'a>> {
    let time = |time: Option<i64>| time.and_then(moments::in_range).map(Value::Time);
    let result = match (operator, left, right) {
        (Binary::Add, Value::Time(a), Value::Duration(b))
        | (Binary::Add, Value::Duration(b), Value::Time(a)) => time(a.checked_add(*b)),
        (Binary::Add, Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration),
        (Binary::Subtract, Value::Time(a), Value::Duration(b)) => time(a.checked_sub(*b)),
        (Binary::Subtract, Value::Time(a), Value::Time(b))
        | (Binary::Subtract, Value::Duration(a), Value::Duration(b)) => {
            a.checked_sub(*b).map(Value::Duration)
        }
        _ => return Err(EvaluateError::WrongType { wanted: left.kind(), found: right.kind() }),
    };
    result.ok_or(EvaluateError::Overflow)
}

pub(super) fn negate<'a>(of: &Value<'a>) -> Evaluated<Value<'a>> {
    match of {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or(EvaluateError::Overflow),
        Value::Double(number) => Ok(Value::Double(-number)),
        other => Err(EvaluateError::WrongType { wanted: "int", found: other.kind() }),
    }
}
