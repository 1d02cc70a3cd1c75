//! Calls of functions.

use super::{Checker, Typed, article, literal_text, start};
use crate::error::CompileError;
use crate::functions::{self, Call, FUNCTIONS, Function, Operation};
use crate::moments::{self, Part};
use crate::networks::Network;
use crate::node::{LoopKind, Node};
use crate::patterns::Pattern;
use crate::suggest::nearest;
use crate::syntax::Syntax;
use crate::types::Type;
use crate::value::Value;
use crate::variables;

impl Checker {
    pub(super) fn call(
        &mut self,
        at: usize,
        target: Option<&Syntax>,
        name: &str,
        arguments: &[Syntax],
    ) -> Typed {
        let function = functions::find(name).ok_or_else(|| unknown(at, name))?;
        let arguments: Vec<&Syntax> = target.into_iter().chain(arguments).collect();
        let fits = match function.call {
            Call::Plain => target.is_none(),
            Call::Member => target.is_some(),
            Call::Both => true,
        };
        if !fits || !function.arguments.contains(&arguments.len()) {
            let message = format!("`{name}` is not called like this");
            return Err(CompileError::new(at, message).mend(format!("write `{}`", function.form)));
        }
        self.operation(at, function, &arguments)
    }

    fn operation(&mut self, at: usize, function: &Function, arguments: &[&Syntax]) -> Typed {
        match function.operation {
            Operation::Has => self.has(arguments[0]),
            Operation::All => self.walk(at, LoopKind::All, arguments),
            Operation::Exists => self.walk(at, LoopKind::Exists, arguments),
            Operation::ExistsOne => self.walk(at, LoopKind::ExistsOne, arguments),
            Operation::Map => self.walk(at, LoopKind::Map, arguments),
            Operation::Filter => self.walk(at, LoopKind::Filter, arguments),
            Operation::Matches => self.matches(arguments),
            Operation::InNetwork => self.in_network(arguments),
            Operation::Part(part) => self.part(function, part, arguments),
            Operation::ToTime | Operation::ToDuration if literal_text(arguments[0]).is_some() => {
                moment(function.operation, arguments[0])
            }
            operation => {
                let (wanted, result) = signature(operation);
                let by = format!("`{}`", function.name);
                let arguments = arguments.iter().map(|argument| Ok(self.need(argument, wanted, &by)?.0));
                let arguments: Result<Box<[Node]>, CompileError> = arguments.collect();
                Ok((Node::Call { operation, arguments: arguments? }, result))
            }
        }
    }

    fn matches(&mut self, arguments: &[&Syntax]) -> Typed {
        let (of, _) = self.need(arguments[0], &[Type::Text], "`matches`")?;
        let Some(pattern) = literal_text(arguments[1]) else {
            let message = "the pattern of `matches` must be a string between quotes";
            return Err(CompileError::new(start(arguments[1]), message));
        };
        let pattern = Pattern::new(pattern).map_err(|message| CompileError::new(arguments[1].at, message))?;
        Ok((Node::Matches { of: Box::new(of), pattern: Box::new(pattern) }, Type::Bool))
    }

    fn in_network(&mut self, arguments: &[&Syntax]) -> Typed {
        let (of, _) = self.need(arguments[0], &[Type::Text], "`in_network`")?;
        let Some(network) = literal_text(arguments[1]) else {
            let message = "the network of `in_network` must be a string between quotes";
            return Err(CompileError::new(start(arguments[1]), message));
        };
        let network = Network::parse(network)
            .map_err(|(message, mend)| CompileError::new(arguments[1].at, message).maybe_mend(mend))?;
        Ok((Node::InNetwork { of: Box::new(of), network }, Type::Bool))
    }

    fn part(&mut self, function: &Function, part: Part, arguments: &[&Syntax]) -> Typed {
        let wanted: &[Type] = if part.of_durations() { &[Type::Time, Type::Duration] } else { &[Type::Time] };
        let (of, kind) = self.need(arguments[0], wanted, &format!("`{}`", function.name))?;
        let offset = match arguments.get(1) {
            None => 0,
            Some(zone) if kind == Type::Duration => {
                return Err(CompileError::new(start(zone), "a duration has no time zone"));
            }
            Some(zone) => literal_text(zone).and_then(moments::parse_offset).ok_or_else(|| {
                CompileError::new(start(zone), "the zone must be an offset between quotes")
                    .mend("such as `\"+02:00\"`; names of zones are not known here")
            })?,
        };
        Ok((Node::Part { of: Box::new(of), part, offset }, Type::Int))
    }
}

/// The types that each argument may have, and that of the result.
fn signature(operation: Operation) -> (&'static [Type], Type) {
    use Type::{Any, Bool, Double, Duration, Int, Text, Time};
    match operation {
        Operation::Size => {
            static SIZED: std::sync::LazyLock<[Type; 3]> =
                std::sync::LazyLock::new(|| [Text, Type::list(Any), Type::Map(Box::new(Any))]);
            (&*SIZED, Int)
        }
        Operation::StartsWith | Operation::EndsWith | Operation::Contains => (&[Text], Bool),
        Operation::ToText => (&[Bool, Int, Double, Text, Time, Duration], Text),
        Operation::ToInt => (&[Int, Double, Text, Time], Int),
        Operation::ToDouble => (&[Int, Double, Text], Double),
        Operation::ToTime => (&[Text, Int, Time], Time),
        Operation::ToDuration => (&[Text, Duration], Duration),
        _ => (&[Text], Text),
    }
}

/// A literal time or duration.
fn moment(operation: Operation, argument: &Syntax) -> Typed {
    let text = literal_text(argument).unwrap_or_default();
    let (value, kind, example) = match operation {
        Operation::ToTime => {
            (moments::parse_time(text).map(Value::Time), Type::Time, "such as `2026-01-31T12:00:00Z`")
        }
        _ => {
            (moments::parse_duration(text).map(Value::Duration), Type::Duration, "such as `1h30m` or `1.5s`")
        }
    };
    match value {
        Some(value) => Ok((Node::Constant(value), kind)),
        None => {
            Err(CompileError::new(argument.at, format!("`{text}` is not {}", article(&kind))).mend(example))
        }
    }
}

fn unknown(at: usize, name: &str) -> CompileError {
    if variables::find(name).is_some() {
        return CompileError::new(at, format!("`{name}` is a variable, not a function"));
    }
    let mend = nearest(name, FUNCTIONS.iter().map(|function| function.name));
    let mend = mend.map(|name| format!("did you mean `{name}`?"));
    CompileError::new(at, format!("there is no function `{name}`")).maybe_mend(mend)
}
