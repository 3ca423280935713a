//! Days and the names that people have for them.
//!
//! The calendar is the proleptic Gregorian one, with a year 0 and negative years before it.
//! Callers: [`timestamp`](crate::timestamp), [`date`](crate::date). Pure.

/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const MARCH_0_TO_EPOCH: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

/// The day `day` days after 1970-01-01 as year, month and day of the month.
pub(crate) fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + MARCH_0_TO_EPOCH;
    let (era, day) = (day.div_euclid(ERA), day.rem_euclid(ERA));
    // Leap days before `day` within the era: one in 1461 days, but none in 36524, but one in 146096.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - days_before_march(year);
    // Months from March on have 31 30 31 30 31 days, twice, and the rest.
    let month = (5 * day + 2) / 153;
    let day = day - days_before_month(month) + 1;
    let year = era * 400 + year + i64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

/// The number of days from 1970-01-01 to a day that exists.
pub(crate) fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * ERA + days_before_march(year) + days_before_month(month) + day - 1 - MARCH_0_TO_EPOCH
}

/// Days of an era before its `year`-th 1st of March.
fn days_before_march(year: i64) -> i64 {
    365 * year + year / 4 - year / 100
}

/// Days from the 1st of March to the first day of the `month`-th month after it.
fn days_before_month(month: i64) -> i64 {
    (153 * month + 2) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_last() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut number = days_to(0, 1, 1);
        for year in 0..10_000 {
            for month in 1..=12 {
                let days = match month {
                    2 => 28 + i64::from(is_leap(year)),
                    4 | 6 | 9 | 11 => 30,
                    _ => 31,
                };
                for day in 1..=days {
                    assert_eq!(days_to(year, month, day), number);
                    assert_eq!(civil(number), (year, month, day));
                    number += 1;
                }
            }
        }
        assert_eq!(days_to(1970, 1, 1), 0);
    }
}
