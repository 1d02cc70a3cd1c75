//! Walks a checked expression over the inputs of a request.

mod arithmetic;
mod containers;
mod functions;
mod loops;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write;
use std::net::IpAddr;

use crate::error::EvaluateError;
use crate::inputs::Inputs;
use crate::node::{LoopKind, Name, Node};
use crate::syntax::Binary;
use crate::value::{Row, Value};
use crate::variables::{MapVariable, Source};

/// The most steps of one evaluation. One costs ten nanoseconds or so, so that the worst expression ends within a few milliseconds
/// at the worst; a plain one takes about ten steps.
pub const STEPS: u32 = 50_000;
/// Making a string costs as many.
const MAKE: usize = 4;
/// As many bytes searched or copied are one step.
const BYTES_A_STEP: usize = 32;

type Evaluated<T> = Result<T, EvaluateError>;

/// One evaluation. Values borrow from the expression and from the inputs.
pub(crate) struct Evaluation<'a> {
    inputs: &'a dyn Inputs,
    steps: u32,
    /// The items at which the loops around are, outermost first.
    locals: Vec<Value<'a>>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(inputs: &'a dyn Inputs) -> Self {
        Self { inputs, steps: STEPS, locals: Vec::new() }
    }

    fn spend(&mut self, steps: usize) -> Evaluated<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(EvaluateError::TooCostly)
    }

    fn spend_on(&mut self, text: &[u8]) -> Evaluated<()> {
        self.spend(text.len() / BYTES_A_STEP)
    }

    /// Whether a condition holds. What gives no bool is an error.
    pub(crate) fn truth(&mut self, node: &'a Node) -> Evaluated<bool> {
        self.spend(1)?;
        match node {
            Node::Not(of) => self.truth(of).map(|truth| !truth),
            Node::All(parts) => self.all(parts.iter(), |this, part| this.truth(part)),
            Node::Any(parts) => {
                self.all(parts.iter(), |this, part| this.truth(part).map(|truth| !truth)).map(|none| !none)
            }
            Node::SameText { sides, wanted } => self.same_text(sides).map(|same| same == *wanted),
            Node::Binary { operator, sides } => self.binary_truth(*operator, sides),
            Node::HasEntry { map, name } => Ok(self.inputs.entry(*map, name.key()).is_some()),
            Node::Has { of, field } => {
                let of = self.value(of)?;
                self.has(&of, field.as_bytes())
            }
            Node::Matches { of, pattern } => {
                let text = self.text(of)?;
                self.spend(pattern.cost(&text))?;
                Ok(pattern.matches(&text))
            }
            Node::InNetwork { of, network } => Ok(network.holds(self.address(of)?)),
            Node::Call { operation, arguments } => match arguments.as_ref() {
                [text, part] => self.search(*operation, text, part),
                _ => self.value(node).and_then(as_bool),
            },
            Node::Loop(walk) if !matches!(walk.kind, LoopKind::Map | LoopKind::Filter) => self.quantify(walk),
            Node::Choice(parts) => {
                let chosen = if self.truth(&parts[0])? { &parts[1] } else { &parts[2] };
                self.truth(chosen)
            }
            _ => self.value(node).and_then(as_bool),
        }
    }

    /// Whether none is false: as soon as one is, whatever fails; if none is and one fails, its error.
    fn all<T>(
        &mut self,
        parts: impl Iterator<Item = T>,
        mut truth: impl FnMut(&mut Self, T) -> Evaluated<bool>,
    ) -> Evaluated<bool> {
        let mut failed = None;
        for part in parts {
            match truth(self, part) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(EvaluateError::TooCostly) => return Err(EvaluateError::TooCostly),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(true), Err)
    }

    fn binary_truth(&mut self, operator: Binary, sides: &'a [Node; 2]) -> Evaluated<bool> {
        let left = self.value(&sides[0])?;
        let right = self.value(&sides[1])?;
        match operator {
            Binary::Equal => self.equal(&left, &right),
            Binary::NotEqual => self.equal(&left, &right).map(|equal| !equal),
            Binary::In => self.contains(&right, &left),
            Binary::Less => self.order(&left, &right, Ordering::is_lt),
            Binary::LessOrEqual => self.order(&left, &right, Ordering::is_le),
            Binary::Greater => self.order(&left, &right, Ordering::is_gt),
            Binary::GreaterOrEqual => self.order(&left, &right, Ordering::is_ge),
            _ => self.arithmetic(operator, left, right).and_then(as_bool),
        }
    }

    /// The most common comparison, without making values of the two.
    fn same_text(&mut self, sides: &'a [Node; 2]) -> Evaluated<bool> {
        let left = self.text(&sides[0])?;
        let right = self.text(&sides[1])?;
        if left.len() != right.len() {
            return Ok(false);
        }
        self.spend_on(&left)?;
        Ok(left == right)
    }

    fn order(
        &mut self,
        left: &Value<'a>,
        right: &Value<'a>,
        wanted: fn(Ordering) -> bool,
    ) -> Evaluated<bool> {
        if let (Value::Text(left), Value::Text(_)) = (left, right) {
            self.spend_on(left)?;
        }
        match (left.order(right), left, right) {
            (Some(order), ..) => Ok(wanted(order)),
            // What is not a number is neither less nor greater.
            (None, Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => Ok(false),
            (None, ..) => Err(EvaluateError::WrongType { wanted: left.kind(), found: right.kind() }),
        }
    }

    pub(crate) fn value(&mut self, node: &'a Node) -> Evaluated<Value<'a>> {
        self.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.lend()),
            Node::Variable(source) => Ok(self.variable(*source)),
            Node::Entry { map, name } => self.entry(*map, name).map(Value::Text),
            Node::Member { of, key } => {
                let of = self.value(of)?;
                self.member(&of, key)
            }
            Node::Local(place) => self.local(*place),
            Node::Index(parts) => {
                let of = self.value(&parts[0])?;
                let index = self.value(&parts[1])?;
                self.index(of, &index)
            }
            Node::Choice(parts) => {
                let chosen = if self.truth(&parts[0])? { &parts[1] } else { &parts[2] };
                self.value(chosen)
            }
            Node::Binary {
                operator:
                    operator @ (Binary::Add
                    | Binary::Subtract
                    | Binary::Multiply
                    | Binary::Divide
                    | Binary::Remainder),
                sides,
            } => {
                let left = self.value(&sides[0])?;
                let right = self.value(&sides[1])?;
                self.arithmetic(*operator, left, right)
            }
            Node::Negate(of) => {
                let of = self.value(of)?;
                arithmetic::negate(&of)
            }
            Node::Part { of, part, offset } => {
                let of = self.value(of)?;
                functions::part(&of, *part, *offset)
            }
            Node::Call { operation, arguments } => match arguments.as_ref() {
                [of] => {
                    let of = self.value(of)?;
                    self.convert(*operation, of)
                }
                _ => self.truth(node).map(Value::Bool),
            },
            Node::Loop(walk) if matches!(walk.kind, LoopKind::Map | LoopKind::Filter) => self.collect(walk),
            Node::List(items) => {
                let items: Evaluated<Vec<Value<'a>>> = items.iter().map(|item| self.value(item)).collect();
                Ok(Value::List(Row::Made(items?.into())))
            }
            Node::Map(entries) => {
                let entries: Evaluated<Vec<(Value<'a>, Value<'a>)>> =
                    entries.iter().map(|(key, value)| Ok((key.lend(), self.value(value)?))).collect();
                Ok(Value::Map(Row::Made(entries?.into())))
            }
            _ => self.truth(node).map(Value::Bool),
        }
    }

    fn variable(&self, source: Source) -> Value<'a> {
        match source {
            Source::Text(variable) => Value::Text(self.inputs.text(variable)),
            Source::Map(map) => Value::InputMap(map),
            Source::List(list) => Value::InputList(list),
            Source::Address => {
                let text = self.inputs.address().map(|address| address.to_canonical().to_string());
                Value::Text(Cow::Owned(text.unwrap_or_default().into_bytes()))
            }
            Source::Size => Value::Int(self.inputs.size()),
            Source::Tls => Value::Bool(self.inputs.tls()),
            Source::Claims => self.inputs.claims().map_or(Value::Map(Row::Lent(&[])), Value::JsonMap),
            Source::Now => Value::Time(self.inputs.now()),
        }
    }

    fn local(&mut self, place: usize) -> Evaluated<Value<'a>> {
        // The checker gives no place that no loop fills.
        let item = self.locals.get(place).cloned().unwrap_or(Value::Null);
        self.pay_copy(item)
    }

    /// A second one of a value: free, but of text that was made.
    fn copy(&mut self, value: &Value<'a>) -> Evaluated<Value<'a>> {
        self.pay_copy(value.clone())
    }

    fn pay_copy(&mut self, copy: Value<'a>) -> Evaluated<Value<'a>> {
        if let Value::Text(Cow::Owned(text)) = &copy {
            self.spend(text.len() / BYTES_A_STEP)?;
        }
        Ok(copy)
    }

    fn entry(&self, map: MapVariable, name: &'a Name) -> Evaluated<Cow<'a, [u8]>> {
        let entry = self.inputs.entry(map, name.key());
        entry.ok_or_else(|| EvaluateError::missing(name.key().bytes))
    }

    fn text(&mut self, node: &'a Node) -> Evaluated<Cow<'a, [u8]>> {
        match node {
            Node::Variable(Source::Text(variable)) => Ok(self.inputs.text(*variable)),
            Node::Entry { map, name } => self.entry(*map, name),
            Node::Constant(Value::Text(text)) => Ok(Cow::Borrowed(text)),
            _ => match self.value(node)? {
                Value::Text(text) => Ok(text),
                other => Err(EvaluateError::WrongType { wanted: "string", found: other.kind() }),
            },
        }
    }

    fn address(&mut self, node: &'a Node) -> Evaluated<IpAddr> {
        const UNREADABLE: EvaluateError = EvaluateError::Unreadable("an address");
        if let Node::Variable(Source::Address) = node {
            return self.inputs.address().ok_or(UNREADABLE);
        }
        let text = self.text(node)?;
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or(UNREADABLE)
    }

    /// What gives no int is an error.
    pub(crate) fn integer(&mut self, node: &'a Node) -> Evaluated<i64> {
        match self.value(node)? {
            Value::Int(number) => Ok(number),
            other => Err(EvaluateError::WrongType { wanted: "int", found: other.kind() }),
        }
    }

    /// Appends a string, an int or a bool.
    pub(crate) fn key(&mut self, node: &'a Node, out: &mut Vec<u8>) -> Evaluated<()> {
        if let (Node::Variable(Source::Address), Some(address)) = (node, self.inputs.address()) {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{}", address.to_canonical());
            return Ok(());
        }
        match self.value(node)? {
            Value::Text(text) => out.extend_from_slice(&text),
            Value::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            other => return Err(EvaluateError::WrongType { wanted: "string", found: other.kind() }),
        }
        Ok(())
    }
}

fn as_bool(value: Value<'_>) -> Evaluated<bool> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(EvaluateError::WrongType { wanted: "bool", found: other.kind() }),
    }
}
