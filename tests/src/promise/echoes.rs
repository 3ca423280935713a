//! Equal content that is written more than once, without a context.
//!
//! Writes without a context are siblings, whatever they hold: a merge that took two of them for one
//! would lose both where two copies keep different ones. So each acknowledged write is there, and
//! each unknown one may be.
//!
//! ```text
//! acknowledged ≤ found ≤ acknowledged + unknown        fewer: stale or lost        more: twin
//! ```
//!
//! Pure.

use std::collections::BTreeMap;

use super::{Fate, Wrong};

/// The writes of one row of a siblings table that nobody replaces, by content.
#[derive(Debug, Default, Clone)]
pub struct EchoRow(BTreeMap<String, Vec<Fate>>);

/// How often each content must be found at least.
pub type Owed = BTreeMap<String, usize>;

impl EchoRow {
    /// Notes that a write of this content begins; the answer is its number for [`EchoRow::end`].
    pub fn begin(&mut self, content: &str) -> usize {
        let fates = self.0.entry(content.to_owned()).or_default();
        fates.push(Fate::Open);
        fates.len() - 1
    }

    /// Notes how a write ended.
    pub fn end(&mut self, content: &str, number: usize, fate: Fate) {
        self.0.get_mut(content).expect("it has begun")[number] = fate;
    }

    /// What a read has to account for that begins now.
    pub fn owed(&self) -> Owed {
        let acknowledged = |fates: &[Fate]| count(fates, |fate| fate == Fate::Acknowledged);
        self.0.iter().map(|(content, fates)| (content.clone(), acknowledged(fates))).collect()
    }

    /// What is wrong with a read that has found these.
    pub fn check(&self, owed: &Owed, found: &[String]) -> Vec<Wrong> {
        self.examine(owed, found, Wrong::Stale)
    }

    /// What is wrong with what is found in all replicas when everything is whole again.
    pub fn check_settled(&self, found: &[String]) -> Vec<Wrong> {
        self.examine(&self.owed(), found, Wrong::Lost)
    }

    fn examine(&self, owed: &Owed, found: &[String], missing: fn(String) -> Wrong) -> Vec<Wrong> {
        let times = |content: &str| found.iter().filter(|it| *it == content).count();
        let mut wrong = Vec::new();
        for (content, least) in owed {
            if times(content) < *least {
                wrong.push(missing(format!("{content}, {} of {least}", times(content))));
            }
        }
        for content in found.iter().collect::<std::collections::BTreeSet<_>>() {
            let most = self.0.get(content).map_or(0, |it| count(it, |it| it != Fate::Refused));
            match times(content) {
                _ if most == 0 => wrong.push(Wrong::Phantom(content.clone())),
                times if times > most => wrong.push(Wrong::Twin(content.clone())),
                _ => {}
            }
        }
        wrong
    }
}

fn count(fates: &[Fate], counts: impl Fn(Fate) -> bool) -> usize {
    fates.iter().filter(|fate| counts(**fate)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{Acknowledged, Open, Refused};

    fn wrong(writes: &[Fate], found: &[&str]) -> Vec<String> {
        let mut row = EchoRow::default();
        for fate in writes {
            let number = row.begin("x");
            row.end("x", number, *fate);
        }
        let found: Vec<_> = found.iter().map(|content| (*content).to_owned()).collect();
        row.check_settled(&found).iter().map(Wrong::to_string).collect()
    }

    #[test]
    fn each_acknowledged_write_is_there_and_each_unknown_one_may_be() {
        assert!(wrong(&[Acknowledged, Acknowledged, Open], &["x", "x"]).is_empty());
        assert!(wrong(&[Acknowledged, Acknowledged, Open], &["x", "x", "x"]).is_empty());
        assert!(wrong(&[Open], &[]).is_empty());
    }

    #[test]
    fn equal_content_that_collapsed_is_lost() {
        assert_eq!(wrong(&[Acknowledged, Acknowledged], &["x"]), ["lost x, 1 of 2"]);
        assert_eq!(wrong(&[Acknowledged, Acknowledged], &[]), ["lost x, 0 of 2"]);
    }

    #[test]
    fn more_than_was_written_is_a_twin_and_what_nobody_wrote_a_phantom() {
        assert_eq!(wrong(&[Acknowledged, Refused], &["x", "x"]), ["twin x"]);
        assert_eq!(wrong(&[Refused], &["x"]), ["phantom x"]);
        assert_eq!(wrong(&[], &["y", "y"]), ["phantom y"]);
    }
}
