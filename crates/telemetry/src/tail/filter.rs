//! Which exchanges a subscriber wants, read from the pairs of a query.

use std::fmt;

use tollgate_decision::{Reason, Side};

use crate::access::{Conditions, Entry};

/// Which exchanges a subscriber wants; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Conditions);

/// Why pairs are not a filter: one sentence that names the pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError(String);

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilterError {}

const KEYS: &str = "`reason`, `route`, `upstream`, `status`, `side`, `slow`, `path`";

impl Filter {
    /// A filter from key and value pairs. Keys: `reason`, `route`, `upstream`, `status` (`404`, `5xx`,
    /// `400-499`), `side`, `slow` (a duration at least, as `250ms`), `path` (with all below it). Pairs of
    /// one key are alternatives; those of different keys must all fit.
    pub fn from_pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, FilterError> {
        let mut conditions = Conditions::default();
        for (key, value) in pairs {
            if value.is_empty() {
                return Err(FilterError(format!("the filter `{key}` has no value")));
            }
            match key {
                "reason" => conditions.reasons.insert(reason(value)?),
                "route" => conditions.routes.push(value.into()),
                "upstream" => conditions.upstreams.push(value.into()),
                "status" => conditions.statuses.push(statuses(value)?),
                "side" => conditions.sides.insert(side(value)?),
                "slow" => conditions.at_least_us = duration_us(value)?,
                "path" if value.starts_with('/') => conditions.paths.push(value.into()),
                "path" => return Err(FilterError(format!("the path `{value}` does not begin with `/`"))),
                _ => return Err(FilterError(format!("there is no filter `{key}`; there are {KEYS}"))),
            }
        }
        Ok(Self(conditions))
    }

    pub(super) fn wants(&self, entry: &Entry<'_>) -> bool {
        self.0.hold(entry)
    }
}

fn reason(code: &str) -> Result<Reason, FilterError> {
    let found = Reason::ALL.iter().find(|reason| reason.code() == code);
    found.copied().ok_or_else(|| {
        let like = |reason: &&Reason| reason.code().contains(code) || code.contains(reason.code());
        let near: Vec<_> = Reason::ALL.iter().filter(like).map(|r| format!("`{}`", r.code())).collect();
        FilterError(match near.is_empty() {
            true => format!("there is no reason `{code}`; docs/reasons.md lists them"),
            false => format!("there is no reason `{code}`; there is {}", near.join(", ")),
        })
    })
}

fn side(word: &str) -> Result<Side, FilterError> {
    const SIDES: [Side; 4] = [Side::Nobody, Side::Client, Side::Upstream, Side::Proxy];
    let found = SIDES.into_iter().find(|side| side.label() == word);
    found.ok_or_else(|| {
        let words = SIDES.map(|side| format!("`{}`", side.label())).join(", ");
        FilterError(format!("there is no side `{word}`; there are {words}"))
    })
}

fn statuses(text: &str) -> Result<(u16, u16), FilterError> {
    let wrong = || FilterError(format!("`{text}` is no status; write `404`, `5xx` or `400-499`"));
    let status = |text: &str| text.parse::<u16>().ok().filter(|s| text.len() == 3 && (100..=599).contains(s));
    if let Some(class) = text.strip_suffix("xx") {
        let first = status(&format!("{class}00")).ok_or_else(wrong)?;
        return Ok((first, first + 99));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let range = status(low).zip(status(high)).filter(|(low, high)| low <= high);
    range.ok_or_else(wrong)
}

fn duration_us(text: &str) -> Result<u64, FilterError> {
    let digits = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "us" => Some(1),
        "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60_000_000),
        _ => None,
    };
    let us = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    us.ok_or_else(|| FilterError(format!("`{text}` is no duration; write `250ms` or `1s`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_or_refused_with_the_mend() {
        let pairs = [
            ("status", "5xx"),
            ("status", "404"),
            ("status", "410-412"),
            ("slow", "250ms"),
            ("side", "proxy"),
        ];
        let Filter(conditions) = Filter::from_pairs(pairs).unwrap();
        assert_eq!(conditions.statuses, [(500, 599), (404, 404), (410, 412)]);
        assert_eq!(conditions.at_least_us, 250_000);
        assert!(conditions.sides.contains(Side::Proxy) && !conditions.sides.contains(Side::Client));
        for (key, value, part) in [
            ("rute", "a", "there is no filter `rute`; there are `reason`"),
            ("reason", "timeout", "`first_byte_timeout`"),
            ("reason", "xyz", "docs/reasons.md"),
            ("status", "6xx", "no status"),
            ("status", "499-400", "no status"),
            ("status", "04", "no status"),
            ("side", "server", "there are `nobody`, `client`"),
            ("slow", "250", "no duration"),
            ("slow", "99999999999999999999s", "no duration"),
            ("slow", "18446744073709551615m", "no duration"),
            ("path", "a", "does not begin"),
            ("route", "", "no value"),
        ] {
            let error = Filter::from_pairs([(key, value)]).unwrap_err().to_string();
            assert!(error.contains(part), "{key}={value}: {error}");
        }
    }
}
