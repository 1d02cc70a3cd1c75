//! Rust text as tokens with their lines: enough of the language to tell code from comments and texts.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    /// One character of punctuation.
    Mark,
    /// A text, a character or a number.
    Literal,
    /// A lifetime or a label.
    Lifetime,
    /// A comment, documentation included.
    Comment,
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    /// What it is.
    pub(crate) kind: Kind,
    /// As it is written.
    pub(crate) text: &'t str,
    /// The line it begins on, from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// The line it ends on.
    pub(crate) fn last_line(&self) -> usize {
        self.line + self.text.matches('\n').count()
    }

    /// Whether it is this name or this punctuation.
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text == text
    }
}

/// Takes a text apart. Never fails: what is not Rust becomes marks.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let rest = &text[at..];
        let (kind, length) = next(rest);
        if let Some(kind) = kind {
            found.push(Token { kind, text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// The kind of the first token and its length; no kind for white space.
fn next(rest: &str) -> (Option<Kind>, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (Some(Kind::Comment), rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Some(Kind::Comment), block_comment(rest));
    }
    if let Some(length) = raw_text(rest).or_else(|| plain_text(rest)) {
        return (Some(Kind::Literal), length);
    }
    if first == '\'' {
        return quote(rest);
    }
    if first.is_ascii_digit() {
        return (Some(Kind::Literal), number(rest));
    }
    if is_of_word(first) {
        return (Some(Kind::Word), rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()));
    }
    (Some(Kind::Mark), first.len_utf8())
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `r"…"`, `r#"…"#`, `br"…"`, `cr"…"`.
fn raw_text(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let behind = &rest[prefix.len()..];
    let hashes = behind.bytes().take_while(|byte| *byte == b'#').count();
    let inside = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |found| found + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

/// `"…"`, `b"…"`, `c"…"`, `b'…'`.
fn plain_text(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with(['b', 'c']));
    let delimiter = *rest.as_bytes().get(prefix)?;
    if delimiter != b'"' && !(delimiter == b'\'' && rest.starts_with('b')) {
        return None;
    }
    Some(prefix + 1 + closing(&rest.as_bytes()[prefix + 1..], delimiter))
}

/// The length up to and with the delimiter that no backslash escapes.
fn closing(bytes: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == delimiter => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character or a lifetime: `'a'` is one, `'a` the other.
fn quote(rest: &str) -> (Option<Kind>, usize) {
    let mut chars = rest[1..].char_indices();
    let Some((_, first)) = chars.next() else { return (Some(Kind::Mark), 1) };
    let second = chars.next();
    if first == '\\' || second.is_some_and(|(_, c)| c == '\'') {
        return (Some(Kind::Literal), 1 + closing(&rest.as_bytes()[1..], b'\''));
    }
    let length = rest[1..].find(|c| !is_of_word(c)).unwrap_or(rest.len() - 1);
    (Some(Kind::Lifetime), 1 + length)
}

/// `12`, `0x1f`, `1_000u32`, `1.5`; the dots of `0..9` and `1.max(2)` are not of the number.
fn number(rest: &str) -> usize {
    let digits = |text: &str| text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let whole = digits(rest);
    let behind = rest[whole..].strip_prefix('.');
    match behind.filter(|behind| behind.starts_with(|c: char| c.is_ascii_digit())) {
        Some(fraction) => whole + 1 + digits(fraction),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    fn shown(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn texts_and_comments_hide_what_looks_like_code() {
        let hidden = [
            "\"a } b\"",
            "\"quote \\\" }\"",
            "r#\"raw \" }\"#",
            "br\"}\"",
            "b\"}\"",
            "b'}'",
            "'}'",
            "'\\''",
            "'\\u{7d}'",
            "c\"}\"",
        ];
        for text in hidden {
            assert_eq!(shown(text), [(Kind::Literal, text)], "{text}");
        }
        for text in ["// }", "/// }", "/* } /* } */ } */", "/* not closed }"] {
            assert_eq!(shown(text), [(Kind::Comment, text)], "{text}");
        }
    }

    #[test]
    fn names_that_begin_like_texts_are_names() {
        use Kind::{Lifetime, Literal, Mark, Word};
        assert_eq!(shown("b"), [(Word, "b")]);
        assert_eq!(shown("r#fn"), [(Word, "r"), (Mark, "#"), (Word, "fn")]);
        assert_eq!(shown("&'a str"), [(Mark, "&"), (Lifetime, "'a"), (Word, "str")]);
        assert_eq!(shown("0..9"), [(Literal, "0"), (Mark, "."), (Mark, "."), (Literal, "9")]);
        assert_eq!(shown("1.5_f64"), [(Literal, "1.5_f64")]);
    }

    #[test]
    fn lines_count_through_texts() {
        let found = tokens("a\n\"b\nc\"\n/* d\n*/ e");
        let lines: Vec<_> = found.iter().map(|token| (token.line, token.last_line())).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (4, 5), (5, 5)]);
    }
}
