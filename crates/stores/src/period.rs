//! Days and months of quotas, in UTC.

/// How long a quota runs before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight (UTC).
    Day,
    /// From the first of a month to the first of the next (UTC).
    Month,
}

const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;

impl Period {
    /// When the period that `wall_s` (seconds since 1970, UTC) is in began, and when the next begins.
    pub fn bounds_s(self, wall_s: u64) -> (u64, u64) {
        let day = wall_s / DAY_S;
        match self {
            Self::Hour => (wall_s / HOUR_S * HOUR_S, (wall_s / HOUR_S + 1) * HOUR_S),
            Self::Day => (day * DAY_S, (day + 1) * DAY_S),
            Self::Month => {
                let (year, month) = year_and_month(day);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                (first_day(year, month) * DAY_S, first_day(next.0, next.1) * DAY_S)
            }
        }
    }
}

/// The days from 1970 to the first of a month, which is not before. Counts years from March, so that the day that
/// comes and goes is the last.
fn first_day(year: u64, month: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // From 0000-03-01 to 1970-01-01 there are 719,468 days.
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 - 719_468
}

fn year_and_month(day: u64) -> (u64, u64) {
    // Months are at most 31 days and years at most 366, so the guess is never too late.
    let mut year = 1970 + day / 366;
    while first_day(year + 1, 1) <= day {
        year += 1;
    }
    let mut month = 1 + (day - first_day(year, 1)) / 31;
    if month < 12 && first_day(year, month + 1) <= day {
        month += 1;
    }
    (year, month)
}

#[cfg(test)]
mod tests {
    use super::{DAY_S, Period};

    #[test]
    fn known_moments() {
        assert_eq!(Period::Day.bounds_s(0), (0, DAY_S));
        assert_eq!(Period::Hour.bounds_s(1_795_350_602), (1_795_348_800, 1_795_352_400));
        // 2026-11-22T12:30:02Z.
        assert_eq!(Period::Day.bounds_s(1_795_350_602), (1_795_305_600, 1_795_392_000));
        assert_eq!(Period::Month.bounds_s(1_795_350_602), (1_793_491_200, 1_796_083_200));
        // A leap day, and the last second of a year.
        assert_eq!(Period::Month.bounds_s(1_709_164_800), (1_706_745_600, 1_709_251_200));
        assert_eq!(Period::Month.bounds_s(1_735_689_599), (1_733_011_200, 1_735_689_600));
    }

    /// Day by day over 800 years: months follow each other without a gap, and are as long as they have to be.
    #[test]
    fn months_follow_each_other() {
        let (mut year, mut month, mut start) = (1970u64, 1usize, 0);
        while year < 2770 {
            let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
            let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            let end = start + days * DAY_S;
            for day in 0..days {
                let moment = start + day * DAY_S + day;
                assert_eq!(Period::Month.bounds_s(moment), (start, end), "{year}-{month}, day {day}");
            }
            assert_eq!(Period::Month.bounds_s(end - 1), (start, end), "{year}-{month}");
            start = end;
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
    }
}
