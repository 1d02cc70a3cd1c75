//! Durations: `250ms`, `5s`, `1m`, `1h`, `7d`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The longest duration: ten years. Longer ones are typing errors, and this keeps deadlines far from overflow.
const LONGEST: u64 = 3650 * 86_400_000;

/// A duration in whole milliseconds, at least `MIN` of them. `MIN` is 1 where zero would mean "never works".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration<const MIN: u64 = 0>(u64);

impl<const MIN: u64> Duration<MIN> {
    /// A duration of milliseconds.
    pub(crate) const fn millis(millis: u64) -> Self {
        assert!(millis >= MIN && millis <= LONGEST);
        Self(millis)
    }

    /// A duration of seconds.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self::millis(seconds * 1000)
    }

    /// As the standard library's type.
    pub fn get(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl<const MIN: u64> FromStr for Duration<MIN> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let wrong = |mend: &str| Err(ValueError::mend(format!("`{text}` is not a duration"), mend));
        if number.is_empty() {
            return wrong("write a whole number and a unit: `250ms`, `5s`, `1m`, `1h`, `7d`");
        }
        if unit.is_empty() {
            return wrong(&format!("add a unit: `{number}s` or `{number}ms`"));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return wrong(unit_mend(number, unit).as_str());
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        match millis {
            Some(millis) if millis > LONGEST => {
                Err(ValueError::new(format!("`{text}` is longer than ten years")))
            }
            None => Err(ValueError::new(format!("`{text}` is longer than ten years"))),
            Some(millis) if millis < MIN => {
                Err(ValueError::new(format!("`{text}` is too short: at least {}", Self(MIN))))
            }
            Some(millis) => Ok(Self(millis)),
        }
    }
}

fn unit_mend(number: &str, unit: &str) -> String {
    let near = match unit.trim().to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" | "s" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" | "hr" | "h" => "h",
        "day" | "days" | "d" => "d",
        "msec" | "millis" | "milliseconds" | "ms" => "ms",
        _ => return "write one whole number and one unit: `1500ms`, `90s`, `90m`, `36h`, `7d`".to_owned(),
    };
    format!("write `{number}{near}`")
}

impl<const MIN: u64> fmt::Display for Duration<MIN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().rev().find(fits).unwrap_or(&("s", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl<const MIN: u64> fmt::Debug for Duration<MIN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    Duration<MIN>,
    "a duration",
    Shape::pattern("duration", r"^[0-9]+(ms|s|m|h|d)$"),
    for const MIN: u64
);

#[cfg(test)]
mod tests {
    use super::Duration;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_or_refused_with_the_mend() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5000), ("1m", 60_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(text.parse::<Duration>().map(|d| d.0), Ok(millis), "{text}");
        }
        for (text, part) in [
            ("5", "add a unit: `5s`"),
            ("5 s", "write `5s`"),
            ("10min", "write `10m`"),
            ("1h30m", "90m"),
            ("1.5s", "1500ms"),
            ("-1s", "whole number"),
            ("", "whole number"),
            ("99999999999999999999d", "ten years"),
            ("4000d", "ten years"),
        ] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        assert!("0s".parse::<Duration<1>>().unwrap_err().to_string().contains("at least 1ms"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 0..super::LONGEST) {
            let duration = Duration::<0>(millis);
            prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
        }
    }
}
