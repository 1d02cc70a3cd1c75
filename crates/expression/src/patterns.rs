//! Regular expressions of `matches`.

use std::borrow::Cow;

use regex_automata::meta::{Config, Regex};
use regex_automata::nfa::thompson::NFA;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 2048;
/// The most memory for the compiled pattern, in bytes.
const COMPILED: usize = 128 << 10;
/// The most memory of a thread for the states that it has met.
const STATES: usize = 256 << 10;

/// As many states tried are one step of an evaluation.
const STATES_A_STEP: usize = 32;

/// A compiled pattern: it matches anywhere in the text, as in RE2, unless it has anchors.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Of the automaton: at the worst each is tried for each byte.
    states: usize,
}

impl Pattern {
    /// The error says what is wrong.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("the pattern is longer than {MAX_PATTERN} bytes"));
        }
        let config = Config::new()
            .nfa_size_limit(Some(COMPILED))
            .onepass_size_limit(Some(COMPILED))
            .hybrid_cache_capacity(STATES);
        let regex = Regex::builder().configure(config).build(pattern).map_err(|error| {
            match (error.size_limit(), error.syntax_error()) {
                (Some(limit), _) => format!("the pattern needs more than {} KiB when compiled", limit >> 10),
                // Of several lines with a drawing: the last one says what is wrong.
                (None, Some(error)) => {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    format!("the pattern is not a regular expression: {last}")
                }
                (None, None) => format!("the pattern cannot be used: {error}"),
            }
        })?;
        let automaton = NFA::new(pattern).map_err(|error| format!("the pattern cannot be used: {error}"))?;
        Ok(Self { regex, states: automaton.states().len() })
    }

    /// How many steps of an evaluation a match takes at the worst. Mostly it takes far fewer, but the automaton of some patterns
    /// grows too large for some texts, and which texts is the client's to choose.
    pub(crate) fn cost(&self, text: &[u8]) -> usize {
        text.len().saturating_mul(self.states) / STATES_A_STEP
    }

    /// Whether it matches. What is not UTF-8 counts as U+FFFD, so that `.` cannot be dodged with a broken sequence.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match String::from_utf8_lossy(text) {
            Cow::Borrowed(text) => self.regex.is_match(text),
            Cow::Owned(text) => self.regex.is_match(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_anywhere_and_any_bytes() {
        for (pattern, text, wanted) in [
            ("b", &b"abc"[..], true),
            ("^b", b"abc", false),
            ("^/admin.*$", b"/admin\xff", true),
            (r"^\w+$", "caf\u{e9}".as_bytes(), true),
            (r"^[\w.-]+@\w+$", b"a.b@c", true),
            (r"\x00", b"a\0", true),
            ("^.$", "\u{e4}".as_bytes(), true),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), wanted, "{pattern} {text:?}");
        }
    }

    #[test]
    fn patterns_that_are_wrong_or_too_large_are_refused() {
        assert!(Pattern::new("(").unwrap_err().contains("unclosed group"));
        assert!(Pattern::new(r"(a)\1").unwrap_err().contains("backreferences"));
        assert!(Pattern::new("(a{500}){500}").unwrap_err().contains("KiB"));
        assert!(Pattern::new(&"a".repeat(3000)).unwrap_err().contains("longer"));
        assert!(Pattern::new(&"(".repeat(2000)).is_err());
    }

    #[test]
    fn patterns_that_ruin_other_engines_end() {
        let text = [b"a".repeat(64 << 10), b"!".to_vec()].concat();
        for pattern in ["^(a+)+$", "^(a|aa)+$", "(.*)*b", "(a|b)*a(a|b){12}c"] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(!pattern.matches(&text), "{pattern:?}");
            assert!(pattern.cost(b"/v1") < 20 && pattern.cost(&text) > 2000, "{pattern:?}");
        }
    }
}
