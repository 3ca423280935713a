//! A row of a last-write-wins table, each of whose writes has a time of its own.
//!
//! ```text
//! found: the promised write with the greatest time, or a later one     ok
//! anything else                                                        stale or lost
//! ```
//!
//! So a promised write may be missing only where a stored, later-stamped one explains it. Where
//! reads are monotonic, what one has shown is promised to all later ones. Pure.

use std::collections::BTreeMap;

use super::{Fate, Wrong};

/// The writes of one row, by their time; none is a removal.
#[derive(Debug, Default, Clone)]
pub struct LatestRow {
    writes: BTreeMap<i64, (Option<String>, Fate)>,
    /// No later read may show anything older.
    shown: Option<i64>,
}

impl LatestRow {
    /// Notes that a write begins; false where another one has its time.
    pub fn begin(&mut self, time: i64, value: Option<String>) -> bool {
        let is_new = !self.writes.contains_key(&time);
        self.writes.entry(time).or_insert((value, Fate::Open));
        is_new
    }

    /// Notes how a write ended.
    pub fn end(&mut self, time: i64, fate: Fate) {
        self.writes.get_mut(&time).expect("it has begun").1 = fate;
    }

    /// The write that a read which begins now has to account for, by its time.
    pub fn owed(&self) -> Option<i64> {
        let acknowledged = |(_, fate): &(Option<String>, Fate)| *fate == Fate::Acknowledged;
        let latest = self.writes.iter().rfind(|(_, write)| acknowledged(write));
        latest.map(|(time, _)| *time).max(self.shown)
    }

    /// What is wrong with a read that has found this.
    pub fn check(&self, owed: Option<i64>, found: Option<&str>) -> Option<Wrong> {
        self.examine(owed, found, Wrong::Stale)
    }

    /// What is wrong with what is found in all replicas when everything is whole again.
    pub fn check_settled(&self, found: Option<&str>) -> Option<Wrong> {
        self.examine(self.owed(), found, Wrong::Lost)
    }

    /// Takes what a read has found as promised to all that begin later.
    pub fn remember(&mut self, owed: Option<i64>, found: Option<&str>) {
        self.shown = self.shown.max(self.explanation(owed, found));
    }

    fn examine(
        &self,
        owed: Option<i64>,
        found: Option<&str>,
        missing: fn(String) -> Wrong,
    ) -> Option<Wrong> {
        if (owed.is_none() && found.is_none()) || self.explanation(owed, found).is_some() {
            return None;
        }
        let was_written = |(value, fate): &(Option<String>, Fate)| {
            value.as_deref() == found && *fate != Fate::Refused
        };
        let told = format!("{:?} at {owed:?}, for {found:?}", owed.map(|time| self.value(time)));
        Some(match found {
            Some(found) if !self.writes.values().any(was_written) => {
                Wrong::Phantom(found.to_owned())
            }
            _ => missing(told),
        })
    }

    /// The oldest write since the owed one that shows itself as what was found.
    fn explanation(&self, owed: Option<i64>, found: Option<&str>) -> Option<i64> {
        let explains = |(_, (value, fate)): &(&i64, &(Option<String>, Fate))| {
            value.as_deref() == found && *fate != Fate::Refused
        };
        let since = self.writes.range(owed.unwrap_or(i64::MIN)..);
        since.into_iter().find(explains).map(|(time, _)| *time)
    }

    fn value(&self, time: i64) -> Option<&str> {
        self.writes.get(&time).and_then(|(value, _)| value.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Acknowledged, Open, Refused};

    fn row(writes: &[(i64, Option<&str>, Fate)]) -> LatestRow {
        let mut row = LatestRow::default();
        for (time, value, fate) in writes {
            assert!(row.begin(*time, value.map(str::to_owned)));
            row.end(*time, *fate);
        }
        row
    }

    fn is_right(writes: &[(i64, Option<&str>, Fate)], found: Option<&str>) -> bool {
        row(writes).check_settled(found).is_none()
    }

    #[test]
    fn the_latest_promised_write_or_a_later_one_is_read() {
        let writes = [
            (1, Some("old"), Acknowledged),
            (2, Some("new"), Acknowledged),
            (3, Some("open"), Open),
            (4, Some("refused"), Refused),
        ];
        assert!(is_right(&writes, Some("new")) && is_right(&writes, Some("open")));
        for wrong in [Some("old"), Some("refused"), Some("nobody's"), None] {
            assert!(!is_right(&writes, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_is_read_where_nothing_was_promised_or_it_was_removed() {
        assert!(is_right(&[], None) && !is_right(&[], Some("x")));
        assert!(is_right(&[(1, Some("open"), Open)], None));
        let removed = [(1, Some("old"), Acknowledged), (2, None, Acknowledged)];
        assert!(is_right(&removed, None) && !is_right(&removed, Some("old")));
        let refused = [(1, Some("old"), Acknowledged), (2, None, Refused)];
        assert!(!is_right(&refused, None) && is_right(&refused, Some("old")));
    }

    #[test]
    fn a_missing_write_is_told_from_one_that_nobody_wrote() {
        let row = row(&[(1, Some("a"), Acknowledged), (2, Some("b"), Acknowledged)]);
        assert!(matches!(row.check_settled(Some("a")), Some(Wrong::Lost(_))));
        assert!(matches!(row.check(row.owed(), Some("a")), Some(Wrong::Stale(_))));
        assert_eq!(row.check(None, Some("a")), None);
        assert!(matches!(row.check(None, Some("x")), Some(Wrong::Phantom(_))));
    }

    #[test]
    fn what_a_monotonic_read_has_shown_is_promised() {
        let mut row = row(&[(1, Some("a"), Acknowledged), (2, None, Open), (3, Some("c"), Open)]);
        row.remember(row.owed(), None);
        assert_eq!(row.owed(), Some(2));
        assert!(row.check(row.owed(), Some("a")).is_some());
        assert!(row.check(row.owed(), Some("c")).is_none());
    }
}
