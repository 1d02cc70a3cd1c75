//! The macros that walk a list or map, and `has`.

use super::{Checker, Typed, article, literal_text, start};
use crate::error::CompileError;
use crate::node::{Loop, LoopKind, Name, Node};
use crate::syntax::{Form, Syntax};
use crate::types::Type;
use crate::variables::{self, Source};

/// How deep loops may be nested in each other's bodies.
const MAX_LOOPS: usize = 2;

impl Checker {
    /// `target.kind(variable, body)`, `target.map(variable, filter, body)`
    pub(super) fn walk(&mut self, at: usize, kind: LoopKind, arguments: &[&Syntax]) -> Typed {
        let [range, variable, bodies @ ..] = arguments else {
            return Err(CompileError::new(at, "there is nothing to walk"));
        };
        if self.locals.len() >= MAX_LOOPS {
            return Err(CompileError::new(at, format!("loops are nested more than {MAX_LOOPS} deep")));
        }
        let (range_node, range_kind) = self.node(range)?;
        let item = match range_kind {
            Type::List(item) => *item,
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                return Err(CompileError::new(
                    start(range),
                    format!("only lists and maps can be walked, this is {}", article(&other)),
                ));
            }
        };
        let Form::Name(name) = &variable.form else {
            return Err(CompileError::new(
                start(variable),
                "the first argument is the name for each item, such as `x`",
            ));
        };
        if variables::find(name).is_some() || self.locals.iter().any(|(local, _)| local == name) {
            return Err(CompileError::new(variable.at, format!("`{name}` is a variable already"))
                .mend("take another name"));
        }
        self.locals.push((name.clone(), item.clone()));
        let checked = self.bodies(kind, bodies);
        self.locals.pop();
        let (filter, body, body_kind) = checked?;
        let result = match kind {
            LoopKind::Map => Type::list(body_kind),
            LoopKind::Filter => Type::list(item),
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
        };
        Ok((Node::Loop(Box::new(Loop { kind, range: range_node, filter, body })), result))
    }

    fn bodies(
        &mut self,
        kind: LoopKind,
        bodies: &[&Syntax],
    ) -> Result<(Option<Node>, Node, Type), CompileError> {
        const BY: &str = "the condition";
        match (kind, bodies) {
            (LoopKind::Map, [filter, body]) => {
                let (filter, _) = self.need(filter, &[Type::Bool], BY)?;
                let (body, kind) = self.node(body)?;
                Ok((Some(filter), body, kind))
            }
            (LoopKind::Map, [body]) => self.node(body).map(|(body, kind)| (None, body, kind)),
            (_, [body, ..]) => self.need(body, &[Type::Bool], BY).map(|(body, kind)| (None, body, kind)),
            (_, []) => Err(CompileError::whole("a loop without a body")),
        }
    }

    /// `has(map.key)`
    pub(super) fn has(&mut self, argument: &Syntax) -> Typed {
        let Form::Select { of, field } = &argument.form else {
            let error =
                CompileError::new(start(argument), "`has` needs a field, such as `has(headers.accept)`");
            return Err(match &argument.form {
                Form::Index { index, .. } if literal_text(index).is_some() => {
                    let key = literal_text(index).unwrap_or_default();
                    error.mend(format!("write `\"{key}\" in …`"))
                }
                _ => error,
            });
        };
        let (node, kind) = self.node(of)?;
        match (node, kind) {
            (Node::Variable(Source::Map(map)), _) => {
                Ok((Node::HasEntry { map, name: Name::new(map, field) }, Type::Bool))
            }
            (node, Type::Map(_) | Type::Any) => {
                Ok((Node::Has { of: Box::new(node), field: field.as_str().into() }, Type::Bool))
            }
            (_, other) => {
                Err(CompileError::new(argument.at, format!("{} has no field `{field}`", article(&other))))
            }
        }
    }
}
