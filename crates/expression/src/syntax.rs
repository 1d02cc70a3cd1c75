//! The tree of an expression as it is written.

/// A node and the character at which it stands (for an operator: the operator's).
#[derive(Debug)]
pub(crate) struct Syntax {
    pub(crate) at: usize,
    pub(crate) form: Form,
}

#[derive(Debug)]
pub(crate) enum Form {
    Literal(Literal),
    Name(String),
    /// `of.field`
    Select {
        of: Box<Syntax>,
        field: String,
    },
    /// `of[index]`
    Index {
        of: Box<Syntax>,
        index: Box<Syntax>,
    },
    /// `name(arguments)` or `target.name(arguments)`; macros too.
    Call {
        target: Option<Box<Syntax>>,
        name: String,
        arguments: Vec<Syntax>,
    },
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    Binary {
        operator: Binary,
        sides: Box<[Syntax; 2]>,
    },
    /// `a && b && …`: flat, so that long chains are not deep.
    All(Vec<Syntax>),
    /// `a || b || …`
    Any(Vec<Syntax>),
    /// `a ? b : c`
    Choice(Box<[Syntax; 3]>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
}

/// Operators of two sides, but for `&&` and `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    pub(crate) fn spelling(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
