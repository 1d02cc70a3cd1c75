//! From characters to tokens.

use crate::error::CompileError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    /// A number without its sign, so that the least one can be written.
    Int(u64),
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

impl Token {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Int(number) => format!("`{number}`"),
            Self::Double(number) => format!("`{number}`"),
            Self::Text(_) => "a string".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer ones first.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// The tokens of the text, each with the number of its first character, from 0; the last is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, CompileError> {
    let mut lexer = Lexer { characters: text.chars().collect(), next: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.next;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((at, token));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    characters: Vec<char>,
    next: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.next + ahead).copied()
    }

    fn follows(&self, word: &str) -> bool {
        word.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn skip_space(&mut self) {
        loop {
            if self.follows("//") {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.next += 1;
                }
            } else if self.peek(0).is_some_and(|c| c.is_ascii_whitespace()) {
                self.next += 1;
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, CompileError> {
        let Some(first) = self.peek(0) else { return Ok(Token::End) };
        let second = self.peek(1);
        match first {
            '"' | '\'' => self.text(false),
            'r' | 'R' if matches!(second, Some('"' | '\'')) => {
                self.next += 1;
                self.text(true)
            }
            'b' | 'B' if matches!(second, Some('"' | '\'')) => {
                Err(CompileError::new(self.next, "there are no byte strings here").mend("leave out the `b`"))
            }
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Name(self.word())),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            _ => self.sign(first),
        }
    }

    fn word(&mut self) -> String {
        let start = self.next;
        while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.next += 1;
        }
        self.characters[start..self.next].iter().collect()
    }

    fn sign(&mut self, first: char) -> Result<Token, CompileError> {
        if let Some(sign) = SIGNS.iter().find(|sign| self.follows(sign)) {
            self.next += sign.len();
            return Ok(Token::Sign(sign));
        }
        let error = CompileError::new(self.next, format!("`{}` has no meaning here", first.escape_debug()));
        Err(match first {
            '=' => error.mend("compare with `==`"),
            '&' | '|' => error.mend(format!("write `{first}{first}`")),
            '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => error.mend("write plain quotes"),
            _ => error,
        })
    }

    fn number(&mut self) -> Result<Token, CompileError> {
        let start = self.next;
        if self.follows("0x") || self.follows("0X") {
            self.next += 2;
            let digits = self.word();
            let number = u64::from_str_radix(&digits, 16).ok().filter(|_| !digits.is_empty());
            return number.map(Token::Int).ok_or_else(|| self.not_a_number(start));
        }
        self.digits();
        let mut whole = true;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            whole = false;
            self.next += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            whole = false;
            self.next += 1;
            if matches!(self.peek(0), Some('+' | '-')) {
                self.next += 1;
            }
            self.digits();
        }
        if matches!(self.peek(0), Some('u' | 'U')) {
            return Err(
                CompileError::new(start, "there are no unsigned numbers here").mend("leave out the `u`")
            );
        }
        if self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(self.not_a_number(start));
        }
        let digits: String = self.characters[start..self.next].iter().collect();
        let token = match whole {
            true => digits.parse().ok().map(Token::Int),
            false => digits.parse().ok().filter(|number: &f64| number.is_finite()).map(Token::Double),
        };
        token.ok_or_else(|| self.not_a_number(start))
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.next += 1;
        }
    }

    fn not_a_number(&self, start: usize) -> CompileError {
        CompileError::new(start, "this is not a number, or too large a one")
    }

    /// A string from its opening quote on: one or three of them. In a raw one a backslash is a character like others.
    fn text(&mut self, raw: bool) -> Result<Token, CompileError> {
        let start = self.next;
        let quote = self.characters[start];
        let long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let quotes = if long { 3 } else { 1 };
        self.next += quotes;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek(0).filter(|&c| long || !matches!(c, '\n' | '\r')) else {
                return Err(CompileError::new(start, "this string has no end"));
            };
            if (0..quotes).all(|ahead| self.peek(ahead) == Some(quote)) {
                self.next += quotes;
                return Ok(Token::Text(text));
            }
            self.next += 1;
            match c {
                '\\' if !raw => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, CompileError> {
        let at = self.next.saturating_sub(1);
        let wrong =
            || CompileError::new(at, "this escape is not one of CEL").mend(r"a backslash is written `\\`");
        let c = self.peek(0).ok_or_else(wrong)?;
        self.next += 1;
        let (digits, radix) = match c {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => return Ok(c),
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.next -= 1;
                (3, 8)
            }
            _ => return Err(wrong()),
        };
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.peek(0).and_then(|c| c.to_digit(radix)).ok_or_else(wrong)?;
            code = code * radix + digit;
            self.next += 1;
        }
        char::from_u32(code).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    fn one(text: &str) -> Token {
        let tokens = tokens(text).unwrap();
        assert_eq!(tokens.len(), 2, "{tokens:?}");
        tokens[0].1.clone()
    }

    #[test]
    fn literals_of_all_kinds() {
        for (text, wanted) in [
            (r#""a\tb""#, "a\tb"),
            (r"'\x41\u00e4\U0001F600\101'", "AäüA".replace('ü', "\u{1f600}").as_str()),
            (r"r'\d+'", r"\d+"),
            ("'''a'b\n'''", "a'b\n"),
            ("''", ""),
            ("'\\\\ \\' \\\"'", "\\ ' \""),
        ] {
            assert_eq!(one(text), Token::Text(wanted.to_owned()), "{text}");
        }
        assert_eq!(one("0xff"), Token::Int(255));
        assert_eq!(one("18446744073709551615"), Token::Int(u64::MAX));
        assert_eq!(one(" 1.5e3 // more"), Token::Double(1500.0));
        assert_eq!(one(".5"), Token::Double(0.5));
        assert_eq!(tokens("1.size").unwrap().len(), 4);
    }

    #[test]
    fn what_is_none_is_refused_at_its_place() {
        for (text, column) in [
            ("a = b", 3),
            ("a & b", 3),
            ("'abc", 1),
            ("'a\nb'", 1),
            ("\"ä\" == 'x\\q'", 10),
            ("'\\ud800'", 2),
            ("'\\", 2),
            ("1u", 1),
            ("1e999", 1),
            ("1e", 1),
            ("0x", 1),
            ("12ab", 1),
            ("18446744073709551616", 1),
            ("b'a'", 1),
            ("\u{201c}a\u{201d}", 1),
            ("\0", 1),
        ] {
            assert_eq!(tokens(text).unwrap_err().column, Some(column), "{text}");
        }
    }
}
