//! Figures as people read them.

/// A count with its thousands apart.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate per second.
pub fn rate(per_second: f64) -> String {
    if per_second == 0.0 {
        "0".to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// A short time, given in microseconds, with three digits that count.
pub fn latency(us: f64) -> String {
    let scaled = |value: f64, unit: &str| {
        let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.decimals$}{unit}")
    };
    if us < 999.5 {
        format!("{us:.0}µs")
    } else if us < 999_500.0 {
        scaled(us / 1e3, "ms")
    } else {
        scaled(us / 1e6, "s")
    }
}

/// A long time, given in milliseconds: its two largest units.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(at) = units.iter().position(|(size, _)| seconds >= *size) else { return "0s".to_owned() };
    let (size, unit) = units[at];
    let large = format!("{}{unit}", seconds / size);
    match units.get(at + 1) {
        Some((smaller, unit)) if seconds % size >= *smaller => {
            format!("{large} {}{unit}", seconds % size / smaller)
        }
        _ => large,
    }
}

#[cfg(test)]
mod tests {
    use super::{age, count, latency, rate};

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.25, 9.94, 10.0, 12_345.6].map(rate), ["0", "0.2", "9.9", "10", "12,346"]);
        assert_eq!(
            [0.0, 999.4, 999.6, 1_234.0, 45_678.0, 456_789.0, 999_600.0, 61_000_000.0].map(latency),
            ["0µs", "999µs", "1.00ms", "1.23ms", "45.7ms", "457ms", "1.00s", "61.0s"]
        );
        assert_eq!(
            [0, 59_999, 60_000, 3_661_000, 90_000_000, 172_800_000].map(age),
            ["0s", "59s", "1m", "1h 1m", "1d 1h", "2d"]
        );
    }
}
