//! From tokens to a tree, of bounded size and depth.

use crate::error::CompileError;
use crate::lexer::{Token, tokens};
use crate::syntax::{Binary, Form, Literal, Syntax};

/// The longest text, in bytes.
pub(crate) const MAX_TEXT: usize = 16 << 10;
/// The most nodes of a tree.
pub(crate) const MAX_NODES: usize = 4096;
/// The deepest nesting: of brackets, calls, operators. All walks over a tree are recursive.
pub(crate) const MAX_DEPTH: usize = 48;

/// Words that CEL keeps for languages that it is embedded in.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Parses a whole expression.
pub(crate) fn parse(text: &str) -> Result<Syntax, CompileError> {
    if text.len() > MAX_TEXT {
        return Err(CompileError::whole(format!("the expression is longer than {MAX_TEXT} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, nodes: 0 };
    if parser.tokens.len() == 1 {
        return Err(CompileError::whole("the expression is empty"));
    }
    let tree = parser.expression()?.tree;
    match parser.peek() {
        Token::End => Ok(tree),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Of calls of this parser.
    depth: usize,
    nodes: usize,
}

/// A tree and how deep it is: operators of the same rank nest without a call of the parser.
struct Part {
    tree: Syntax,
    depth: usize,
}

type Parsed = Result<Part, CompileError>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.next += 1;
        }
        token
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.next += usize::from(there);
        there
    }

    fn require(&mut self, sign: &str) -> Result<(), CompileError> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{sign}`"))),
        }
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        let token = self.peek();
        let mend = match token {
            Token::Name(name) => match name.as_str() {
                "and" => Some("write `&&`".to_owned()),
                "or" => Some("write `||`".to_owned()),
                "is" | "eq" => Some("write `==`".to_owned()),
                _ => None,
            },
            _ => None,
        };
        CompileError::new(self.at(), format!("expected {wanted}, found {}", token.describe()))
            .maybe_mend(mend)
    }

    /// A node over parts of this depth.
    fn node(&mut self, at: usize, depth: usize, form: Form) -> Parsed {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(CompileError::whole(format!("the expression has more than {MAX_NODES} parts")));
        }
        if depth >= MAX_DEPTH {
            return Err(self.too_deep(at));
        }
        Ok(Part { tree: Syntax { at, form }, depth: depth + 1 })
    }

    fn too_deep(&self, at: usize) -> CompileError {
        CompileError::new(at, format!("the expression is nested more than {MAX_DEPTH} deep"))
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep(self.at()));
        }
        let condition = self.chain("||")?;
        let at = self.at();
        let part = if self.take("?") {
            let then = self.chain("||")?;
            self.require(":")?;
            let otherwise = self.expression()?;
            let depth = condition.depth.max(then.depth).max(otherwise.depth);
            self.node(at, depth, Form::Choice(Box::new([condition.tree, then.tree, otherwise.tree])))?
        } else {
            condition
        };
        self.depth -= 1;
        Ok(part)
    }

    /// Operands joined by `||`, or those of it joined by `&&`.
    fn chain(&mut self, sign: &'static str) -> Parsed {
        let or = sign == "||";
        let first = if or { self.chain("&&")? } else { self.binary(0)? };
        let at = self.at();
        if !self.take(sign) {
            return Ok(first);
        }
        let mut depth = first.depth;
        let mut operands = vec![first.tree];
        loop {
            let operand = if or { self.chain("&&")? } else { self.binary(0)? };
            depth = depth.max(operand.depth);
            operands.push(operand.tree);
            if !self.take(sign) {
                let form = if or { Form::Any(operands) } else { Form::All(operands) };
                return self.node(at, depth, form);
            }
        }
    }

    /// The operator that follows, with its rank: comparisons, sums, products.
    fn operator(&self) -> Option<(Binary, usize)> {
        Some(match self.peek() {
            Token::Name(name) if name == "in" => (Binary::In, 0),
            Token::Sign(sign) => match *sign {
                "==" => (Binary::Equal, 0),
                "!=" => (Binary::NotEqual, 0),
                "<" => (Binary::Less, 0),
                "<=" => (Binary::LessOrEqual, 0),
                ">" => (Binary::Greater, 0),
                ">=" => (Binary::GreaterOrEqual, 0),
                "+" => (Binary::Add, 1),
                "-" => (Binary::Subtract, 1),
                "*" => (Binary::Multiply, 2),
                "/" => (Binary::Divide, 2),
                "%" => (Binary::Remainder, 2),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Operands joined by operators of at least this rank, grouped from the left.
    fn binary(&mut self, rank: usize) -> Parsed {
        let mut left = self.unary()?;
        while let Some((operator, its_rank)) = self.operator().filter(|&(_, its_rank)| its_rank >= rank) {
            let at = self.at();
            self.advance();
            let right = self.binary(its_rank + 1)?;
            let depth = left.depth.max(right.depth);
            left =
                self.node(at, depth, Form::Binary { operator, sides: Box::new([left.tree, right.tree]) })?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        let mut signs = 0usize;
        let sign = if matches!(self.peek(), Token::Sign("!")) { "!" } else { "-" };
        while self.take(sign) {
            signs += 1;
        }
        // The least number has no positive counterpart.
        if let (1, "-", &Token::Int(number)) = (signs, sign, self.peek()) {
            self.advance();
            let number = 0i64.checked_sub_unsigned(number);
            let number = number.ok_or_else(|| CompileError::new(at, "the number is too small"))?;
            let literal = self.node(at, 0, Form::Literal(Literal::Int(number)))?;
            return self.members(literal);
        }
        let mut part = self.primary().and_then(|primary| self.members(primary))?;
        for _ in 0..signs {
            let of = Box::new(part.tree);
            part = self.node(at, part.depth, if sign == "!" { Form::Not(of) } else { Form::Negate(of) })?;
        }
        Ok(part)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        match self.advance() {
            Token::Name(name) => self.name(at, name),
            Token::Int(number) => {
                let number = i64::try_from(number);
                let number = number.map_err(|_| CompileError::new(at, "the number is too large"))?;
                self.node(at, 0, Form::Literal(Literal::Int(number)))
            }
            Token::Double(number) => self.node(at, 0, Form::Literal(Literal::Double(number))),
            Token::Text(text) => self.node(at, 0, Form::Literal(Literal::Text(text))),
            Token::Sign("(") => {
                let part = self.expression()?;
                self.require(")")?;
                Ok(part)
            }
            Token::Sign("[") => {
                let (items, depth) = self.listed("]")?;
                self.node(at, depth, Form::List(items))
            }
            Token::Sign("{") => self.map(at),
            token => {
                self.next -= usize::from(token != Token::End);
                Err(self.unexpected("a value"))
            }
        }
    }

    fn name(&mut self, at: usize, name: String) -> Parsed {
        match name.as_str() {
            "true" | "false" => return self.node(at, 0, Form::Literal(Literal::Bool(name == "true"))),
            "null" => return self.node(at, 0, Form::Literal(Literal::Null)),
            "not" => return Err(CompileError::new(at, "CEL has no word `not`").mend("write `!`")),
            "in" => return Err(CompileError::new(at, "expected a value, found `in`")),
            reserved if RESERVED.contains(&reserved) => {
                return Err(CompileError::new(at, format!("`{name}` is a reserved word")));
            }
            _ => {}
        }
        if !self.take("(") {
            return self.node(at, 0, Form::Name(name));
        }
        let (arguments, depth) = self.listed(")")?;
        self.node(at, depth, Form::Call { target: None, name, arguments })
    }

    /// What follows a value: `.field`, `.function(…)`, `[index]`.
    fn members(&mut self, mut part: Part) -> Parsed {
        loop {
            let at = self.at();
            let of = if self.take(".") {
                let at = self.at();
                let Token::Name(name) = self.advance() else {
                    return Err(CompileError::new(at, "expected a name after the dot"));
                };
                let of = Box::new(part.tree);
                if self.take("(") {
                    let (arguments, depth) = self.listed(")")?;
                    (at, depth.max(part.depth), Form::Call { target: Some(of), name, arguments })
                } else {
                    (at, part.depth, Form::Select { of, field: name })
                }
            } else if self.take("[") {
                let index = self.expression()?;
                self.require("]")?;
                let depth = part.depth.max(index.depth);
                (at, depth, Form::Index { of: Box::new(part.tree), index: Box::new(index.tree) })
            } else {
                return Ok(part);
            };
            part = self.node(of.0, of.1, of.2)?;
        }
    }

    /// Expressions with commas between them, up to the closing bracket; with how deep the deepest is.
    fn listed(&mut self, close: &str) -> Result<(Vec<Syntax>, usize), CompileError> {
        let (mut items, mut depth) = (Vec::new(), 0);
        loop {
            // A comma may stand after the last item of a list.
            if (items.is_empty() || close == "]") && self.take(close) {
                return Ok((items, depth));
            }
            let item = self.expression()?;
            depth = depth.max(item.depth);
            items.push(item.tree);
            if !self.take(",") {
                self.require(close).map_err(|_| self.unexpected(&format!("`,` or `{close}`")))?;
                return Ok((items, depth));
            }
        }
    }

    fn map(&mut self, at: usize) -> Parsed {
        let (mut entries, mut depth) = (Vec::new(), 0);
        loop {
            if self.take("}") {
                break;
            }
            let key = self.expression()?;
            self.require(":")?;
            let value = self.expression()?;
            depth = depth.max(key.depth).max(value.depth);
            entries.push((key.tree, value.tree));
            if !self.take(",") {
                self.require("}").map_err(|_| self.unexpected("`,` or `}`"))?;
                break;
            }
        }
        self.node(at, depth, Form::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, MAX_TEXT, parse};
    use crate::syntax::{Form, Syntax};

    /// The tree in brackets.
    fn show(tree: &Syntax) -> String {
        let join = |parts: &[Syntax], sign: &str| parts.iter().map(show).collect::<Vec<_>>().join(sign);
        match &tree.form {
            Form::Literal(literal) => format!("{literal:?}"),
            Form::Name(name) => name.clone(),
            Form::Select { of, field } => format!("{}.{field}", show(of)),
            Form::Index { of, index } => format!("{}[{}]", show(of), show(index)),
            Form::Call { target, name, arguments } => {
                let target = target.as_ref().map_or(String::new(), |target| format!("{}.", show(target)));
                format!("{target}{name}({})", join(arguments, ","))
            }
            Form::List(items) => format!("[{}]", join(items, ",")),
            Form::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{}:{}", show(key), show(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
            Form::Not(of) => format!("!{}", show(of)),
            Form::Negate(of) => format!("-{}", show(of)),
            Form::Binary { operator, sides } => {
                format!("({} {} {})", show(&sides[0]), operator.spelling(), show(&sides[1]))
            }
            Form::All(parts) => format!("({})", join(parts, "&&")),
            Form::Any(parts) => format!("({})", join(parts, "||")),
            Form::Choice(parts) => format!("({}?{}:{})", show(&parts[0]), show(&parts[1]), show(&parts[2])),
        }
    }

    #[test]
    fn operators_group_by_their_rank() {
        for (text, wanted) in [
            ("a || b && c || d", "(a||(b&&c)||d)"),
            ("a - b - c * d", "((a - b) - (c * d))"),
            ("a + b == c && d in e", "(((a + b) == c)&&(d in e))"),
            ("!a.b(c)[d].e", "!a.b(c)[d].e"),
            ("!!a", "!!a"),
            ("a ? b : c ? d : e", "(a?b:(c?d:e))"),
            ("(a || b) && c", "((a||b)&&c)"),
            ("[a, b,]", "[a,b]"),
            ("{'a': 1, 'b': 2,}", "{Text(\"a\"):Int(1),Text(\"b\"):Int(2)}"),
            ("-9223372036854775808", "Int(-9223372036854775808)"),
            ("a - 1", "(a - Int(1))"),
            ("a < b == c", "((a < b) == c)"),
            ("-a.b", "-a.b"),
        ] {
            assert_eq!(show(&parse(text).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn errors_name_their_place() {
        for (text, column, piece) in [
            ("a ==", 5, "the end"),
            ("a b", 3, "`b`"),
            ("a and b", 3, "&&"),
            ("not a", 1, "write `!`"),
            ("(a", 3, "`)`"),
            ("f(a,)", 5, "a value"),
            ("f(a b)", 5, "`,` or `)`"),
            ("[a", 3, "`]`"),
            ("{a}", 3, "`:`"),
            ("a.1", 2, "end"),
            ("a.'x'", 3, "a name"),
            ("a ? b", 6, "`:`"),
            ("9223372036854775808", 1, "too large"),
            ("-9223372036854775809", 1, "too small"),
            ("for", 1, "reserved"),
            ("in", 1, "`in`"),
            ("a.", 3, "a name"),
            (")", 1, "a value"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.column, Some(column), "{text}: {error}");
            assert!(error.to_string().contains(piece), "{text}: {error}");
        }
        assert_eq!(parse("  // nothing").unwrap_err().column, None);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        for (open, close) in
            [("(", ")"), ("[", "]"), ("f(", ")"), ("!", ""), ("-", ""), ("{'a':", "}"), ("a[", "]")]
        {
            for depth in [MAX_DEPTH + 2, 2000] {
                let text = format!("{}a{}", open.repeat(depth), close.repeat(depth));
                let error = parse(&text).unwrap_err();
                assert!(error.message.contains("nested"), "{open}: {error}");
                assert!(parse(&open.repeat(depth)).is_err());
            }
        }
        for (first, next) in
            [("a", ".b"), ("a", "+a"), ("a", "[a]"), ("a", ".b()"), ("a", "?a:a"), ("a", "==a")]
        {
            let error = parse(&format!("{first}{}", next.repeat(2000))).unwrap_err();
            assert!(error.message.contains("nested"), "{next}: {error}");
        }
        assert!(parse(&format!("a{}", "||a&&a".repeat(1000))).is_ok());
        assert!(parse(&format!("a{}", "||a".repeat(5000))).unwrap_err().message.contains("parts"));
        assert!(parse(&"a".repeat(MAX_TEXT + 1)).unwrap_err().message.contains("longer"));
    }
}
