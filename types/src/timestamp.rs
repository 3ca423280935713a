//! Timestamps as people write them: `2011-02-03 04:05:06.789+0100`.
//!
//! The clock knows no leap seconds, and a text without a zone is in UTC. Callers: [`literal`](crate::literal).

use std::fmt;

use crate::calendar::{civil, days_to};

const MS_PER_SECOND: i64 = 1_000;
const MS_PER_MINUTE: i64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// Reads `YYYY-MM-DD[( |T)HH:MM[:SS[.f…]]][[ ]zone]` as milliseconds since 1970-01-01T00:00:00Z.
///
/// The zone is `Z`, `UTC`, `GMT`, `±HH`, `±HHMM` or `±HH:MM`; a fraction has up to nine digits, of
/// which three count.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut reader = Reader(text.as_bytes());
    let mut ms = reader.date()?.checked_mul(MS_PER_DAY)?;
    if reader.takes(b'T') || reader.begins_time() {
        ms += reader.time()?;
    }
    ms -= reader.zone()?;
    reader.0.is_empty().then_some(ms)
}

/// A timestamp as `YYYY-MM-DD HH:MM:SS.fff+0000`, in UTC.
pub(crate) struct Shown(i64);

impl Shown {
    /// `None` outside the years 0000 to 9999, which four digits can write.
    pub(crate) fn new(ms: i64) -> Option<Self> {
        let (year, ..) = civil(ms.div_euclid(MS_PER_DAY));
        (0..=9_999).contains(&year).then_some(Self(ms))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(MS_PER_DAY));
        let ms = self.0.rem_euclid(MS_PER_DAY);
        let (hour, minute) = (ms / MS_PER_HOUR, ms / MS_PER_MINUTE % 60);
        let (second, ms) = (ms / MS_PER_SECOND % 60, ms % MS_PER_SECOND);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}+0000")
    }
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// A day that exists, as days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let month = self.after(b'-')?;
        let day = self.after(b'-')?;
        let days = days_to(year, month, day);
        // A month or day that does not exist comes back as another one.
        ((1..=12).contains(&month) && civil(days) == (year, month, day)).then_some(days)
    }

    /// Whether a space and a digit come next; takes the space.
    fn begins_time(&mut self) -> bool {
        matches!(self.0, [b' ', b'0'..=b'9', ..]) && self.takes(b' ')
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        let minute = self.after(b':')?;
        let second = if self.takes(b':') { self.digits(2)? } else { 0 };
        let ms = if self.takes(b'.') { self.fraction()? } else { 0 };
        let exists = hour < 24 && minute < 60 && second < 60;
        exists.then_some(hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + ms)
    }

    /// The milliseconds of up to nine digits after a point.
    fn fraction(&mut self) -> Option<i64> {
        let len = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let nanos = (1..=9).contains(&len).then(|| self.digits(len))??;
        Some(nanos * 10_i64.pow(9 - u32::try_from(len).ok()?) / 1_000_000)
    }

    /// How far the zone is ahead of UTC, in milliseconds.
    fn zone(&mut self) -> Option<i64> {
        let has_space = self.takes(b' ');
        if self.0.is_empty() {
            return (!has_space).then_some(0);
        }
        for name in ["Z", "UTC", "GMT"] {
            if self.0.eq_ignore_ascii_case(name.as_bytes()) {
                self.0 = &[];
                return Some(0);
            }
        }
        let sign = if self.takes(b'-') { -1 } else { i64::from(self.takes(b'+')) };
        let hours = self.digits(2)?;
        let minutes = if self.0.is_empty() {
            0
        } else {
            self.takes(b':');
            self.digits(2)?
        };
        let exists = sign != 0 && hours < 24 && minutes < 60;
        exists.then_some(sign * (hours * MS_PER_HOUR + minutes * MS_PER_MINUTE))
    }

    /// Two digits after `sign`.
    fn after(&mut self, sign: u8) -> Option<i64> {
        if self.takes(sign) { self.digits(2) } else { None }
    }

    fn digits(&mut self, len: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    }

    fn takes(&mut self, sign: u8) -> bool {
        let Some(rest) = self.0.strip_prefix(&[sign]) else { return false };
        self.0 = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_cassandra_is_read() {
        let day = 1_296_691_200_000; // 2011-02-03T00:00:00Z
        let time = 4 * MS_PER_HOUR + 5 * MS_PER_MINUTE;
        for (text, ms) in [
            ("2011-02-03", day),
            ("2011-02-03Z", day),
            ("2011-02-03+0000", day),
            ("2011-02-03 04:05", day + time),
            ("2011-02-03T04:05", day + time),
            ("2011-02-03 04:05:06", day + time + 6_000),
            ("2011-02-03T04:05:06Z", day + time + 6_000),
            ("2011-02-03 04:05:06 UTC", day + time + 6_000),
            ("2011-02-03 04:05:06.7", day + time + 6_700),
            ("2011-02-03 04:05:06.789", day + time + 6_789),
            ("2011-02-03 04:05:06.789999999", day + time + 6_789),
            ("2011-02-03 04:05+01", day + time - MS_PER_HOUR),
            ("2011-02-03 04:05-0130", day + time + 90 * MS_PER_MINUTE),
            ("2011-02-03 04:05 +01:30", day + time - 90 * MS_PER_MINUTE),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0000-01-01", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_moment_are_refused() {
        for text in [
            "",
            "2011",
            "2011-2-3",
            "2011-02-30",
            "2011-13-01",
            "2011-00-01",
            "2011-01-00",
            "2011-02-03 ",
            "2011-02-03T",
            "2011-02-03 24:00",
            "2011-02-03 04:60",
            "2011-02-03 04",
            "2011-02-03 04:05:60",
            "2011-02-03 04:05.",
            "2011-02-03 04:05:06.1234567890",
            "2011-02-03 04:05 01:00",
            "2011-02-03 04:05+1",
            "2011-02-03 04:05+01:",
            "now",
            "2011-02-03 04:05 CET",
            "12011-02-03",
            "2011-02-03 04:05+01000",
            "1900-02-29",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_outside_four_digits_are_not_shown_as_dates() {
        for ms in [i64::MIN, -62_167_219_200_001, 253_402_300_800_000, i64::MAX] {
            assert!(Shown::new(ms).is_none(), "{ms}");
        }
    }

    proptest! {
        #[test]
        fn shown_moments_are_read_back(ms in -62_167_219_200_000..253_402_300_800_000_i64) {
            prop_assert_eq!(parse(&Shown::new(ms).unwrap().to_string()), Some(ms));
        }

        #[test]
        fn no_text_is_too_strange(text in "[0-9TZ:. +-]{0,40}") {
            parse(&text);
        }
    }
}
