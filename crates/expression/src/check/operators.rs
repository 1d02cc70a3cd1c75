//! Operators of two sides.

use super::{Checker, Typed, article, start};
use crate::error::CompileError;
use crate::node::Node;
use crate::syntax::{Binary, Form, Syntax};
use crate::types::Type;

impl Checker {
    pub(super) fn binary(&mut self, at: usize, operator: Binary, sides: &[Syntax; 2]) -> Typed {
        let (left, left_kind) = self.node(&sides[0])?;
        let (right, right_kind) = self.node(&sides[1]).map_err(|error| hyphenated(operator, sides, error))?;
        let kind = match operator {
            Binary::Equal | Binary::NotEqual => left_kind.compares(&right_kind).then_some(Type::Bool),
            Binary::In => {
                if !matches!(right_kind, Type::List(_) | Type::Map(_) | Type::Any) {
                    let error =
                        format!("`in` needs a list or a map on its right, this is {}", article(&right_kind));
                    let error = CompileError::new(start(&sides[1]), error);
                    return Err(match right_kind {
                        Type::Text => error.mend("write `text.contains(part)` for a part of a string"),
                        _ => error,
                    });
                }
                is_in(&left_kind, &right_kind).then_some(Type::Bool)
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                ordered(&left_kind, &right_kind).then_some(Type::Bool)
            }
            _ => arithmetic(operator, &left_kind, &right_kind),
        };
        let both_text = (&left_kind, &right_kind) == (&Type::Text, &Type::Text);
        match kind {
            Some(kind) if both_text && matches!(operator, Binary::Equal | Binary::NotEqual) => {
                let wanted = operator == Binary::Equal;
                Ok((Node::SameText { sides: Box::new([left, right]), wanted }, kind))
            }
            Some(kind) => Ok((Node::Binary { operator, sides: Box::new([left, right]) }, kind)),
            None => Err(misfit(at, operator, &left_kind, &right_kind)),
        }
    }
}

fn is_in(item: &Type, container: &Type) -> bool {
    match container {
        Type::List(of) => item.compares(of),
        Type::Map(_) => item.fits(&Type::Text),
        _ => true,
    }
}

fn ordered(left: &Type, right: &Type) -> bool {
    let has_order = |kind: &Type| !matches!(kind, Type::Null | Type::List(_) | Type::Map(_));
    has_order(left) && has_order(right) && (left.fits(right) || left.is_number() && right.is_number())
}

/// The type of the result, if there is one.
fn arithmetic(operator: Binary, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Any, Double, Duration, Int, List, Text, Time};
    let takes = |kind: &Type| match operator {
        Binary::Add => matches!(kind, Any | Int | Double | Text | Time | Duration | List(_)),
        Binary::Subtract => matches!(kind, Any | Int | Double | Time | Duration),
        Binary::Remainder => matches!(kind, Any | Int),
        _ => matches!(kind, Any | Int | Double),
    };
    if !takes(left) || !takes(right) {
        return None;
    }
    Some(match (left, right) {
        (Any, _) | (_, Any) => Any,
        (Int, Int) => Int,
        (Double, Double) => Double,
        (Text, Text) => Text,
        (Duration, Duration) | (Time, Time) if operator == Binary::Subtract => Duration,
        (Duration, Duration) => Duration,
        (Time, Duration) => Time,
        (Duration, Time) if operator == Binary::Add => Time,
        (List(a), List(b)) => Type::list((**a).clone().join((**b).clone())),
        _ => return None,
    })
}

fn misfit(at: usize, operator: Binary, left: &Type, right: &Type) -> CompileError {
    let sign = operator.spelling();
    let error =
        CompileError::new(at, format!("`{sign}` does not go with {} and {}", article(left), article(right)));
    match (left, right) {
        (Type::Text, Type::Int | Type::Double) | (Type::Int | Type::Double, Type::Text) => {
            error.mend("convert one of them: `int(text)`, `string(number)`")
        }
        (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
            error.mend("convert one of them: `double(number)`")
        }
        (Type::List(_), _) if operator == Binary::Equal => error.mend("write `item in list`"),
        (_, Type::List(_)) if matches!(operator, Binary::Equal) => error.mend("write `item in list`"),
        _ => error,
    }
}

/// `headers.x-tenant` is a difference: says so where the second half is no variable.
fn hyphenated(operator: Binary, sides: &[Syntax; 2], error: CompileError) -> CompileError {
    match (operator, &sides[0].form, &sides[1].form) {
        (Binary::Subtract, Form::Select { of, field }, Form::Name(rest)) => match &of.form {
            Form::Name(map) => error.mend(format!("a name with `-` is written `{map}[\"{field}-{rest}\"]`")),
            _ => error,
        },
        _ => error,
    }
}
