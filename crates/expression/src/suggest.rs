//! "Did you mean": the name nearest to one that is not there.

/// Longer names are not compared.
const LONGEST: usize = 32;

/// The candidate that is at most a third of the letters off.
pub(crate) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > LONGEST {
        return None;
    }
    let allowed = (wrong.len() / 3).clamp(1, 3);
    candidates
        .map(|name| (edits(wrong, name), name))
        .filter(|&(off, _)| off <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced, or neighbours swapped, whatever their case.
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().flat_map(char::to_lowercase).collect();
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    // Row and column 0 stand for the empty beginnings.
    let mut table = vec![vec![0; to.len() + 1]; from.len() + 1];
    table[0] = (0..=to.len()).collect();
    for i in 1..=from.len() {
        table[i][0] = i;
        for j in 1..=to.len() {
            let replaced = table[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = least;
        }
    }
    table[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name() {
        let names = ["method", "path", "headers", "scopes", "scheme"];
        for (wrong, right) in [
            ("metod", Some("method")),
            ("header", Some("headers")),
            ("pahT", Some("path")),
            ("tenant", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names.into_iter()), right, "{wrong}");
        }
    }
}
