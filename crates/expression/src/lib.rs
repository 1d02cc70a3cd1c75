//! Expressions over a request, in CEL (the [Common Expression Language](https://cel.dev)): checked when loaded,
//! bounded when evaluated.
//!
//! An [`Expression`] is compiled once, when the config is loaded: its text is parsed, each name and type is checked, and
//! what can be known is worked out (regular expressions, networks, lists of literals). Evaluating it walks the
//! result over [`Inputs`], which lend what the request has; the plain cases (comparisons of variables, headers,
//! lists) allocate nothing.
//!
//! # What differs from standard CEL
//! - There are no `uint` and `bytes`, no messages and no optional values. Timestamps and durations are exact to
//!   the microsecond.
//! - Regular expressions, and the networks of `in_network`, are literals, so that they are compiled when loaded.
//! - Strings are the bytes that the client sent. Two strings are equal if their bytes are: no two values that differ on the
//!   wire become equal, so that neither an allowed nor a denied value can be forged with broken encodings. Only
//!   where characters count (`size`, `matches`) is a sequence that is not UTF-8 taken as U+FFFD.
//! - Keys of `headers` are compared without case, as names of fields are.
//! - A missing key of a map is an error, as CEL has it; `has(headers.x)` and `"x" in headers` ask first.
//!   `a || b` is true if either is true, also if the other fails; `a && b` is false in the same way.
//!
//! # Bounds
//! Text, nodes and nesting are bounded when compiling; loops may be nested two deep. An evaluation
//! has a budget of steps ([`STEPS`]): each node, each item of a list or map that is walked and each 32 bytes of text that
//! are searched or copied cost one; a pattern as much as it may take at the worst. When it is used up the evaluation ends with [`EvaluateError::TooCostly`],
//! which no `||` hides.

mod check;
mod error;
mod evaluate;
mod expression;
mod functions;
mod inputs;
mod lexer;
mod moments;
mod networks;
mod node;
mod parser;
mod patterns;
mod suggest;
mod syntax;
mod types;
mod value;
mod variables;

pub use error::{CompileError, EvaluateError};
pub use evaluate::STEPS;
pub use expression::{Expression, Wanted};
pub use functions::{FUNCTIONS, Function};
pub use inputs::{Inputs, Key, Visit};
pub use variables::{ListVariable, MapVariable, Needs, Source, TextVariable, VARIABLES, Variable};
