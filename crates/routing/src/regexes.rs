//! Regular expressions: on the whole path, many at once, and on single values.

use std::sync::Arc;
use tollgate_message::form::decode;

use regex_automata::meta::{BuildError, Cache, Config, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, PatternSet};

use crate::query;

/// The longest pattern taken, in bytes.
pub(crate) const MAX_PATTERN_LEN: usize = 4096;

/// The most memory for one compiled expression, in bytes.
const SINGLE_SIZE: usize = 1 << 20;
/// The most memory for all compiled path expressions of one host, in bytes: that of a single one, and more for each
/// so that no single one can take it all.
const EACH_PATH_SIZE: usize = 16 << 10;
const PATH_SET_SIZE: usize = 16 << 20;
/// A worker keeps the automaton's states that it has met, up to this many times the compiled size: with less
/// a large set could not run as an automaton at all, and its time would grow with the number of expressions.
const CACHE_FACTOR: usize = 3;
/// The same for an expression on a value, in bytes.
const VALUE_CACHE: usize = 256 << 10;

/// Bytes, not text: heads are bytes, and classes that know all of Unicode cost a hundred times the states.
fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

fn build(anchored: &[String], size: usize, cache: usize) -> Result<Regex, Box<BuildError>> {
    // All matches, not the first pattern's: whether a route's other conditions hold is seen only later.
    let config = Config::new()
        .match_kind(MatchKind::All)
        .utf8_empty(false)
        .nfa_size_limit(Some(size))
        .hybrid_cache_capacity(cache)
        .backtrack(false);
    Regex::builder().configure(config).syntax(syntax()).build_many(anchored).map_err(Box::new)
}

/// The pattern that matches only the whole input, or what is wrong with it.
pub(crate) fn anchor(pattern: &str) -> Result<String, String> {
    if pattern.len() > MAX_PATTERN_LEN {
        return Err(format!("longer than {MAX_PATTERN_LEN} bytes"));
    }
    // Checked before it is wrapped: `a)|(b` must not become valid by the parentheses around it.
    syntax::parse_with(pattern, &syntax()).map_err(|error| error.to_string())?;
    let anchored = format!(r"\A(?:{pattern})\z");
    syntax::parse_with(&anchored, &syntax())
        .map_err(|_| "a comment in verbose mode must end with its line".to_owned())?;
    Ok(anchored)
}

/// Compiles the expression for one value. The error says what is wrong.
pub(crate) fn build_value(pattern: &str) -> Result<Regex, String> {
    build(&[anchor(pattern)?], SINGLE_SIZE, VALUE_CACHE).map_err(|error| explain(&error))
}

/// A regular expression that matches whole values only, as routes match theirs.
#[derive(Debug)]
pub struct WholeValue(Regex);

impl WholeValue {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern.
    pub fn new(pattern: &str) -> Result<Self, String> {
        build_value(pattern).map(Self)
    }

    /// Whether it matches the whole value.
    pub fn matches(&self, value: &[u8]) -> bool {
        self.0.is_match(Input::new(value).anchored(Anchored::Yes))
    }
}

/// Compiles the path expressions of one host into one automaton; a pattern's number is its place.
pub(crate) fn build_path_set(anchored: &[String]) -> Result<Regex, String> {
    let size = PATH_SET_SIZE.min(SINGLE_SIZE + EACH_PATH_SIZE * anchored.len());
    build(anchored, size, size * CACHE_FACTOR).map_err(|error| explain(&error))
}

fn explain(error: &BuildError) -> String {
    match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("needs more than {} KiB when compiled", limit >> 10),
        (None, Some(error)) => error.to_string(),
        (None, None) => error.to_string(),
    }
}

/// What a worker keeps between look-ups: the states of the regular expressions it has met, and a buffer.
///
/// One a worker, so that workers share no lock. It can be used with any table; with another one than before
/// it starts anew. Memory is bounded: for each host with path expressions once met 3 MiB and 48 KiB for each of them,
/// at most 48 MiB; for each expression on a value once met 256 KiB; for tables without expressions nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    table: Option<Arc<()>>,
    pub(crate) paths: Vec<Option<PathSetScratch>>,
    pub(crate) values: ValueScratch,
}

impl Scratch {
    /// An empty scratch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes this the scratch of the table with this identity.
    pub(crate) fn belong_to(&mut self, table: &Arc<()>, path_sets: usize, values: usize) {
        if self.table.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, table)) {
            return;
        }
        self.table = Some(Arc::clone(table));
        self.paths.clear();
        self.paths.resize_with(path_sets, || None);
        self.values.caches.clear();
        self.values.caches.resize_with(values, || None);
    }
}

/// The states of one host's path expressions, and which of them matched.
#[derive(Debug)]
pub(crate) struct PathSetScratch {
    cache: Cache,
    matched: PatternSet,
}

impl PathSetScratch {
    /// The numbers of the patterns that match `path`, ascending.
    pub(crate) fn matches<'s>(
        slot: &'s mut Option<Self>,
        set: &Regex,
        path: &[u8],
    ) -> impl Iterator<Item = usize> + use<'s> {
        let scratch = slot.get_or_insert_with(|| Self {
            cache: set.create_cache(),
            matched: PatternSet::new(set.pattern_len()),
        });
        scratch.matched.clear();
        let input = Input::new(path).anchored(Anchored::Yes);
        set.which_overlapping_matches_with(&mut scratch.cache, &input, &mut scratch.matched);
        scratch.matched.iter().map(|pattern| pattern.as_usize())
    }
}

/// The states of the expressions on values, and a buffer for decoding.
#[derive(Debug, Default)]
pub(crate) struct ValueScratch {
    caches: Vec<Option<Cache>>,
    decoded: Vec<u8>,
}

impl ValueScratch {
    /// Whether expression `number` matches the whole value.
    pub(crate) fn matches(&mut self, number: u32, regexes: &[Regex], value: &[u8]) -> bool {
        let regex = &regexes[number as usize];
        let cache = self.caches[number as usize].get_or_insert_with(|| regex.create_cache());
        regex.search_half_with(cache, &Input::new(value).anchored(Anchored::Yes).earliest(true)).is_some()
    }

    /// The same for a value of a query.
    pub(crate) fn matches_decoded(&mut self, number: u32, regexes: &[Regex], encoded: &[u8]) -> bool {
        if !query::is_encoded(encoded) {
            return self.matches(number, regexes, encoded);
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        decoded.extend(decode(encoded));
        let matched = self.matches(number, regexes, &decoded);
        self.decoded = decoded;
        matched
    }
}

#[cfg(test)]
mod tests {
    use super::{ValueScratch, anchor, build_value};

    #[test]
    fn a_pattern_matches_the_whole_value_only() {
        for (pattern, value, matches) in [
            ("a|bc", "a", true),
            ("a|bc", "bc", true),
            ("a|bc", "ac", false),
            ("a|ab", "ab", true),
            ("a", "a\n", false),
            ("(?m)^a$", "b\na", false),
            ("", "", true),
            ("", "a", false),
            (r"\w+", "caf\u{e9}", false),
            (".*", "caf\u{e9}", true),
            ("(?i)abc", "ABC", true),
        ] {
            let regexes = [build_value(pattern).unwrap()];
            let mut scratch = ValueScratch { caches: vec![None], decoded: Vec::new() };
            assert_eq!(scratch.matches(0, &regexes, value.as_bytes()), matches, "{pattern} {value:?}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_anchored_or_held_are_refused() {
        assert!(anchor("a)|(b").is_err());
        assert!(anchor("(").is_err());
        assert!(anchor("(?x)a # tail").unwrap_err().contains("comment"));
        assert!(anchor(&"a".repeat(5000)).unwrap_err().contains("4096"));
        assert!(build_value("(a{500}){500}").unwrap_err().contains("KiB"));
    }
}
