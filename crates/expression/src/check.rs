//! From the tree as it is written to the one that is evaluated: names and types are checked, literals worked out.

mod calls;
mod loops;
mod operators;

use crate::error::CompileError;
use crate::expression::Wanted;
use crate::functions;
use crate::node::{Name, Node};
use crate::suggest::nearest;
use crate::syntax::{Form, Literal, Syntax};
use crate::types::Type;
use crate::value::{Row, Value};
use crate::variables::{self, Needs, Source, VARIABLES};

/// Checks an expression that must have the wanted type.
pub(crate) fn check(tree: &Syntax, wanted: Wanted) -> Result<(Node, Needs), CompileError> {
    let mut checker = Checker { needs: Needs::default(), locals: Vec::new() };
    let (node, kind) = checker.node(tree)?;
    let (fits, needed) = match wanted {
        Wanted::Bool => (matches!(kind, Type::Bool | Type::Any), "a bool"),
        Wanted::Int => (matches!(kind, Type::Int | Type::Any), "an int"),
        Wanted::Key => {
            (matches!(kind, Type::Text | Type::Int | Type::Bool | Type::Any), "a string, an int or a bool")
        }
    };
    match fits {
        true => Ok((node, checker.needs)),
        false => {
            let message = format!("the expression gives {}, where {needed} is needed", article(&kind));
            Err(CompileError::whole(message))
        }
    }
}

/// A checked node and its type.
type Typed = Result<(Node, Type), CompileError>;

struct Checker {
    needs: Needs,
    /// The variables of the loops around, outermost first.
    locals: Vec<(String, Type)>,
}

impl Checker {
    fn node(&mut self, tree: &Syntax) -> Typed {
        match &tree.form {
            Form::Literal(literal) => Ok(constant(literal)),
            Form::Name(name) => self.name(tree.at, name),
            Form::Select { of, field } => self.select(tree.at, of, field),
            Form::Index { of, index } => self.index(tree.at, of, index),
            Form::Call { target, name, arguments } => self.call(tree.at, target.as_deref(), name, arguments),
            Form::List(items) => self.list(items),
            Form::Map(entries) => self.map(entries),
            Form::Not(of) => Ok((Node::Not(Box::new(self.need(of, &[Type::Bool], "`!`")?.0)), Type::Bool)),
            Form::Negate(of) => {
                let (node, kind) = self.need(of, &[Type::Int, Type::Double], "`-`")?;
                Ok((Node::Negate(Box::new(node)), kind))
            }
            Form::Binary { operator, sides } => self.binary(tree.at, *operator, sides),
            Form::All(parts) => Ok((Node::All(self.conditions(parts, "`&&`")?), Type::Bool)),
            Form::Any(parts) => Ok((Node::Any(self.conditions(parts, "`||`")?), Type::Bool)),
            Form::Choice(parts) => self.choice(tree.at, parts),
        }
    }

    /// A node of one of these types, for an operator or function.
    fn need(&mut self, tree: &Syntax, wanted: &[Type], by: &str) -> Typed {
        let (node, kind) = self.node(tree)?;
        if wanted.iter().any(|wanted| kind.fits(wanted)) {
            return Ok((node, kind));
        }
        let wanted: Vec<String> = wanted.iter().map(article).collect();
        let message = format!("{by} needs {}, this is {}", wanted.join(" or "), article(&kind));
        Err(CompileError::new(start(tree), message))
    }

    fn conditions(&mut self, parts: &[Syntax], by: &str) -> Result<Box<[Node]>, CompileError> {
        parts.iter().map(|part| Ok(self.need(part, &[Type::Bool], by)?.0)).collect()
    }

    fn name(&mut self, at: usize, name: &str) -> Typed {
        if let Some(place) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok((Node::Local(place), self.locals[place].1.clone()));
        }
        let Some(variable) = variables::find(name) else { return Err(self.unknown(at, name)) };
        self.needs.add(variable);
        Ok((Node::Variable(variable.source), Type::of(variable.source)))
    }

    fn unknown(&self, at: usize, name: &str) -> CompileError {
        if functions::find(name).is_some() {
            return CompileError::new(at, format!("`{name}` is a function, not a variable"));
        }
        let names = VARIABLES.iter().map(|variable| variable.name);
        let names = names.chain(self.locals.iter().map(|(name, _)| name.as_str()));
        let mend = match name {
            "request" | "req" => {
                Some("what a request has are variables of their own: `method`, `headers`".to_owned())
            }
            _ => nearest(name, names).map(|name| format!("did you mean `{name}`?")),
        };
        CompileError::new(at, format!("there is no variable `{name}`")).maybe_mend(mend)
    }

    /// `of.field`
    fn select(&mut self, at: usize, of: &Syntax, field: &str) -> Typed {
        let (node, kind) = self.node(of)?;
        self.entry(at, node, kind, field)
    }

    /// The entry of a map, or of what may turn out to be one, at a known key.
    fn entry(&mut self, at: usize, of: Node, kind: Type, key: &str) -> Typed {
        let value = match kind {
            Type::Map(value) => *value,
            Type::Any => Type::Any,
            other => return Err(CompileError::new(at, format!("{} has no field `{key}`", article(&other)))),
        };
        Ok(match of {
            Node::Variable(Source::Map(map)) => (Node::Entry { map, name: Name::new(map, key) }, value),
            of => (Node::Member { of: Box::new(of), key: key.into() }, value),
        })
    }

    fn index(&mut self, at: usize, of: &Syntax, index: &Syntax) -> Typed {
        let (of, kind) = self.node(of)?;
        let item = match &kind {
            Type::Map(_) if literal_text(index).is_some() => {
                return self.entry(at, of, kind, literal_text(index).unwrap_or_default());
            }
            Type::Map(value) => (**value).clone(),
            Type::List(item) => (**item).clone(),
            Type::Any => Type::Any,
            other => {
                return Err(CompileError::new(at, format!("{} has no items for `[…]`", article(other))));
            }
        };
        let (index, _) = match kind {
            Type::Map(_) => self.need(index, &[Type::Text], "the key of a map"),
            Type::List(_) => self.need(index, &[Type::Int], "the place in a list"),
            _ => self.need(index, &[Type::Text, Type::Int], "`[…]`"),
        }?;
        Ok((Node::Index(Box::new([of, index])), item))
    }

    fn choice(&mut self, at: usize, [condition, then, otherwise]: &[Syntax; 3]) -> Typed {
        let (condition, _) = self.need(condition, &[Type::Bool], "`?`")?;
        let (then, kind) = self.node(then)?;
        let (otherwise, other) = self.node(otherwise)?;
        if !kind.fits(&other) {
            let message = format!("the choice is between {} and {}", article(&kind), article(&other));
            return Err(CompileError::new(at, message));
        }
        Ok((Node::Choice(Box::new([condition, then, otherwise])), kind.join(other)))
    }

    fn list(&mut self, items: &[Syntax]) -> Typed {
        let mut nodes = Vec::with_capacity(items.len());
        let mut kinds: Option<Type> = None;
        for item in items {
            let (node, kind) = self.node(item)?;
            nodes.push(node);
            kinds = Some(match kinds {
                None => kind,
                Some(kinds) => kinds.join(kind),
            });
        }
        let kind = Type::list(kinds.unwrap_or(Type::Any));
        let constants: Option<Vec<Value<'static>>> = nodes.iter().map(constant_of).collect();
        Ok(match constants {
            Some(items) => (Node::Constant(Value::List(Row::Made(items.into()))), kind),
            None => (Node::List(nodes.into()), kind),
        })
    }

    fn map(&mut self, entries: &[(Syntax, Syntax)]) -> Typed {
        let mut pairs: Vec<(Value<'static>, Node)> = Vec::with_capacity(entries.len());
        let mut kinds: Option<Type> = None;
        for (place, (key, value)) in entries.iter().enumerate() {
            let Some(name) = literal_text(key) else {
                return Err(CompileError::new(
                    start(key),
                    "the keys of a map are strings between quotes here",
                ));
            };
            if entries[..place].iter().any(|(earlier, _)| literal_text(earlier) == Some(name)) {
                return Err(CompileError::new(key.at, format!("the map has the key `{name}` twice")));
            }
            let (node, kind) = self.node(value)?;
            pairs.push((text(name), node));
            kinds = Some(match kinds {
                None => kind,
                Some(kinds) => kinds.join(kind),
            });
        }
        let kind = Type::Map(Box::new(kinds.unwrap_or(Type::Any)));
        let constants: Option<Vec<_>> =
            pairs.iter().map(|(key, node)| Some((key.clone(), constant_of(node)?))).collect();
        Ok(match constants {
            Some(entries) => (Node::Constant(Value::Map(Row::Made(entries.into()))), kind),
            None => (Node::Map(pairs.into()), kind),
        })
    }
}

fn constant(literal: &Literal) -> (Node, Type) {
    let (value, kind) = match literal {
        Literal::Null => (Value::Null, Type::Null),
        Literal::Bool(value) => (Value::Bool(*value), Type::Bool),
        Literal::Int(value) => (Value::Int(*value), Type::Int),
        Literal::Double(value) => (Value::Double(*value), Type::Double),
        Literal::Text(value) => (text(value), Type::Text),
    };
    (Node::Constant(value), kind)
}

fn constant_of(node: &Node) -> Option<Value<'static>> {
    match node {
        Node::Constant(value) => Some(value.clone()),
        _ => None,
    }
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.as_bytes().to_vec().into())
}

fn literal_text(tree: &Syntax) -> Option<&str> {
    match &tree.form {
        Form::Literal(Literal::Text(text)) => Some(text),
        _ => None,
    }
}

/// Where the text of a tree begins: an operator stands behind its first operand.
fn start(tree: &Syntax) -> usize {
    match &tree.form {
        Form::Select { of, .. } | Form::Index { of, .. } => start(of),
        Form::Call { target: Some(target), .. } => start(target),
        Form::Binary { sides, .. } => start(&sides[0]),
        Form::All(parts) | Form::Any(parts) => parts.first().map_or(tree.at, start),
        Form::Choice(parts) => start(&parts[0]),
        _ => tree.at,
    }
}

/// The type in a sentence.
fn article(kind: &Type) -> String {
    match kind {
        Type::Int => "an int".to_owned(),
        Type::Null => "null".to_owned(),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests;
