//! Factors: `2`, `1.9`, `0.125`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// The largest one, in thousandths.
const MOST: u32 = 1_000_000;

/// A number from 0 to 1000, exact to a thousandth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(u32);

impl Factor {
    /// So many thousandths.
    pub(crate) const fn thousandths(thousandths: u32) -> Self {
        assert!(thousandths <= MOST);
        Self(thousandths)
    }

    /// In thousandths.
    pub fn as_thousandths(self) -> u32 {
        self.0
    }
}

impl FromStr for Factor {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::mend(format!("`{text}` is not a number"), "write it like `2` or `1.9`");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        if part.len() > 3 {
            return Err(ValueError::new(format!("`{text}` has more than three digits after the point")));
        }
        let part: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        let thousandths =
            whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(1000)?.checked_add(part));
        match thousandths.filter(|thousandths| *thousandths <= MOST) {
            Some(thousandths) => Ok(Self(thousandths)),
            None => Err(ValueError::new(format!("`{text}` is more than {}", MOST / 1000))),
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:03}", self.0 % 1000);
        match part.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / 1000),
            part => write!(f, "{}.{part}", self.0 / 1000),
        }
    }
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(Factor, "a number", Shape::text("number"));

#[cfg(test)]
mod tests {
    use super::Factor;

    #[test]
    fn factors_are_read_or_refused_with_the_mend() {
        for (text, thousandths) in [("0", 0), ("2", 2000), ("1.9", 1900), ("0.125", 125), ("1000", 1_000_000)]
        {
            assert_eq!(text.parse::<Factor>().map(Factor::as_thousandths), Ok(thousandths), "{text}");
        }
        for (text, part) in [
            ("", "like `2`"),
            ("-1", "like `2`"),
            (".5", "like `2`"),
            ("1.", "like `2`"),
            ("1,9", "like `2`"),
            ("1.9999", "three digits"),
            ("1000.001", "more than 1000"),
            ("99999999999", "more than 1000"),
        ] {
            let error = text.parse::<Factor>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for thousandths in (0..=1_000_000).step_by(7) {
            assert_eq!(Factor(thousandths).to_string().parse(), Ok(Factor(thousandths)));
        }
    }
}
