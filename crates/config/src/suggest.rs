//! "Did you mean": the nearest of the names that would have been right.

/// Names compared at most, so that one typo in a document with 100,000 names stays cheap.
const COMPARED: usize = 5_000;

/// The candidate nearest to `wrong`, if it is near enough to be a typo: at most a third of the
/// letters off.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong: Vec<char> = wrong.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let allowed = (wrong.len() / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().take(COMPARED) {
        let letters: Vec<char> = candidate.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
        if letters.len().abs_diff(wrong.len()) > allowed {
            continue;
        }
        let off = distance(&wrong, &letters);
        // Of two that are as near the first by the alphabet, so that it does not depend on their order.
        if off <= allowed && best.is_none_or(|best| (off, candidate) < best) {
            best = Some((off, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace, swap of neighbours) from one word to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut older = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = previous[j] + usize::from(x != y);
            current[j + 1] = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            let swapped = i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y;
            if swapped {
                current[j + 1] = current[j + 1].min(older[j - 1] + 1);
            }
        }
        older = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typos_find_their_name_and_other_words_do_not() {
        let keys =
            ["name", "hosts", "path", "paths", "methods", "retry", "timeouts", "rate_limit", "rewrite"];
        for (wrong, right) in [
            ("rate_limt", Some("rate_limit")),
            ("mehtods", Some("methods")),
            ("Hosts", Some("hosts")),
            ("pth", Some("path")),
            ("timeout", Some("timeouts")),
            ("tls", None),
            ("compress", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, keys), right, "{wrong}");
        }
    }
}
