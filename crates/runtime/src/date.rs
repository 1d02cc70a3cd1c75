//! Wall-clock time as text.

use std::time::Duration;

/// A point in time taken apart, UTC.
struct Civil {
    year: i64,
    month: usize,
    day: u32,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// From the time since 1970. Days become dates by counting in eras of 400 years that begin in March.
    fn new(wall: Duration) -> Self {
        let seconds = wall.as_secs();
        let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as usize,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32,
            weekday: ((days + 4) % 7) as usize,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

/// The value of a `Date` field (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(wall: Duration) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = Civil::new(wall);
    let (weekday, month) = (DAYS[c.weekday], MONTHS[c.month - 1]);
    format!("{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", c.day, c.year, c.hour, c.minute, c.second)
}

/// RFC 3339 with milliseconds: `1994-11-06T08:49:37.000Z`.
pub fn rfc3339(wall: Duration) -> String {
    let c = Civil::new(wall);
    let millis = wall.subsec_millis();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// The time since 1970 of what [`rfc3339`] writes; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<Duration> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if text.len() != 24 || year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March, counted in eras of 400.
    let shifted_year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = shifted_year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (shifted_year / 400 * 146_097 + day_of_era).checked_sub(719_468)?;
    let seconds = ((days * 24 + number(11..13)?) * 60 + number(14..16)?) * 60 + number(17..19)?;
    let wall = Duration::from_secs(seconds) + Duration::from_millis(number(20..23)?);
    // Whatever is not as it should be comes out different.
    (rfc3339(wall) == text).then_some(wall)
}

#[cfg(test)]
mod tests {
    use super::{http_date, parse_rfc3339, rfc3339};
    use std::time::Duration;

    #[test]
    fn known_dates() {
        for (seconds, http, rfc) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000Z"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT", "2100-02-28T23:59:59.000Z"),
        ] {
            let wall = Duration::from_secs(seconds);
            assert_eq!((http_date(wall).as_str(), rfc3339(wall).as_str()), (http, rfc));
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        let mut wall = Duration::ZERO;
        while wall < Duration::from_secs(86_400 * 366 * 500) {
            assert_eq!(parse_rfc3339(&rfc3339(wall)), Some(wall), "{wall:?}");
            wall += Duration::from_millis(86_400_000 * 13 + 3_661_007);
        }
        for wrong in [
            "",
            "1994-11-06",
            "1994-02-30T08:49:37.000Z",
            "1994-11-06T24:49:37.000Z",
            "1994-11-06 08:49:37.000Z",
            "1994-11-06T08:49:37.000+",
            "1969-11-06T08:49:37.000Z",
            "1994-00-06T08:49:37.000Z",
            "\u{e4}994-11-06T08:49:37.00Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
