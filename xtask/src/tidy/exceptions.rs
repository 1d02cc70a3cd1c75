//! Known places that break a rule: a list that may only shrink.

use super::Finding;

/// Where the list stands.
pub(crate) const FILE: &str = "xtask/tidy.exceptions";

/// One line of the list: so many places of a file break a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The line in the list.
    pub(crate) line: usize,
    pub(crate) rule: String,
    pub(crate) path: String,
    pub(crate) count: usize,
}

/// Reads lines of the form `RULE PATH COUNT # WHY`.
pub(crate) fn parse(text: &str) -> Result<Vec<Exception>, String> {
    let mut found: Vec<Exception> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: &str| format!("{FILE}:{}: {problem}", number + 1);
        let (entry, why) = line.split_once('#').unwrap_or((line, ""));
        if why.trim().is_empty() {
            return Err(wrong("an exception says why behind a `#`"));
        }
        let [rule, path, count] = entry.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(wrong("write RULE PATH COUNT # WHY"));
        };
        let count = count.parse().ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| wrong("the count is a number from 1"))?;
        if found.iter().any(|other| other.rule == rule && other.path == path) {
            return Err(wrong("the same rule and file stand above"));
        }
        found.push(Exception { line: number + 1, rule: rule.into(), path: path.into(), count });
    }
    Ok(found)
}

/// What is left of the findings. An exception covers its file only as long as the count is right: with more
/// places all are shown, with fewer the exception itself is a finding.
pub(crate) fn apply(found: Vec<Finding>, exceptions: &[Exception]) -> Vec<Finding> {
    let covers = |exception: &Exception, finding: &Finding| {
        exception.rule == finding.rule && exception.path == finding.path
    };
    let count = |exception: &Exception| found.iter().filter(|finding| covers(exception, finding)).count();
    let mut left: Vec<Finding> = Vec::new();
    for exception in exceptions.iter().filter(|exception| count(exception) < exception.count) {
        let (actual, Exception { line, rule, path, count }) = (count(exception), exception);
        let message = match actual {
            0 => format!("{path} keeps the rule `{rule}` now: remove this line"),
            _ => format!("{path} breaks the rule `{rule}` in {actual} places, not {count}: lower the count"),
        };
        left.push(Finding { rule: "exceptions", path: FILE.into(), line: *line, message });
    }
    for exception in exceptions.iter().filter(|exception| count(exception) > exception.count) {
        let (actual, Exception { line, rule, path, count }) = (count(exception), exception);
        let message = format!("{path} breaks the rule `{rule}` in {actual} places, {count} are known");
        left.push(Finding { rule: "exceptions", path: FILE.into(), line: *line, message });
    }
    let known = |finding: &Finding| exceptions.iter().any(|e| covers(e, finding) && count(e) <= e.count);
    left.extend(found.iter().filter(|finding| !known(finding)).cloned());
    left
}

#[cfg(test)]
mod tests {
    use super::{apply, parse};
    use crate::tidy::Finding;

    fn places(count: usize) -> Vec<Finding> {
        let finding = |line| Finding { rule: "clock", path: "a.rs".into(), line, message: "no".into() };
        (1..=count).map(finding).collect()
    }

    #[test]
    fn an_exception_must_be_exactly_as_large_as_needed() {
        let list = parse("# heading\n\nclock a.rs 2 # measured\n").unwrap();
        assert_eq!(apply(places(2), &list), []);
        assert_eq!(apply(places(3), &list).len(), 4, "the exception and all places");
        let fewer = apply(places(1), &list);
        assert!(fewer.len() == 1 && fewer[0].message.contains("lower the count"), "{fewer:?}");
        let none = apply(places(0), &list);
        assert!(none.len() == 1 && none[0].message.contains("remove this line"), "{none:?}");
        assert_eq!(apply(places(1), &[]).len(), 1);
    }

    #[test]
    fn an_exception_says_why_and_how_many() {
        for wrong in
            ["clock a.rs 2", "clock a.rs 0 # x", "clock a.rs # x", "a b 1 # x\na b 1 # x", "a b c # x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
