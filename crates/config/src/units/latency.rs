//! Short times: `250us`, `1.5ms`, `2s`.

use std::fmt;
use std::str::FromStr;

use crate::setting::{ValueError, text_setting};
use crate::shape::Shape;

const UNITS: [(&str, u64); 4] = [("us", 1), ("ms", 1000), ("s", 1_000_000), ("m", 60_000_000)];

/// The longest one, an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// A time of whole microseconds, from one of them to an hour: how long a modelled endpoint works.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortTime(u64);

impl ShortTime {
    /// In microseconds.
    pub fn micros(self) -> u64 {
        self.0
    }
}

impl FromStr for ShortTime {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            let message = format!("`{text}` is not a time");
            ValueError::mend(message, "write a number and a unit: `250us`, `1.5ms`, `2s`")
        };
        let digits = text.bytes().position(|byte| byte.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 6 {
            return Err(wrong());
        }
        let millionths: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
        let micros = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(*factor));
        let micros = micros.map(|micros| micros.saturating_add(millionths * factor / 1_000_000));
        match micros {
            Some(0) => Err(ValueError::new(format!("`{text}` is too short: at least 1us"))),
            Some(micros) if micros <= LONGEST => Ok(Self(micros)),
            _ => Err(ValueError::new(format!("`{text}` is longer than an hour"))),
        }
    }
}

impl fmt::Display for ShortTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().rev().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = fits.unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Debug for ShortTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_setting!(ShortTime, "a time", Shape::text("time"));

#[cfg(test)]
mod tests {
    use super::ShortTime;

    #[test]
    fn times_are_read_to_the_microsecond() {
        for (text, micros, shown) in [
            ("250us", 250, "250us"),
            ("1.5ms", 1500, "1500us"),
            ("0.001ms", 1, "1us"),
            ("2s", 2_000_000, "2s"),
            ("60s", 60_000_000, "1m"),
        ] {
            let time: ShortTime = text.parse().unwrap();
            assert_eq!((time.micros(), time.to_string().as_str()), (micros, shown), "{text}");
        }
        for text in
            ["", "5", "ms", "0us", "0.5us", "1..5ms", "-1ms", "1,5ms", "2h", "61m", "99999999999999999999s"]
        {
            assert!(text.parse::<ShortTime>().is_err(), "{text}");
        }
    }
}
