//! Numbers that something is multiplied by or raised to: `1.5`, `140%`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::{Shape, Text};

/// A number from 0.1 to 10, exact to a hundredth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exponent(u16);

impl Exponent {
    /// 1, which changes nothing.
    pub(crate) const ONE: Self = Self(100);

    /// The number.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl FromStr for Exponent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let right = digits(whole) && digits(part) && whole.len() <= 2 && part.len() <= 2;
        let hundredths = format!("{whole}{part:0<2}").parse::<u16>().ok().filter(|_| right);
        match hundredths.filter(|number| (10..=1000).contains(number)) {
            Some(number) => Ok(Self(number)),
            None => {
                let message = format!("`{text}` is not a number from 0.1 to 10");
                Err(ValueError::mend(message, "write it like `1.5`, with at most two digits after the point"))
            }
        }
    }
}

impl fmt::Display for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

text_setting!(
    Exponent,
    "a number from 0.1 to 10",
    Shape::Text(Text {
        word: "number from 0.1 to 10",
        pattern: Some(r"^[0-9]{1,2}(\.[0-9]{1,2})?$"),
        or_number: true
    })
);

/// More than all: a whole percentage from 100 % to 1000 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Surplus(u16);

impl Surplus {
    /// A percentage of the code's own choosing.
    pub(crate) const fn of(percent: u16) -> Self {
        assert!(percent >= 100 && percent <= 1000);
        Self(percent)
    }

    /// In percent.
    pub fn percent(self) -> u32 {
        u32::from(self.0)
    }
}

impl FromStr for Surplus {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.strip_suffix('%').filter(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
        match number.and_then(|number| number.parse().ok()).filter(|n| (100..=1000).contains(n)) {
            Some(percent) => Ok(Self(percent)),
            None => {
                let message = format!("`{text}` is not a percentage from 100% to 1000%");
                Err(ValueError::mend(message, "write it like `140%`"))
            }
        }
    }
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text_setting!(
    Surplus,
    "a percentage from 100% to 1000%",
    Shape::pattern("percentage from 100%", r"^(1000|[1-9][0-9]{2})%$")
);

#[cfg(test)]
mod tests {
    use super::{Exponent, Surplus};

    #[test]
    fn factors_are_read_or_refused() {
        let told = |text: &str| text.parse::<Exponent>().ok().map(|number| number.to_string());
        assert_eq!(
            ["1", "1.5", "0.1", "10", "2.25", "01.0"].map(|text| told(text).unwrap()),
            ["1.0", "1.5", "0.1", "10.0", "2.25", "1.0"]
        );
        for wrong in ["", ".", "0", "0.09", "10.01", "1.", ".5", "1e1", "-1", "1.555", "111", "é"] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
        assert!((Exponent::ONE.get() - 1.0).abs() < f64::EPSILON);
        assert_eq!("140%".parse::<Surplus>().map(Surplus::percent), Ok(140));
        for wrong in ["", "%", "99%", "1001%", "140", "1.4", "+140%", "99999999999%"] {
            assert!(wrong.parse::<Surplus>().is_err(), "{wrong}");
        }
    }
}
