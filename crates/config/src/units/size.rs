//! Sizes: `64KiB`, `10MiB`, or a plain number of bytes.

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

use crate::setting::{Decoder, Setting, ValueError, decode_text};
use crate::shape::{Shape, Text};
use crate::tree::Node;

const UNITS: [(&str, u32); 5] = [("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// A number of bytes from `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size<const MIN: u64 = 0, const MAX: u64 = { u64::MAX }>(u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    /// A number of KiB (1024 bytes).
    pub(crate) const fn kib(kib: u64) -> Self {
        assert!(kib << 10 >= MIN && kib << 10 <= MAX);
        Self(kib << 10)
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Size<MIN, MAX> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = if unit.is_empty() { "B" } else { unit };
        let Some((_, shift)) = UNITS.iter().find(|(name, _)| *name == unit).filter(|_| !number.is_empty())
        else {
            return Err(ValueError::mend(format!("`{text}` is not a size"), unit_mend(number, unit)));
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        match bytes {
            Some(bytes) if bytes < MIN => {
                Err(ValueError::new(format!("`{text}` is too small: at least {}", Size::<0>(MIN))))
            }
            Some(bytes) if bytes <= MAX => Ok(Self(bytes)),
            _ => Err(ValueError::new(format!("`{text}` is too large: at most {}", Size::<0>(MAX)))),
        }
    }
}

fn unit_mend(number: &str, unit: &str) -> String {
    let near = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "ki" | "kib" => "KiB",
        "m" | "mb" | "mi" | "mib" => "MiB",
        "g" | "gb" | "gi" | "gib" => "GiB",
        "t" | "tb" | "ti" | "tib" => "TiB",
        _ => "",
    };
    if near.is_empty() || number.is_empty() {
        return "write a whole number of bytes, or with a unit: `64KiB`, `10MiB`, `1GiB`".to_owned();
    }
    format!("write `{number}{near}` (units are powers of 1024)")
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Size<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(&str, u32)| self.0 != 0 && self.0.is_multiple_of(1 << shift);
        let (unit, shift) = UNITS.iter().rev().find(fits).unwrap_or(&("B", 0));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Debug for Size<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const MIN: u64, const MAX: u64> Setting for Size<MIN, MAX> {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        decode_text(node, decoder, "a size")
    }
    fn shape() -> Shape {
        let pattern = Some(r"^[0-9]+(B|KiB|MiB|GiB|TiB)?$");
        Shape::Text(Text { word: "size", pattern, or_number: true })
    }
    fn encode(&self) -> Json {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Size;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_or_refused_with_the_mend() {
        for (text, bytes) in [("0", 0), ("100", 100), ("1B", 1), ("64KiB", 65536), ("10MiB", 10 << 20)] {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
        for (text, part) in [
            ("10MB", "write `10MiB`"),
            ("10k", "write `10KiB`"),
            ("10 MiB", "write `10MiB`"),
            ("1.5GiB", "whole number"),
            ("KiB", "whole number"),
            ("", "whole number"),
            ("99999999999TiB", "too large"),
        ] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        assert!("1KiB".parse::<Size<2048, 4096>>().unwrap_err().message.contains("at least 2KiB"));
        assert!("5KiB".parse::<Size<2048, 4096>>().unwrap_err().message.contains("at most 4KiB"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in any::<u64>()) {
            let size = Size::<0>(bytes);
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
    }
}
