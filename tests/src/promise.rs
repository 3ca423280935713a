//! What clients were promised of each row, and the check that it was kept.
//!
//! In a siblings table each write has a name of its own and knows the names that its context covers.
//! Of a read at QUORUM, of what was acknowledged before it began:
//!
//! ```text
//! found or covered by what was found or removed      ok
//! neither                                            lost
//! found, although an acknowledged write covers it    risen again
//! found, and nobody wrote it, or it was refused      phantom
//! found twice                                        twin
//! ```
//!
//! In a last-write-wins table each write has a time of its own, and a read shows the acknowledged
//! write with the greatest, or a later one. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The client waits, or will never know.
    Open,
    /// The client was promised it.
    Acknowledged,
    /// The client was told that nothing was done.
    Refused,
}

/// The writes of one row of a siblings table, by name.
#[derive(Debug, Default, Clone)]
pub struct SiblingRow(BTreeMap<String, SiblingWrite>);

#[derive(Debug, Clone)]
struct SiblingWrite {
    covers: BTreeSet<String>,
    is_removal: bool,
    fate: Fate,
}

impl SiblingRow {
    /// Notes that a write begins whose context covers these others.
    pub fn begin(&mut self, name: &str, covers: BTreeSet<String>, is_removal: bool) {
        let write = SiblingWrite { covers, is_removal, fate: Fate::Open };
        assert!(self.0.insert(name.to_owned(), write).is_none(), "{name} is written once");
    }

    /// Notes how a write ended.
    pub fn end(&mut self, name: &str, fate: Fate) {
        self.0.get_mut(name).expect("it has begun").fate = fate;
    }

    /// The names that a read which begins now has to account for.
    pub fn promised(&self) -> BTreeSet<String> {
        let acknowledged = |write: &&SiblingWrite| write.fate == Fate::Acknowledged;
        let promised = self.0.iter().filter(|(_, write)| acknowledged(write));
        promised.map(|(name, _)| name.clone()).collect()
    }

    /// What is wrong with what a read found that had to account for `promised`.
    pub fn check(&self, promised: &BTreeSet<String>, found: &[String]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut once = BTreeSet::new();
        for name in found {
            let fate = self.0.get(name).filter(|write| !write.is_removal).map(|write| write.fate);
            if matches!(fate, None | Some(Fate::Refused)) {
                wrong.push(format!("phantom {name}"));
            }
            if !once.insert(name.clone()) {
                wrong.push(format!("twin {name}"));
            }
        }
        let covered = self.covered_by(&once);
        for name in promised {
            let write = &self.0[name];
            if !write.is_removal && !once.contains(name) && !covered.contains(name) {
                wrong.push(format!("lost {name}"));
            }
            let risen = write.covers.intersection(&once);
            wrong.extend(risen.map(|old| format!("risen again {old}, which {name} covers")));
        }
        wrong
    }

    /// What the found writes, and removals that may have happened, cover, and what that covers.
    fn covered_by(&self, found: &BTreeSet<String>) -> BTreeSet<String> {
        let may_have_removed =
            |write: &SiblingWrite| write.is_removal && write.fate != Fate::Refused;
        let removals = self.0.iter().filter(|(_, write)| may_have_removed(write));
        let mut open: Vec<&String> = removals.map(|(name, _)| name).chain(found).collect();
        let mut covered = BTreeSet::new();
        while let Some(name) = open.pop() {
            for old in self.0.get(name).into_iter().flat_map(|write| &write.covers) {
                if covered.insert(old.clone()) {
                    open.push(old);
                }
            }
        }
        covered
    }
}

/// The writes of one row of a last-write-wins table, by their time; none is a removal.
#[derive(Debug, Default, Clone)]
pub struct LatestRow(BTreeMap<i64, (Option<String>, Fate)>);

impl LatestRow {
    /// Notes that a write begins; false where another one has its time.
    pub fn begin(&mut self, time: i64, value: Option<String>) -> bool {
        let is_new = !self.0.contains_key(&time);
        self.0.entry(time).or_insert((value, Fate::Open));
        is_new
    }

    /// Notes how a write ended.
    pub fn end(&mut self, time: i64, fate: Fate) {
        self.0.get_mut(&time).expect("it has begun").1 = fate;
    }

    /// The write that a read which begins now has to account for.
    pub fn promised(&self) -> Option<i64> {
        let acknowledged =
            |(_, (_, fate)): &(&i64, &(Option<String>, Fate))| *fate == Fate::Acknowledged;
        self.0.iter().rfind(acknowledged).map(|(time, _)| *time)
    }

    /// What is wrong with what a read found that had to account for `promised`.
    pub fn check(&self, promised: Option<i64>, found: Option<&str>) -> Option<String> {
        let floor = promised.unwrap_or(i64::MIN);
        let explains = |(_, (value, fate)): (&i64, &(Option<String>, Fate))| {
            value.as_deref() == found && *fate != Fate::Refused
        };
        let is_empty = promised.is_none() && found.is_none();
        (!is_empty && !self.0.range(floor..).any(explains)).then(|| {
            format!("found {found:?}, which no write since the promised one at {floor} explains")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What is wrong with a read of a row after these writes, each with what it covers.
    fn wrong(writes: &[(&str, &[&str], Fate)], found: &[&str]) -> Vec<String> {
        let mut row = SiblingRow::default();
        for (name, covers, fate) in writes {
            row.begin(name, names(covers), name.starts_with('-'));
            row.end(name, *fate);
        }
        let found: Vec<_> = found.iter().map(|name| (*name).to_owned()).collect();
        row.check(&row.promised(), &found)
    }

    const A: (&str, &[&str], Fate) = ("a", &[], Fate::Acknowledged);
    const OPEN: (&str, &[&str], Fate) = ("open", &["a"], Fate::Open);

    #[test]
    fn what_is_found_or_covered_by_what_is_found_is_kept() {
        assert!(wrong(&[A], &["a"]).is_empty());
        assert!(wrong(&[A, OPEN], &["a"]).is_empty());
        assert!(wrong(&[A, OPEN], &["open"]).is_empty());
        let later = ("later", ["open"].as_slice(), Fate::Acknowledged);
        assert!(wrong(&[A, OPEN, later], &["later"]).is_empty(), "covered by what is covered");
    }

    #[test]
    fn a_removal_excuses_what_it_covers_unless_it_was_refused() {
        assert!(wrong(&[A, ("-r", &["a"], Fate::Open)], &[]).is_empty());
        assert_eq!(wrong(&[A, ("-r", &["a"], Fate::Refused)], &[]), ["lost a"]);
        assert_eq!(wrong(&[A, ("-r", &[], Fate::Acknowledged)], &[]), ["lost a"]);
    }

    #[test]
    fn an_acknowledged_write_that_is_nowhere_is_lost() {
        assert_eq!(wrong(&[A], &[]), ["lost a"]);
        assert_eq!(wrong(&[A, OPEN], &[]), ["lost a"], "its replacement is nowhere either");
        assert_eq!(wrong(&[A, ("b", &[], Fate::Acknowledged)], &["b"]), ["lost a"]);
    }

    #[test]
    fn what_an_acknowledged_write_covers_may_not_rise_again() {
        let replacing = ("b", ["a"].as_slice(), Fate::Acknowledged);
        assert_eq!(wrong(&[A, replacing], &["a", "b"]), ["risen again a, which b covers"]);
        let removal = ("-r", ["a"].as_slice(), Fate::Acknowledged);
        assert_eq!(wrong(&[A, removal], &["a"]), ["risen again a, which -r covers"]);
    }

    #[test]
    fn nobody_wrote_a_phantom_and_twins_are_one_too_many() {
        assert_eq!(wrong(&[], &["x"]), ["phantom x"]);
        assert_eq!(wrong(&[("x", &[], Fate::Refused)], &["x"]), ["phantom x"]);
        assert_eq!(wrong(&[A], &["a", "a"]), ["twin a"]);
    }

    fn latest(writes: &[(i64, Option<&str>, Fate)], found: Option<&str>) -> bool {
        let mut row = LatestRow::default();
        for (time, value, fate) in writes {
            assert!(row.begin(*time, value.map(str::to_owned)));
            row.end(*time, *fate);
        }
        row.check(row.promised(), found).is_none()
    }

    #[test]
    fn the_latest_promised_write_or_a_later_one_is_read() {
        let writes = [
            (1, Some("old"), Fate::Acknowledged),
            (2, Some("new"), Fate::Acknowledged),
            (3, Some("open"), Fate::Open),
            (4, Some("refused"), Fate::Refused),
        ];
        assert!(latest(&writes, Some("new")) && latest(&writes, Some("open")));
        for wrong in [Some("old"), Some("refused"), Some("nobody's"), None] {
            assert!(!latest(&writes, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_is_read_where_nothing_was_promised_or_it_was_removed() {
        assert!(latest(&[], None) && !latest(&[], Some("x")));
        assert!(latest(&[(1, Some("open"), Fate::Open)], None));
        let removed = [(1, Some("old"), Fate::Acknowledged), (2, None, Fate::Acknowledged)];
        assert!(latest(&removed, None) && !latest(&removed, Some("old")));
    }
}
