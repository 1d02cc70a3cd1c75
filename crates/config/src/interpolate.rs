//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$${` in plain scalars.
//!
//! Done after the YAML is parsed, so that a variable's content can never add structure, and pure:
//! the environment is a function.

/// What a scalar became.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Nothing to replace.
    Same,
    /// Only `$${` was written out; nothing came from outside.
    Unescaped(String),
    /// Content of variables or their defaults went in.
    Filled(String),
}

/// Why a scalar could not be replaced. `at` counts the characters before the `$`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) message: String,
    pub(crate) mend: String,
}

/// Replaces the references of a plain scalar.
pub(crate) fn plain(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Replaced, Failure> {
    if !text.contains("${") {
        return Ok(Replaced::Same);
    }
    let mut out = String::with_capacity(text.len());
    let mut filled = false;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let place = text[..text.len() - rest.len() + at].chars().count();
        let Some(end) = rest[at..].find('}').map(|end| at + end) else {
            return Err(failure(place, &rest[at..], "`${` is never closed".into(), UNCLOSED));
        };
        let reference = &rest[at..=end];
        out.push_str(&value(reference, place, environment)?);
        filled = true;
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(if filled { Replaced::Filled(out) } else { Replaced::Unescaped(out) })
}

const UNCLOSED: &str = "write `${NAME}`, or `$${` for a literal `${`";

/// The content for one whole reference, `${` and `}` included.
fn value(
    reference: &str,
    at: usize,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let inside = &reference[2..reference.len() - 1];
    let end = inside.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return Err(failure(at, reference, format!("`{reference}` names no variable"), UNCLOSED));
    }
    let set = environment(name);
    if rest.is_empty() {
        let mend = format!("set it, or give a default: `${{{name}:-default}}`");
        let message = format!("the environment variable `{name}` is not set");
        return set.ok_or_else(|| failure(at, reference, message, &mend));
    }
    // As in a shell, the colon makes an empty variable count as unset.
    let set = set.filter(|content| !content.is_empty());
    if let Some(default) = rest.strip_prefix(":-") {
        if default.contains("${") {
            let message = format!("the default of `{name}` holds a reference of its own");
            return Err(failure(at, reference, message, "write a literal default"));
        }
        return Ok(set.unwrap_or_else(|| default.to_owned()));
    }
    if let Some(wanted) = rest.strip_prefix(":?") {
        let wanted = if wanted.is_empty() { "it has no default" } else { wanted };
        let message = format!("the environment variable `{name}` is not set: {wanted}");
        return set.ok_or_else(|| failure(at, reference, message, &format!("set `{name}`")));
    }
    let message = format!("`{reference}` is not a form of reference that is known");
    Err(failure(at, reference, message, "write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`"))
}

fn failure(at: usize, reference: &str, message: String, mend: &str) -> Failure {
    Failure { at, length: reference.chars().count(), message, mend: mend.to_owned() }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Looks for a reference in a quoted scalar, where none is replaced: people quote by habit. `$${` is
/// written out as in plain scalars, so that a literal can be said in quotes too.
pub(crate) fn quoted(text: &str) -> Result<Replaced, Failure> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let named = rest[at + 2..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if named && !escaped {
            let place = text[..text.len() - rest.len() + at].chars().count();
            let reference = rest[at..].split_inclusive('}').next().unwrap_or_default();
            let mend = "remove the quotes, or write `$${` if the text is meant literally";
            return Err(failure(place, reference, "`${…}` is not replaced inside quotes".into(), mend));
        }
        changed |= escaped;
        out.push_str(&rest[..at - usize::from(escaped)]);
        out.push_str("${");
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Ok(if changed { Replaced::Unescaped(out) } else { Replaced::Same })
}

#[cfg(test)]
mod tests {
    use super::{Replaced, plain, quoted};

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("shop".into()),
            "EMPTY" => Some(String::new()),
            "NASTY" => Some("x, y: ${HOST} [".into()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced() {
        for (text, expected) in [
            ("http://${HOST}:80", "http://shop:80"),
            ("${HOST}${HOST}", "shopshop"),
            ("${NONE:-a:b}", "a:b"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("${HOST:?set it}", "shop"),
            ("$${HOST} ${HOST}", "${HOST} shop"),
            ("${NASTY}", "x, y: ${HOST} ["),
            ("$2a$10$x ${HOST}", "$2a$10$x shop"),
        ] {
            assert_eq!(plain(text, &environment), Ok(Replaced::Filled(expected.into())), "{text}");
        }
        assert_eq!(plain("$HOST $2a$", &environment), Ok(Replaced::Same));
        assert_eq!(plain("$${X}", &environment), Ok(Replaced::Unescaped("${X}".into())));
    }

    #[test]
    fn bad_references_say_what_is_wrong_and_where() {
        for (text, at, length, part) in [
            ("é${NONE}", 1, 7, "`NONE` is not set"),
            ("a ${NONE:?set NONE to x}", 2, 22, "not set: set NONE to x"),
            ("${EMPTY:?}", 0, 10, "no default"),
            ("${", 0, 2, "never closed"),
            ("${}", 0, 3, "names no variable"),
            ("${1X}", 0, 5, "names no variable"),
            ("${HOST+x}", 0, 9, "not a form"),
            ("${A:-${B}}", 0, 9, "reference of its own"),
        ] {
            let failure = plain(text, &environment).unwrap_err();
            assert_eq!((failure.at, failure.length), (at, length), "{text}: {}", failure.message);
            assert!(failure.message.contains(part), "{text}: {}", failure.message);
        }
    }

    #[test]
    fn quoted_references_are_refused_but_other_dollars_are_not() {
        let failure = quoted("a ${HOST} b").unwrap_err();
        assert_eq!((failure.at, failure.length), (2, 7));
        assert_eq!(quoted("^a${2}"), Ok(Replaced::Same));
        assert_eq!(quoted("$${HOST}"), Ok(Replaced::Unescaped("${HOST}".into())));
    }
}
