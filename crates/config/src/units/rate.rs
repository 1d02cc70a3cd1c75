//! Rates: `100/s`, `100/min`, `5000/h`, `10/day`, `100/10s`.

use std::fmt;
use std::str::FromStr;

use super::Duration;
use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// Words for periods, in milliseconds; the first of a length is the one that is shown.
const PERIODS: [(&str, u64); 8] = [
    ("s", 1000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("day", 86_400_000),
    ("sec", 1000),
    ("m", 60_000),
    ("hour", 3_600_000),
    ("d", 86_400_000),
];

/// The longest period: what lasts longer is a quota.
const LONGEST: u64 = 31 * 86_400_000;

/// The most of a rate.
const MOST: u32 = 1_000_000_000;

/// How much may pass in a period of whole milliseconds; neither is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    period: u64,
}

impl Rate {
    /// How much may pass in a [`Rate::period`], at least 1.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The period, from a millisecond to 31 days.
    pub fn period(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.period)
    }
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: &str| Err(ValueError::mend(format!("`{text}` is not a rate"), mend));
        let Some((count, period)) = text.split_once('/') else {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return match digits {
                true => wrong(&format!("say in what time: `{text}/s`, `{text}/min`")),
                false => wrong("write it like `100/s`, `100/min`, `5000/h`, `10/day` or `100/10s`"),
            };
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong("write a whole number before the `/`, like `100/min`");
        }
        let Some(count) = count.parse::<u32>().ok().filter(|count| *count <= MOST) else {
            return Err(ValueError::new(format!("`{text}` is more than {MOST} in a period")));
        };
        if count == 0 {
            return Err(ValueError::mend(
                format!("`{text}` lets nothing pass"),
                "write at least 1, or refuse with `access: { otherwise: deny }`",
            ));
        }
        let word = PERIODS.iter().find(|(word, _)| *word == period).map(|(_, period)| *period);
        let period = match word {
            Some(period) => period,
            None => match period.parse::<Duration<1>>() {
                Ok(duration) => u64::try_from(duration.get().as_millis()).unwrap_or(u64::MAX),
                Err(_) => return wrong("write a period after the `/`: `s`, `min`, `h`, `day` or `10s`"),
            },
        };
        if period > LONGEST {
            let message = format!("the period of `{text}` is longer than 31 days");
            return Err(ValueError::mend(message, "write a `quota`"));
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PERIODS.iter().find(|(_, period)| *period == self.period) {
            Some((word, _)) => write!(f, "{}/{word}", self.count),
            None => write!(f, "{}/{}", self.count, Duration::<0>::millis(self.period)),
        }
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    Rate,
    "a rate",
    Shape::pattern("rate", r"^[0-9]+/(s|sec|min|m|h|hour|day|d|[0-9]+(ms|s|m|h|d))$")
);

#[cfg(test)]
mod tests {
    use super::Rate;
    use proptest::prelude::*;

    #[test]
    fn rates_are_read_or_refused_with_the_mend() {
        for (text, count, seconds, shown) in [
            ("100/s", 100, 1, "100/s"),
            ("100/min", 100, 60, "100/min"),
            ("100/m", 100, 60, "100/min"),
            ("100/60s", 100, 60, "100/min"),
            ("5000/h", 5000, 3600, "5000/h"),
            ("10/day", 10, 86_400, "10/day"),
            ("100/10s", 100, 10, "100/10s"),
            ("1/7d", 1, 604_800, "1/7d"),
        ] {
            let rate: Rate = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((rate.count(), rate.period().as_secs()), (count, seconds), "{text}");
            assert_eq!(rate.to_string(), shown);
        }
        for (text, part) in [
            ("100", "`100/s`"),
            ("", "`100/s`"),
            ("x/s", "whole number"),
            ("/s", "whole number"),
            ("-1/s", "whole number"),
            ("1.5/s", "whole number"),
            ("0/s", "lets nothing pass"),
            ("100/", "a period after"),
            ("100/0s", "a period after"),
            ("100/fortnight", "a period after"),
            ("100/32d", "write a `quota`"),
            ("1000000001/s", "more than 1000000000"),
            ("99999999999/s", "more than 1000000000"),
        ] {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(count in 1..=super::MOST, period in 1..=super::LONGEST) {
            let rate = Rate { count, period };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }
}
