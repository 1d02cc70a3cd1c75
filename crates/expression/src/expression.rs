//! An expression, ready to be evaluated.

use std::fmt;
use std::sync::Arc;

use crate::check;
use crate::error::{CompileError, EvaluateError};
use crate::evaluate::Evaluation;
use crate::inputs::Inputs;
use crate::node::Node;
use crate::parser;
use crate::variables::Needs;

/// What an expression is for: the type that it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A condition: [`Expression::test`].
    Bool,
    /// A number: [`Expression::integer`].
    Int,
    /// A key, of a string, an int or a bool: [`Expression::key`].
    Key,
}

/// A checked expression. Cheap to clone and to share between threads.
#[derive(Clone)]
pub struct Expression(Arc<Inner>);

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Expression>();
};

struct Inner {
    text: Box<str>,
    node: Node,
    needs: Needs,
    wanted: Wanted,
}

impl Expression {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// If it is not one, is too large, names what there is not, or has types that do not fit; with the place, and what would mend it.
    pub fn compile(text: &str, wanted: Wanted) -> Result<Self, CompileError> {
        let tree = parser::parse(text)?;
        let (node, needs) = check::check(&tree, wanted)?;
        Ok(Self(Arc::new(Inner { text: text.into(), node, needs, wanted })))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it was compiled for.
    pub fn wanted(&self) -> Wanted {
        self.0.wanted
    }

    /// Which variables it reads.
    pub fn needs(&self) -> Needs {
        self.0.needs
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// If it has no value for this request, or one that is not a bool. It must then not be taken for either answer: a rule
    /// that fails never allows.
    pub fn test(&self, inputs: &dyn Inputs) -> Result<bool, EvaluateError> {
        Evaluation::new(inputs).truth(&self.0.node)
    }

    /// The number.
    ///
    /// # Errors
    /// If it has no value for this request, or one that is not an int.
    pub fn integer(&self, inputs: &dyn Inputs) -> Result<i64, EvaluateError> {
        Evaluation::new(inputs).integer(&self.0.node)
    }

    /// Appends the key: a string as its bytes, an int or bool in letters. Keys of strings that differ, differ.
    ///
    /// # Errors
    /// If it has no value for this request, or one of another type. Nothing is appended then.
    pub fn key(&self, inputs: &dyn Inputs, out: &mut Vec<u8>) -> Result<(), EvaluateError> {
        Evaluation::new(inputs).key(&self.0.node, out)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?}, {:?})", self.0.text, self.0.wanted)
    }
}
