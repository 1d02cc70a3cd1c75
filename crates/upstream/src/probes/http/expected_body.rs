//! What the body of an answer must hold.

use std::fmt;
use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// The most memory for a compiled expression, in bytes.
const EXPRESSION_SIZE: usize = 1 << 20;
/// How much of a body is looked at, unless said otherwise.
const PREFIX: usize = 64 * 1024;

/// What must be found in the first bytes of a body.
#[derive(Clone, Debug)]
pub struct ExpectedBody {
    wanted: Wanted,
    text: Arc<str>,
    prefix: usize,
}

#[derive(Clone, Debug)]
enum Wanted {
    Text(Box<[u8]>),
    Expression(Regex),
}

impl ExpectedBody {
    /// This text, somewhere.
    pub fn text(text: &str) -> Self {
        Self {
            wanted: Wanted::Text(text.as_bytes().into()),
            text: format!("{text:?}").into(),
            prefix: PREFIX,
        }
    }

    /// What a regular expression matches, somewhere. It is one of bytes: classes are those of ASCII.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression.
    pub fn expression(expression: &str) -> Result<Self, String> {
        let bytes = syntax::Config::new().unicode(false).utf8(false);
        syntax::parse_with(expression, &bytes).map_err(|error| error.to_string())?;
        let bounded = Regex::config().nfa_size_limit(Some(EXPRESSION_SIZE)).utf8_empty(false);
        let compiled = Regex::builder().configure(bounded).syntax(bytes).build(expression);
        let compiled = compiled.map_err(|error| match error.size_limit() {
            Some(limit) => format!("it takes more than {limit} bytes when compiled"),
            None => error.to_string(),
        })?;
        Ok(Self {
            wanted: Wanted::Expression(compiled),
            text: format!("/{expression}/").into(),
            prefix: PREFIX,
        })
    }

    /// The same within another number of bytes from the beginning, at least one.
    #[must_use]
    pub fn within(self, prefix: usize) -> Self {
        Self { prefix: prefix.max(1), ..self }
    }

    /// How many bytes are looked at.
    pub(super) fn prefix(&self) -> usize {
        self.prefix
    }

    /// What is expected, for people.
    pub(super) fn as_text(&self) -> &Arc<str> {
        &self.text
    }

    pub(super) fn is_in(&self, body: &[u8]) -> bool {
        let body = &body[..body.len().min(self.prefix)];
        match &self.wanted {
            Wanted::Text(text) => text.is_empty() || body.windows(text.len()).any(|window| *window == **text),
            Wanted::Expression(expression) => expression.is_match(body),
        }
    }
}

impl PartialEq for ExpectedBody {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.prefix) == (&other.text, other.prefix)
    }
}

impl Eq for ExpectedBody {}

impl fmt::Display for ExpectedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::ExpectedBody;

    #[test]
    fn texts_and_expressions_are_found_within_the_prefix_only() {
        let text = ExpectedBody::text("ready");
        assert!(text.is_in(b"is ready now") && text.is_in(b"ready") && !text.is_in(b"read"));
        assert!(ExpectedBody::text("").is_in(b""));
        let near = text.within(8);
        assert!(near.is_in(b"is ready now") && !near.is_in(b"is not ready"));
        let expression = ExpectedBody::expression(r#""status":\s*"(up|ok)""#).unwrap();
        assert!(expression.is_in(b"{\"status\": \"ok\"}") && !expression.is_in(b"{\"status\": \"down\"}"));
        assert!(ExpectedBody::expression("^a\\xff$").unwrap().is_in(b"a\xff"));
        assert!(!expression.within(3).is_in(b"{\"status\":\"ok\"}"));
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_told() {
        assert!(ExpectedBody::expression("(").unwrap_err().contains("unclosed"));
        assert!(ExpectedBody::expression("(a{1000}){1000}").unwrap_err().contains("bytes when compiled"));
    }
}
