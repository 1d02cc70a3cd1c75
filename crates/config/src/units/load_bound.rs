//! How much busier than the average something may be: `125%`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// A whole number of percent of the average, from 110 to 1000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBound(u16);

impl LoadBound {
    /// In percent: 100 would be the average.
    pub fn percent(self) -> u32 {
        self.0.into()
    }
}

impl FromStr for LoadBound {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |message: String| Err(ValueError::mend(message, "write it like `125%`"));
        let digits =
            text.strip_suffix('%').filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
        let Some(digits) = digits else { return wrong(format!("`{text}` is not a whole percentage")) };
        match digits.parse::<u16>() {
            Ok(percent) if percent < 110 => {
                wrong(format!("`{text}` of the average is too close to it: at least 110%"))
            }
            Ok(percent) if percent <= 1000 => Ok(Self(percent)),
            _ => wrong(format!("`{text}` of the average is hardly a bound: at most 1000%")),
        }
    }
}

impl fmt::Display for LoadBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Debug for LoadBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    LoadBound,
    "a percentage of the average",
    Shape::pattern("percentage from 110% to 1000%", r"^(1[1-9][0-9]|[2-9][0-9]{2}|1000)%$")
);

#[cfg(test)]
mod tests {
    use super::LoadBound;

    #[test]
    fn bounds_are_read_or_refused_with_the_mend() {
        for percent in [110, 125, 999, 1000] {
            let text = format!("{percent}%");
            assert_eq!(text.parse::<LoadBound>().map(LoadBound::percent), Ok(percent));
            assert_eq!(text.parse::<LoadBound>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("125", "not a whole percentage"),
            ("1.25", "like `125%`"),
            ("112.5%", "not a whole percentage"),
            ("%", "not a whole percentage"),
            ("109%", "at least 110%"),
            ("0%", "at least 110%"),
            ("1001%", "at most 1000%"),
            ("99999999%", "at most 1000%"),
        ] {
            let error = text.parse::<LoadBound>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
