//! A row of a siblings table: which versions may live after all that was written.
//!
//! Each write has a name of its own and knows the names that its context covers: its causal past is
//! what these cover too. Let A be the promised writes and U those that may have happened. Then some
//! part X of U has happened, and what is found must be the maximal writes of A ∪ X, removals left
//! out. It is, for some X, if and only if
//!
//! ```text
//! nothing is found that a promised or a found write covers                      else risen again
//! what is promised is found, or is covered by a found write, or by a removal
//!     that may have happened and covers nothing that is found                   else stale or lost
//! what is found was written, once, and was not refused                          else phantom, twin
//! ```
//!
//! Where reads are monotonic, what one has shown is promised to all later ones, and what it has
//! shown to be gone must stay so: [`SiblingRow::remember`]. Source: the set checker of Jepsen, and
//! the accounting of Preguiça et al., *Dotted Version Vectors*, arXiv:1011.5808. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fate, Wrong};

/// The writes of one row of a siblings table, by name.
#[derive(Debug, Default, Clone)]
pub struct SiblingRow {
    writes: BTreeMap<String, Write>,
    /// What some monotonic read has shown.
    shown: BTreeSet<String>,
    /// What some monotonic read should have shown unless it was replaced, and has not.
    gone: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Write {
    covers: BTreeSet<String>,
    is_removal: bool,
    fate: Fate,
}

/// What a read that begins at some moment has to account for. The default: nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Owed {
    promised: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl SiblingRow {
    /// Notes that a write begins whose context covers these others.
    pub fn begin(&mut self, name: &str, covers: BTreeSet<String>, is_removal: bool) {
        let write = Write { covers, is_removal, fate: Fate::Open };
        let before = self.writes.insert(name.to_owned(), write);
        assert!(before.is_none(), "{name} is written once");
    }

    /// Notes how a write ended.
    pub fn end(&mut self, name: &str, fate: Fate) {
        self.writes.get_mut(name).expect("it has begun").fate = fate;
    }

    /// What a read has to account for that begins now.
    pub fn owed(&self) -> Owed {
        let acknowledged = |write: &&Write| write.fate == Fate::Acknowledged;
        let acknowledged = self.writes.iter().filter(|(_, write)| acknowledged(write));
        let mut promised: BTreeSet<_> = acknowledged.map(|(name, _)| name.clone()).collect();
        promised.extend(self.shown.iter().cloned());
        Owed { promised, gone: self.gone.clone() }
    }

    /// What is wrong with a read that has found these.
    pub fn check(&self, owed: &Owed, found: &[String]) -> Vec<Wrong> {
        self.examine(owed, found, Wrong::Stale)
    }

    /// What is wrong with what is found in all replicas when everything is whole again.
    pub fn check_settled(&self, found: &[String]) -> Vec<Wrong> {
        self.examine(&self.owed(), found, Wrong::Lost)
    }

    /// Takes what a read has found as promised to all that begin later.
    pub fn remember(&mut self, owed: &Owed, found: &[String]) {
        let is_gone = |name: &&String| !found.contains(name) && !self.writes[*name].is_removal;
        self.gone.extend(owed.promised.iter().filter(is_gone).cloned());
        self.shown.extend(found.iter().filter(|name| self.writes.contains_key(*name)).cloned());
    }

    fn examine(&self, owed: &Owed, found: &[String], missing: fn(String) -> Wrong) -> Vec<Wrong> {
        let once: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let mut wrong = self.strangers(found);
        let flickering = once.iter().filter(|name| owed.gone.contains(**name));
        wrong.extend(flickering.map(|name| Wrong::Flickering((*name).to_owned())));
        let mut covered = BTreeSet::new();
        let promised = owed.promised.iter().map(String::as_str);
        for name in promised.chain(once.iter().copied()).collect::<BTreeSet<_>>() {
            let past = self.past(name);
            wrong.extend(
                past.intersection(&once)
                    .map(|old| Wrong::Risen { old: (*old).to_owned(), by: name.to_owned() }),
            );
            if once.contains(name) {
                covered.extend(past);
            }
        }
        covered.extend(self.removed(&once));
        let is_missing = |name: &&String| {
            let name = name.as_str();
            !self.writes[name].is_removal && !once.contains(name) && !covered.contains(name)
        };
        wrong.extend(owed.promised.iter().filter(is_missing).cloned().map(missing));
        wrong
    }

    /// What is found and was never written, or more than once.
    fn strangers(&self, found: &[String]) -> Vec<Wrong> {
        let (mut wrong, mut once) = (Vec::new(), BTreeSet::new());
        for name in found {
            let write = self.writes.get(name).filter(|write| !write.is_removal);
            if write.is_none_or(|write| write.fate == Fate::Refused) {
                wrong.push(Wrong::Phantom(name.clone()));
            }
            if !once.insert(name) {
                wrong.push(Wrong::Twin(name.clone()));
            }
        }
        wrong
    }

    /// What removals cover that may have happened, since nothing of what they cover is found.
    fn removed<'a>(&'a self, found: &BTreeSet<&str>) -> BTreeSet<&'a str> {
        let may_be = |write: &&Write| write.is_removal && write.fate != Fate::Refused;
        let removals = self.writes.iter().filter(|(_, write)| may_be(write));
        let pasts = removals.map(|(name, _)| self.past(name));
        pasts.filter(|past| past.is_disjoint(found)).flatten().collect()
    }

    /// What a write covers, what that covers, and so on.
    fn past<'a>(&'a self, name: &str) -> BTreeSet<&'a str> {
        let covers = |name: &str| self.writes.get(name).into_iter().flat_map(|it| &it.covers);
        let mut open: Vec<&String> = covers(name).collect();
        let mut past = BTreeSet::new();
        while let Some(name) = open.pop() {
            if past.insert(name.as_str()) {
                open.extend(covers(name));
            }
        }
        past
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Acknowledged, Open, Refused};

    type Case<'a> = (&'a str, &'a [&'a str], Fate);

    /// A row after these writes, each with what it covers; the names of removals begin with `-`.
    fn row(writes: &[Case<'_>]) -> SiblingRow {
        let mut row = SiblingRow::default();
        for (name, covers, fate) in writes {
            let covers = covers.iter().map(|name| (*name).to_owned()).collect();
            row.begin(name, covers, name.starts_with('-'));
            row.end(name, *fate);
        }
        row
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn wrong(writes: &[Case<'_>], found: &[&str]) -> Vec<String> {
        let wrong = row(writes).check_settled(&names(found));
        wrong.iter().map(Wrong::to_string).collect()
    }

    const A: Case<'_> = ("a", &[], Acknowledged);
    const B: Case<'_> = ("b", &["a"], Acknowledged);
    const OPEN: Case<'_> = ("open", &["a"], Open);

    #[test]
    fn what_is_found_or_covered_by_what_is_found_is_kept() {
        assert!(wrong(&[A], &["a"]).is_empty());
        assert!(wrong(&[A, OPEN], &["a"]).is_empty());
        assert!(wrong(&[A, OPEN], &["open"]).is_empty());
        let later = ("later", ["open"].as_slice(), Acknowledged);
        assert!(wrong(&[A, OPEN, later], &["later"]).is_empty(), "covered by what is covered");
        assert!(wrong(&[A, ("c", &[], Acknowledged)], &["a", "c"]).is_empty(), "siblings");
    }

    #[test]
    fn a_removal_excuses_what_it_covers_unless_it_was_refused() {
        assert!(wrong(&[A, ("-r", &["a"], Open)], &[]).is_empty());
        assert_eq!(wrong(&[A, ("-r", &["a"], Refused)], &[]), ["lost a"]);
        assert_eq!(wrong(&[A, ("-r", &[], Acknowledged)], &[]), ["lost a"]);
    }

    #[test]
    fn a_removal_that_has_not_removed_all_that_it_covers_has_not_happened() {
        let both = ("-r", ["a", "c"].as_slice(), Open);
        let c = ("c", [].as_slice(), Acknowledged);
        assert!(wrong(&[A, c, both], &[]).is_empty());
        assert_eq!(wrong(&[A, c, both], &["c"]), ["lost a"]);
    }

    #[test]
    fn an_acknowledged_write_that_is_nowhere_is_lost() {
        assert_eq!(wrong(&[A], &[]), ["lost a"]);
        assert_eq!(wrong(&[A, OPEN], &[]), ["lost a"], "its replacement is nowhere either");
        assert_eq!(wrong(&[A, B], &[]), ["lost a", "lost b"]);
        assert_eq!(wrong(&[A, ("b", &[], Acknowledged)], &["b"]), ["lost a"]);
    }

    #[test]
    fn what_a_promised_or_a_found_write_covers_may_not_rise_again() {
        assert_eq!(wrong(&[A, B], &["a", "b"]), ["risen again a, which b covers"]);
        assert_eq!(wrong(&[A, OPEN], &["a", "open"]), ["risen again a, which open covers"]);
        let removal = ("-r", ["a"].as_slice(), Acknowledged);
        assert_eq!(wrong(&[A, removal], &["a"]), ["risen again a, which -r covers"]);
        let later = ("c", ["b"].as_slice(), Acknowledged);
        let risen = ["risen again a, which b covers", "risen again a, which c covers"];
        assert_eq!(wrong(&[A, B, later], &["a", "c"]), risen, "by what it covers in turn");
    }

    #[test]
    fn nobody_wrote_a_phantom_and_twins_are_one_too_many() {
        assert_eq!(wrong(&[], &["x"]), ["phantom x"]);
        assert_eq!(wrong(&[("x", &[], Refused)], &["x"]), ["phantom x"]);
        assert_eq!(wrong(&[("-r", &[], Acknowledged)], &["-r"]), ["phantom -r"]);
        assert_eq!(wrong(&[A], &["a", "a"]), ["twin a"]);
    }

    #[test]
    fn a_read_owes_only_what_was_promised_when_it_began() {
        let mut row = row(&[A, ("b", &["a"], Open)]);
        let owed = row.owed();
        row.end("b", Acknowledged);
        assert!(row.check(&owed, &names(&["a"])).is_empty());
        assert_eq!(row.check(&row.owed(), &names(&["a"])).len(), 2, "b is stale, a has risen");
        assert!(row.check(&Owed::default(), &[]).is_empty());
    }

    #[test]
    fn what_a_monotonic_read_has_shown_is_promised_and_what_was_gone_stays_gone() {
        let mut row = row(&[A, OPEN]);
        let owed = row.owed();
        row.remember(&owed, &names(&["open"]));
        assert_eq!(row.check(&row.owed(), &[]), ["a", "open"].map(|it| Wrong::Stale(it.into())));
        let wrong = row.check(&row.owed(), &names(&["a"]));
        assert!(wrong.contains(&Wrong::Flickering("a".to_owned())), "{wrong:?}");
        assert!(row.check(&row.owed(), &names(&["open"])).is_empty());
    }
}
