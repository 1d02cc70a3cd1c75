//! Times and durations: reading, writing, and their parts. Both are microseconds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const SECOND: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z, the range that CEL gives timestamps.
const FIRST: i64 = -62_135_596_800 * SECOND;
const LAST: i64 = 253_402_300_800 * SECOND - 1;

/// A part of a time or of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Year,
    Month,
    DayOfMonth,
    Date,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// Whether durations have it too.
    pub(crate) fn of_durations(self) -> bool {
        matches!(self, Self::Hours | Self::Minutes | Self::Seconds | Self::Milliseconds)
    }
}

/// The time, if it is in range.
pub(crate) fn in_range(time: i64) -> Option<i64> {
    (FIRST..=LAST).contains(&time).then_some(time)
}

/// Reads a time of RFC 3339, exact to the microsecond.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    if nanoseconds % 1000 != 0 {
        return None;
    }
    i64::try_from(nanoseconds / 1000).ok().and_then(in_range)
}

/// Reads `1h30m`, `1.5s`, `-200ms`: units h, m, s, ms, us.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit = match unit {
            "h" => 3600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => 1000,
            "us" => 1,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        rest = behind;
    }
    Some(if negative { -total } else { total })
}

/// A decimal number times the unit, if it comes out even.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.trim_end_matches('0');
    let mut total = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 18)?)?;
        let part = i128::from(fraction.parse::<u64>().ok()?) * i128::from(unit);
        if part % scale != 0 {
            return None;
        }
        total = total.checked_add(i64::try_from(part / scale).ok()?)?;
    }
    Some(total)
}

/// Reads an offset of a zone, in seconds: `UTC`, `Z`, `+02:00`, `-05:30`.
pub(crate) fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "UTC" | "Z" | "GMT") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|&number| plain && number <= most)
    };
    Some(sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60))
}

/// A part of a time in a zone that is this many seconds ahead of UTC. Months and days count from 0, as in CEL,
/// but for `Date`. `None` if the time is out of range.
pub(crate) fn part_of_time(time: i64, offset: i64, part: Part) -> Option<i64> {
    let there = in_range(time.checked_add(offset * SECOND)?)?;
    let date = OffsetDateTime::from_unix_timestamp(there.div_euclid(SECOND)).ok()?;
    Some(match part {
        Part::Year => date.year().into(),
        Part::Month => i64::from(u8::from(date.month())) - 1,
        Part::DayOfMonth => i64::from(date.day()) - 1,
        Part::Date => date.day().into(),
        Part::DayOfWeek => date.weekday().number_days_from_sunday().into(),
        Part::DayOfYear => i64::from(date.ordinal()) - 1,
        Part::Hours => date.hour().into(),
        Part::Minutes => date.minute().into(),
        Part::Seconds => date.second().into(),
        Part::Milliseconds => there.rem_euclid(SECOND) / 1000,
    })
}

/// A duration in whole hours, minutes or seconds; its milliseconds within the second.
pub(crate) fn part_of_duration(duration: i64, part: Part) -> i64 {
    match part {
        Part::Hours => duration / (3600 * SECOND),
        Part::Minutes => duration / (60 * SECOND),
        Part::Milliseconds => duration % SECOND / 1000,
        _ => duration / SECOND,
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(time: i64) -> i64 {
    time.div_euclid(SECOND)
}

/// As RFC 3339 writes it, in UTC. `None` if it is out of range.
pub(crate) fn write_time(time: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * 1000).ok()?.format(&Rfc3339).ok()
}

/// In seconds: `90s`, `-1.5s`.
pub(crate) fn write_duration(duration: i64) -> String {
    let sign = if duration < 0 { "-" } else { "" };
    let (whole, part) = (duration.unsigned_abs() / SECOND as u64, duration.unsigned_abs() % SECOND as u64);
    match part {
        0 => format!("{sign}{whole}s"),
        part => format!("{sign}{whole}.{}s", format!("{part:06}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, parse_duration, parse_offset, parse_time, part_of_time, write_duration, write_time};

    #[test]
    fn times_are_read_and_written() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T12:30:00.25Z", Some(1_795_350_600_250_000)),
            ("2026-11-22T14:30:00+02:00", Some(1_795_350_600_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000)),
            ("2026-11-22T12:30:00.0000001Z", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-11-22", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), wanted, "{text}");
        }
        assert_eq!(write_time(1_795_350_600_250_000).unwrap(), "2026-11-22T12:30:00.25Z");
        assert_eq!(write_time(i64::MAX), None);
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, wanted) in [
            ("1h30m", Some(5_400_000_000)),
            ("-1.5s", Some(-1_500_000)),
            ("200ms", Some(200_000)),
            (".5s", Some(500_000)),
            ("1us", Some(1)),
            ("0", Some(0)),
            ("0.1us", None),
            ("1", None),
            ("", None),
            ("-", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("s", None),
            ("9223372036854775807h", None),
            ("1\u{e4}", None),
        ] {
            assert_eq!(parse_duration(text), wanted, "{text}");
        }
        for (duration, text) in [(90_000_000, "90s"), (-1_500_000, "-1.5s"), (1, "0.000001s")] {
            assert_eq!(write_duration(duration), text);
        }
        assert!(write_duration(i64::MIN).starts_with("-9223372036854"));
    }

    #[test]
    fn parts_are_those_of_the_zone() {
        let time = parse_time("2026-11-22T23:30:05.678Z").unwrap();
        for (part, utc, ahead) in [
            (Part::Year, 2026, 2026),
            (Part::Month, 10, 10),
            (Part::Date, 22, 23),
            (Part::DayOfMonth, 21, 22),
            (Part::DayOfWeek, 0, 1),
            (Part::DayOfYear, 325, 326),
            (Part::Hours, 23, 1),
            (Part::Minutes, 30, 0),
            (Part::Seconds, 5, 5),
            (Part::Milliseconds, 678, 678),
        ] {
            assert_eq!(part_of_time(time, 0, part), Some(utc), "{part:?}");
            assert_eq!(part_of_time(time, 5400, part), Some(ahead), "{part:?}");
        }
        assert_eq!(part_of_time(i64::MAX, 0, Part::Year), None);
        for (text, wanted) in [
            ("+02:00", Some(7200)),
            ("-05:30", Some(-19800)),
            ("UTC", Some(0)),
            ("Europe/Berlin", None),
            ("+2:00", None),
            ("+24:00", None),
            ("", None),
            ("\u{e4}", None),
        ] {
            assert_eq!(parse_offset(text), wanted, "{text}");
        }
    }
}
