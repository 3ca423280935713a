//! Dates and times of day as people write them: `2011-02-03`, `04:05:06.789`.
//!
//! Callers: [`literal`](crate::literal). Pure.

use std::fmt;

use crate::calendar::{civil, days_to};

/// The nanoseconds of a day: a time of day is below it.
pub(crate) const NANOS_PER_DAY: i64 = 24 * 3_600 * NANOS_PER_SECOND;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads `[-]YYYY-MM-DD` as days since 1970-01-01; the year may have up to seven digits.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut parts = rest.splitn(3, '-');
    let year = sign * digits(parts.next()?, 4..=7)?;
    let month = digits(parts.next()?, 2..=2)?;
    let day = digits(parts.next()?, 2..=2)?;
    let days = days_to(year, month, day);
    // A month or day that does not exist comes back as another one.
    let exists = (1..=12).contains(&month) && civil(days) == (year, month, day);
    if exists { i32::try_from(days).ok() } else { None }
}

/// Reads `HH:MM:SS[.f…]`, with up to nine digits of a fraction, as nanoseconds since midnight.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour = digits(parts.next()?, 1..=2)?;
    let minute = digits(parts.next()?, 1..=2)?;
    let last = parts.next()?;
    let (second, fraction) = match last.split_once('.') {
        Some((second, fraction)) => (second, Some(fraction)),
        None => (last, None),
    };
    let second = digits(second, 1..=2)?;
    let nanos = match fraction {
        Some(fraction) => {
            let scale = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
            digits(fraction, 1..=9)? * 10_i64.pow(scale)
        }
        None => 0,
    };
    let exists = hour < 24 && minute < 60 && second < 60;
    exists.then(|| ((hour * 60 + minute) * 60 + second) * NANOS_PER_SECOND + nanos)
}

/// Days since 1970-01-01 as `[-]YYYY-MM-DD`.
pub(crate) struct ShownDate(pub(crate) i32);

impl fmt::Display for ShownDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.into());
        let sign = if year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{month:02}-{day:02}", year.abs())
    }
}

/// Nanoseconds since midnight as `HH:MM:SS.fffffffff`.
pub(crate) struct ShownTime(pub(crate) i64);

impl fmt::Display for ShownTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / NANOS_PER_SECOND, self.0 % NANOS_PER_SECOND);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{nanos:09}")
    }
}

/// A number of so many digits.
fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_number = lengths.contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_read_from_the_first_day_to_the_last() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2024-02-29", 19_782),
            ("0000-01-01", -719_528),
            ("-0001-12-31", -719_529),
            ("10000-01-01", 2_932_897),
            ("-5877641-06-23", i32::MIN),
            ("5881580-07-11", i32::MAX),
        ] {
            assert_eq!(parse(text), Some(days), "{text}");
            assert_eq!(ShownDate(days).to_string(), text);
        }
    }

    #[test]
    fn texts_that_are_no_day_are_refused() {
        for text in [
            "",
            "-",
            "2011",
            "2011-02",
            "2011-2-3",
            "2023-02-29",
            "2011-13-01",
            "2011-00-01",
            "2011-01-00",
            "2011-01-01 ",
            "+2011-01-01",
            "5881580-07-12",
            "-5877641-06-22",
            "99999999-01-01",
            "2011-01-01-",
            "--2011-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_day_are_read() {
        for (text, nanos) in [
            ("00:00:00", 0),
            ("08:12:54", 29_574_000_000_000),
            ("8:12:54.1", 29_574_100_000_000),
            ("08:12:54.123456789", 29_574_123_456_789),
            ("23:59:59.999999999", NANOS_PER_DAY - 1),
        ] {
            assert_eq!(parse_time(text), Some(nanos), "{text}");
        }
        for text in [
            "",
            "08",
            "08:12",
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "00:00:00.",
            "00:00:00.1234567890",
            "00:00:00:00",
            "-1:00:00",
            "00:00:0x",
            "000:00:00",
            "00:00:1.2.3",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_days_and_times_are_read_back(days: i32, nanos in 0..NANOS_PER_DAY) {
            prop_assert_eq!(parse(&ShownDate(days).to_string()), Some(days));
            prop_assert_eq!(parse_time(&ShownTime(nanos).to_string()), Some(nanos));
        }
    }
}
