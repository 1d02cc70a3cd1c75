//! Paths: the normal form has one reading, and is its own normal form.

use tollgate_routing::normalise::{Encoded, PathForm, PathRules, normalise_path};

/// The first byte chooses the rules, the rest is the path.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, raw)) = data.split_first() else { return };
    let encoded = |bit: u8| if choice & bit == 0 { Encoded::Refuse } else { Encoded::Keep };
    let rules = PathRules {
        merge_slashes: choice & 1 == 0,
        encoded_separators: encoded(2),
        double_encoding: encoded(4),
    };
    let mut buffer = Vec::new();
    let Ok(path) = normal(raw, &rules, &mut buffer) else { return };
    holds(path, &rules);
    let mut again = Vec::new();
    assert_eq!(normal(path, &rules, &mut again), Ok(path), "not its own normal form");
}

fn normal<'a>(
    raw: &'a [u8],
    rules: &PathRules,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], tollgate_routing::normalise::PathProblem> {
    Ok(match normalise_path(raw, rules, buffer)? {
        PathForm::AsIs => raw,
        PathForm::Rewritten => buffer,
    })
}

fn holds(path: &[u8], rules: &PathRules) {
    assert!(path.starts_with(b"/"), "{path:?}");
    assert!(
        !path.iter().any(|byte| b"?#\\ \"<>^`{|}".contains(byte) || !byte.is_ascii_graphic()),
        "{path:?}"
    );
    let mut elements = path[1..].split(|byte| *byte == b'/');
    assert!(!elements.any(|element| element == b"." || element == b".."), "{path:?}");
    assert!(!rules.merge_slashes || !path.windows(2).any(|pair| pair == b"//"), "{path:?}");
    let upper = path.to_ascii_uppercase();
    let has = |encoding: &[u8]| upper.windows(encoding.len()).any(|window| window == encoding);
    assert!(!has(b"%2E") && !has(b"%41") && !has(b"%00") && !has(b"%0A"), "{path:?}");
    if rules.encoded_separators == Encoded::Refuse {
        assert!(!has(b"%2F") && !has(b"%5C"), "{path:?}");
    }
    if rules.double_encoding == Encoded::Refuse {
        assert!(!has(b"%252E") && !has(b"%252F"), "{path:?}");
    }
}
