//! Comparing responses: whatever they are, an answer is the same as itself, and what is kept is bounded.

use tollgate_comparison::{Answer, Headers, PathPattern, Rules, Verdict, compare};

/// Three parts with a zero byte between them: a pattern of ignored places, and two bodies.
pub(crate) fn run(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let pattern = std::str::from_utf8(part()).ok().and_then(|text| text.parse::<PathPattern>().ok());
    let (one, other) = (part(), part());
    if let Some(pattern) = &pattern {
        let again = pattern.to_string().parse::<PathPattern>();
        assert_eq!(again.as_ref(), Ok(pattern), "a pattern is read as it was written");
    }
    let rules =
        Rules { headers: Headers::All, ignored_paths: pattern.into_iter().collect(), ..Rules::default() };
    let first = Answer { status: 200, head: one, trailers: b"", body: Some(one) };
    let second = Answer { head: other, body: Some(other), ..first };
    assert_eq!(compare(&rules, &first, &first).verdict(), Verdict::Same);
    let (there, back) = (compare(&rules, &first, &second), compare(&rules, &second, &first));
    assert_eq!(there.verdict(), back.verdict());
    assert_eq!(there.differences.len() + there.more, back.differences.len() + back.more);
    assert!(there.differences.len() <= rules.max_differences);
}
