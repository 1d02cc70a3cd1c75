//! Bringing a request path into its one spelling, or refusing it.
//!
//! A route on `/admin` protects nothing if `/%61dmin`, `/x/../admin` or `//admin` reach the same resource by
//! another route. So a path is normalised once, before routing, and the normalised path is also what is
//! forwarded: the upstream sees what was matched. What has no safe meaning is refused, not repaired.

use memchr::{memchr, memmem, memrchr};
use tollgate_message::form::from_hex;

/// What to do with an encoding that some upstreams decode and others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Refuse the request.
    Refuse,
    /// Leave it encoded.
    Keep,
}

/// How paths are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRules {
    /// Whether `//` becomes `/`. Default: yes, since file servers and most frameworks read it so, and a
    /// prefix `/admin` would miss `//admin`. Off for upstreams with keys in the path (S3).
    pub merge_slashes: bool,
    /// `%2F` and `%5C`. Default: refuse, since one side reads a separator and the other a character, so
    /// that one of them sees a path that no rule was checked for. Keep for APIs that have them in
    /// names (`@scope%2fpackage`, GitLab project ids). Beside a dot segment they are refused in any case.
    pub encoded_separators: Encoded,
    /// `%252E`, `%252F`, `%255C` and `%25` with an encoded control character: harmless unless an upstream
    /// decodes twice. Default: refuse, since some do, and nothing but an attack needs it.
    pub double_encoding: Encoded,
}

impl Default for PathRules {
    fn default() -> Self {
        Self { merge_slashes: true, encoded_separators: Encoded::Refuse, double_encoding: Encoded::Refuse }
    }
}

/// Where the normalised path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// The path came in its normal form: use it as it is.
    AsIs,
    /// The normal form is in the buffer.
    Rewritten,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathProblem {
    /// Does not start with `/`. The `*` of OPTIONS and the authority of CONNECT are no paths (RFC 9112 section 3.2).
    NotAbsolute,
    /// A byte that no path holds: a control character, a space, `#`, `?`.
    InvalidByte(u8),
    /// A `\`: read as a slash by some upstreams.
    Backslash,
    /// A `%` without two hexadecimal digits.
    MalformedEncoding,
    /// An encoded control character, NUL above all: it ends the path early in some upstreams, and a
    /// decoded line break splits a request in others. No path needs one.
    EncodedControl,
    /// `%2F` or `%5C` while the rules refuse it.
    EncodedSeparator,
    /// An encoded `%` that makes a dot, a separator or a control character when decoded twice.
    DoubleEncoding,
    /// `..` above the root. RFC 3986 would stay at the root; only attacks get here.
    AboveRoot,
    /// A dot segment with parameters (`/..;/`), which servlet containers read as a dot segment.
    DotWithParameters,
    /// A dot segment beside an encoded separator (`..%2F`).
    DotBesideSeparator,
}

impl PathProblem {
    /// What is wrong, for the answer's text and the log.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not start with a slash",
            Self::InvalidByte(_) => "the path holds a character that must be percent-encoded",
            Self::Backslash => "the path holds a backslash",
            Self::MalformedEncoding => "the path holds a `%` without two hexadecimal digits",
            Self::EncodedControl => "the path holds an encoded control character",
            Self::EncodedSeparator => "the path holds an encoded slash or backslash",
            Self::DoubleEncoding => "the path is encoded twice",
            Self::AboveRoot => "the path leads above its root",
            Self::DotWithParameters => "the path holds a dot segment with parameters",
            Self::DotBesideSeparator => "the path holds a dot segment beside an encoded separator",
        }
    }
}

impl std::fmt::Display for PathProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.describe())
    }
}

impl std::error::Error for PathProblem {}

/// Needs the slow pass wherever it stands.
const SPECIAL: u8 = 1;
/// Needs the slow pass behind a slash: another slash, or the dot that may begin a dot segment.
const AFTER_SLASH: u8 = 2;
const SLASH: u8 = 4;
/// No path character (RFC 3986 section 3.3), but sent by clients and without danger: encoded.
const ENCODE: u8 = 8;
/// Refused.
const INVALID: u8 = 16;

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'/' => AFTER_SLASH | SLASH,
            b'.' => AFTER_SLASH,
            b'%' => SPECIAL,
            0..=b' ' | 0x7f | b'#' | b'?' | b'\\' => SPECIAL | INVALID,
            0x80..=0xff | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => SPECIAL | ENCODE,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Normalises `raw`, the path without query, by `rules`.
///
/// Dot segments (also as `%2E`) are resolved, unreserved characters decoded (`%41` is `A`), other encodings
/// kept in upper case, characters that must be encoded encoded, slashes merged; an empty path is `/`. What
/// has more than one reading is refused. `out` is overwritten; it holds the path only
/// if the answer is [`PathForm::Rewritten`]. Normalising twice changes nothing more.
pub fn normalise_path(raw: &[u8], rules: &PathRules, out: &mut Vec<u8>) -> Result<PathForm, PathProblem> {
    if is_plain(raw) {
        return Ok(PathForm::AsIs);
    }
    rewrite(raw, rules, out)
}

/// One pass without branches over the bytes: whether there is nothing that could need a change.
fn is_plain(raw: &[u8]) -> bool {
    if raw.first() != Some(&b'/') {
        return false;
    }
    let (mut seen, mut after_slash) = (0, 0);
    for &byte in raw {
        let class = CLASS[byte as usize];
        seen |= (class & SPECIAL) | (class & after_slash);
        after_slash = (class & SLASH) >> 1;
    }
    seen == 0
}

#[cold]
fn rewrite(raw: &[u8], rules: &PathRules, out: &mut Vec<u8>) -> Result<PathForm, PathProblem> {
    out.clear();
    let Some((&first, mut rest)) = raw.split_first() else {
        out.push(b'/');
        return Ok(PathForm::Rewritten);
    };
    if first != b'/' {
        return Err(PathProblem::NotAbsolute);
    }
    while let Some(slash) = memchr(b'/', rest) {
        append_segment(&rest[..slash], false, rules, out)?;
        rest = &rest[slash + 1..];
    }
    append_segment(rest, true, rules, out)?;
    Ok(if out == raw { PathForm::AsIs } else { PathForm::Rewritten })
}

/// Appends a segment with the slash in front of it, or takes one away if it is `..`.
fn append_segment(raw: &[u8], last: bool, rules: &PathRules, out: &mut Vec<u8>) -> Result<(), PathProblem> {
    let start = out.len();
    out.push(b'/');
    append_bytes(raw, rules, out)?;
    let segment = &out[start + 1..];
    refuse_hidden(segment, rules)?;
    match segment {
        // The last segment, empty, is the trailing slash.
        b"" if last || !rules.merge_slashes => return Ok(()),
        b"" | b"." => out.truncate(start),
        b".." => {
            let parent = memrchr(b'/', &out[..start]).ok_or(PathProblem::AboveRoot)?;
            out.truncate(parent);
        }
        _ => return Ok(()),
    }
    if last {
        out.push(b'/');
    }
    Ok(())
}

fn append_bytes(raw: &[u8], rules: &PathRules, out: &mut Vec<u8>) -> Result<(), PathProblem> {
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        at += 1;
        if byte == b'%' {
            let value = raw.get(at..at + 2).and_then(from_hex).ok_or(PathProblem::MalformedEncoding)?;
            at += 2;
            match value {
                0..=0x1f | 0x7f => return Err(PathProblem::EncodedControl),
                b'/' | b'\\' if rules.encoded_separators == Encoded::Refuse => {
                    return Err(PathProblem::EncodedSeparator);
                }
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(value),
                _ => push_encoded(value, out),
            }
        } else if CLASS[byte as usize] & INVALID != 0 {
            return Err(if byte == b'\\' { PathProblem::Backslash } else { PathProblem::InvalidByte(byte) });
        } else if CLASS[byte as usize] & ENCODE != 0 {
            push_encoded(byte, out);
        } else {
            out.push(byte);
        }
    }
    Ok(())
}

/// Refuses what a laxer reader takes for a dot segment or decodes once more. Looks at the normalised segment,
/// because `%25%32%65` only shows as `%252e` there.
fn refuse_hidden(segment: &[u8], rules: &PathRules) -> Result<(), PathProblem> {
    if is_dot_with_parameters(segment) {
        return Err(PathProblem::DotWithParameters);
    }
    if memchr(b'%', segment).is_none() {
        return Ok(());
    }
    if rules.double_encoding == Encoded::Refuse {
        let doubled = memmem::find_iter(segment, b"%25").any(|at| {
            let inner = segment.get(at + 3..at + 5).and_then(from_hex);
            matches!(inner, Some(b'.' | b'/' | b'\\' | 0..=0x1f | 0x7f))
        });
        if doubled {
            return Err(PathProblem::DoubleEncoding);
        }
    }
    let mut rest = segment;
    while let Some(at) = find_separator(rest) {
        if is_dots(&rest[..at]) || is_dots_before_end(&rest[at + 3..]) {
            return Err(PathProblem::DotBesideSeparator);
        }
        rest = &rest[at + 3..];
    }
    Ok(())
}

/// Whether the segment is `.` or `..` with a `;` behind, plain or encoded.
fn is_dot_with_parameters(segment: &[u8]) -> bool {
    let dots = segment.iter().take_while(|b| **b == b'.').count();
    matches!(dots, 1 | 2) && (segment[dots..].starts_with(b";") || segment[dots..].starts_with(b"%3B"))
}

fn is_dots(piece: &[u8]) -> bool {
    piece == b"." || piece == b".." || is_dot_with_parameters(piece)
}

/// Whether the piece up to the next encoded separator is a dot segment.
fn is_dots_before_end(piece: &[u8]) -> bool {
    is_dots(&piece[..find_separator(piece).unwrap_or(piece.len())])
}

/// Where the next `%2F` or `%5C` of a normalised segment begins.
fn find_separator(segment: &[u8]) -> Option<usize> {
    segment.windows(3).position(|triplet| triplet == b"%2F" || triplet == b"%5C")
}

fn push_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::{Encoded, PathForm, PathProblem, PathRules, normalise_path};

    fn normalised(raw: &[u8], rules: &PathRules) -> Result<String, PathProblem> {
        let mut out = b"left over".to_vec();
        Ok(match normalise_path(raw, rules, &mut out)? {
            PathForm::AsIs => String::from_utf8(raw.to_vec()).unwrap(),
            PathForm::Rewritten => {
                assert_ne!(out, raw);
                String::from_utf8(out).unwrap()
            }
        })
    }

    #[test]
    fn plain_paths_stay_where_they_are() {
        let mut out = Vec::new();
        for raw in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/d",
            "/a.",
            "/a..",
            "/a;v=1/b",
            "/a%20b",
            "/.well-known/x",
            "/...",
            "/a@b:c",
        ] {
            let form = normalise_path(raw.as_bytes(), &PathRules::default(), &mut out);
            assert_eq!(form, Ok(PathForm::AsIs), "{raw}");
        }
    }

    #[test]
    fn other_spellings_become_the_one() {
        for (raw, path) in [
            ("", "/"),
            ("//", "/"),
            ("///a///b//", "/a/b/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/../b", "/b"),
            ("/a//../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e", "/a/"),
            ("/%41%62%2d%7e%30", "/Ab-~0"),
            ("/a%2fb".replace("%2f", "%3a").as_str(), "/a%3Ab"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a|b{c}^\"<>`", "/a%7Cb%7Bc%7D%5E%22%3C%3E%60"),
            ("/100%25", "/100%25"),
            ("/100%2541", "/100%2541"),
        ] {
            assert_eq!(normalised(raw.as_bytes(), &PathRules::default()), Ok(path.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        use PathProblem::*;
        for (raw, problem) in [
            ("a", NotAbsolute),
            ("*", NotAbsolute),
            ("http://x/", NotAbsolute),
            ("/a b", InvalidByte(b' ')),
            ("/a#b", InvalidByte(b'#')),
            ("/a?b", InvalidByte(b'?')),
            ("/a\0", InvalidByte(0)),
            ("/a\r\nX: y", InvalidByte(b'\r')),
            ("/a\x7f", InvalidByte(0x7f)),
            ("/a\\..\\b", Backslash),
            ("/%", MalformedEncoding),
            ("/%4", MalformedEncoding),
            ("/%4/1", MalformedEncoding),
            ("/%zz", MalformedEncoding),
            ("/%+1", MalformedEncoding),
            ("/%u0041", MalformedEncoding),
            ("/%00", EncodedControl),
            ("/%0d%0a", EncodedControl),
            ("/%7F", EncodedControl),
            ("/a%2Fb", EncodedSeparator),
            ("/a%5cb", EncodedSeparator),
            ("/..", AboveRoot),
            ("/../a", AboveRoot),
            ("/a/../../b", AboveRoot),
            ("/%2e%2e/a", AboveRoot),
            ("//..", AboveRoot),
            ("/a/..;/b", DotWithParameters),
            ("/a/..;x=1/b", DotWithParameters),
            ("/a/.;/b", DotWithParameters),
            ("/a/%2e%2e;/b", DotWithParameters),
            ("/a/..%3b/b", DotWithParameters),
            ("/a/%252e%252e/b", DoubleEncoding),
            ("/a%252fb", DoubleEncoding),
            ("/a%25%32%66b", DoubleEncoding),
            ("/a%2500", DoubleEncoding),
        ] {
            assert_eq!(normalised(raw.as_bytes(), &PathRules::default()), Err(problem), "{raw}");
        }
    }

    #[test]
    fn rules_can_keep_what_is_refused_by_default() {
        let rules = PathRules {
            merge_slashes: false,
            encoded_separators: Encoded::Keep,
            double_encoding: Encoded::Keep,
        };
        for (raw, path) in [
            ("//", "//"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/@scope%2fname", "/@scope%2Fname"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%252e%252fb", "/a%252e%252fb"),
            ("/a/..b%2fc", "/a/..b%2Fc"),
        ] {
            assert_eq!(normalised(raw.as_bytes(), &rules), Ok(path.to_owned()), "{raw}");
        }
        for raw in ["/a/..%2fb", "/a/b%2f..", "/a/b%2f../c", "/a%5c..%5cb", "/a/%2e%2e%2fb", "/a%2f..;%2fb"] {
            assert_eq!(normalised(raw.as_bytes(), &rules), Err(PathProblem::DotBesideSeparator), "{raw}");
        }
        assert_eq!(normalised(b"/%00", &rules), Err(PathProblem::EncodedControl));
    }

    /// Whatever comes out is stable, absolute and free of what routing relies on being gone.
    #[test]
    fn random_paths_normalise_once_and_for_all() {
        let pieces: [&[u8]; 22] = [
            b"/", b"/", b"/", b".", b"..", b"%2e", b"%2F", b"%5c", b"%25", b"2e", b"%", b"a", b"B", b";",
            b"%3b", b"%00", b"\\", b"\xff", b"%41", b"%c3", b"//", b"x",
        ];
        for case in 0..200_000_u64 {
            let mut state = case.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut raw = b"/".to_vec();
            for _ in 0..state % 9 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                raw.extend_from_slice(pieces[(state % pieces.len() as u64) as usize]);
            }
            let kept = if case % 2 == 0 { Encoded::Refuse } else { Encoded::Keep };
            let rules =
                PathRules { merge_slashes: case % 3 != 0, encoded_separators: kept, double_encoding: kept };
            let Ok(once) = normalised(&raw, &rules) else { continue };
            assert_eq!(normalised(once.as_bytes(), &rules), Ok(once.clone()), "case {case}: {raw:?}");
            assert!(once.starts_with('/') && once.is_ascii(), "case {case}: {raw:?}");
            assert!(!once.split('/').any(|s| s == "." || s == ".."), "case {case}: {raw:?} to {once}");
            assert!(!rules.merge_slashes || !once.contains("//"), "case {case}: {raw:?} to {once}");
            // Read by someone who decodes separators and strips parameters, it still holds no dot segment.
            let lax = once.replace("%2F", "/").replace("%5C", "/").replace("%3B", ";");
            let dots = lax.split('/').any(|s| matches!(s.split(';').next(), Some("." | "..")));
            assert!(!dots, "case {case}: {raw:?} to {once}");
        }
    }
}
