//! Percentages: `20%`, `0.5%`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

/// A share from 0 % to 100 %, exact to a hundredth of a percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    /// A whole number of percent.
    pub(crate) const fn whole(percent: u16) -> Self {
        assert!(percent <= 100);
        Self(percent * 100)
    }

    /// In hundredths of a percent: 10,000 is all.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// As a fraction from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |mend: String| Err(ValueError::mend(format!("`{text}` is not a percentage"), mend));
        let Some(number) = text.strip_suffix('%') else {
            return wrong(match text.parse::<f64>() {
                Ok(share) if (0.0..1.0).contains(&share) && share > 0.0 => {
                    format!("write `{}%`", (share * 10_000.0).round() / 100.0)
                }
                Ok(_) => format!("write `{text}%`"),
                Err(_) => "write it like `20%`".to_owned(),
            });
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return wrong("write it like `20%` or `0.25%`".to_owned());
        }
        let hundredths: u32 = format!("{part:0<2}").parse().unwrap_or(0);
        let points =
            whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(100)?.checked_add(hundredths));
        match points.and_then(|points| u16::try_from(points).ok()) {
            Some(points) if points <= 10_000 => Ok(Self(points)),
            _ => Err(ValueError::new(format!("`{text}` is more than 100%"))),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(
    Percent,
    "a percentage",
    Shape::pattern("percentage", r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$")
);

#[cfg(test)]
mod tests {
    use super::Percent;

    #[test]
    fn percentages_are_read_or_refused_with_the_mend() {
        for (text, points) in [("0%", 0), ("20%", 2000), ("0.5%", 50), ("0.05%", 5), ("100%", 10_000)] {
            assert_eq!(text.parse::<Percent>().map(Percent::basis_points), Ok(points), "{text}");
        }
        for (text, part) in [
            ("20", "write `20%`"),
            ("0.2", "write `20%`"),
            ("101%", "more than 100%"),
            ("100.01%", "more than 100%"),
            ("99999999999%", "more than 100%"),
            ("-1%", "like `20%`"),
            ("%", "like `20%`"),
            ("0.123%", "like `20%`"),
            ("half", "like `20%`"),
        ] {
            let error = text.parse::<Percent>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for points in 0..=10_000 {
            assert_eq!(Percent(points).to_string().parse(), Ok(Percent(points)));
        }
    }
}
