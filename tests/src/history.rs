//! What clients were promised, and the check that it was kept.
//!
//! Each element is written once, by one client. An acknowledged element must be there
//! afterwards, exactly once; one whose writer got an error may be there or not; one that nobody
//! tried to write must not be.
//!
//! ```text
//!              tried  acknowledged      found 0   found 1   found 2
//! acknowledged   x         x             lost       ok       twin
//! unknown        x                        ok        ok       twin
//! never tried                             ok      phantom   phantom
//! ```
//!
//! Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

/// Elements that were tried and those that were acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    tried: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
}

/// Where a store differs from what its clients were promised. Empty in each field: nothing wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and not there.
    pub lost: Vec<String>,
    /// There more than once.
    pub twins: Vec<String>,
    /// There although nobody tried to write it.
    pub phantoms: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl History {
    /// Notes that a client is about to write an element.
    pub fn try_write(&mut self, element: &str) {
        let is_new = self.tried.insert(element.to_owned());
        assert!(is_new, "{element} was written before: the checker needs unique elements");
    }

    /// Notes that a client was promised an element.
    pub fn acknowledge(&mut self, element: &str) {
        assert!(self.tried.contains(element), "{element} was acknowledged and never tried");
        self.acknowledged.insert(element.to_owned());
    }

    /// Takes over what another client noted.
    pub fn absorb(&mut self, other: Self) {
        for element in &other.tried {
            self.try_write(element);
        }
        self.acknowledged.extend(other.acknowledged);
    }

    /// How many elements were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many writes ended without a promise.
    pub fn unknown_count(&self) -> usize {
        self.tried.len() - self.acknowledged.len()
    }

    /// The acknowledged elements, in order.
    pub fn acknowledged(&self) -> impl Iterator<Item = &str> {
        self.acknowledged.iter().map(String::as_str)
    }

    /// Compares the promises with everything that a complete read found.
    pub fn check<'a>(&self, found: impl IntoIterator<Item = &'a str>) -> Verdict {
        let mut counts = BTreeMap::<&str, usize>::new();
        for element in found {
            *counts.entry(element).or_default() += 1;
        }
        let named = |elements: Vec<&str>| elements.into_iter().map(str::to_owned).collect();
        let repeated = counts.iter().filter(|&(_, count)| *count > 1).map(|(element, _)| *element);
        let unknown = counts.keys().copied().filter(|element| !self.tried.contains(*element));
        Verdict {
            lost: named(self.acknowledged().filter(|it| !counts.contains_key(it)).collect()),
            twins: named(repeated.collect()),
            phantoms: named(unknown.collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` acknowledged, `u` tried only.
    fn history() -> History {
        let mut history = History::default();
        history.try_write("a");
        history.try_write("u");
        history.acknowledge("a");
        history
    }

    #[test]
    fn kept_promises_are_clean_whether_or_not_unknown_writes_live() {
        assert!(history().check(["a"]).is_clean());
        assert!(history().check(["u", "a"]).is_clean());
    }

    #[test]
    fn an_acknowledged_write_that_is_missing_is_lost() {
        let verdict = history().check(["u"]);
        assert_eq!(verdict.lost, ["a"]);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn an_element_found_twice_is_a_twin() {
        assert_eq!(history().check(["a", "a"]).twins, ["a"]);
        assert_eq!(history().check(["a", "u", "u"]).twins, ["u"]);
    }

    #[test]
    fn an_element_that_nobody_wrote_is_a_phantom() {
        assert_eq!(history().check(["a", "x"]).phantoms, ["x"]);
    }

    #[test]
    fn an_absorbed_history_is_checked_too() {
        let mut other = History::default();
        other.try_write("b");
        other.acknowledge("b");
        let mut both = history();
        both.absorb(other);
        assert_eq!(both.check(["a"]).lost, ["b"]);
        assert_eq!((both.acknowledged_count(), both.unknown_count()), (2, 1));
    }

    #[test]
    #[should_panic(expected = "never tried")]
    fn an_acknowledgement_needs_a_write() {
        History::default().acknowledge("a");
    }

    #[test]
    #[should_panic(expected = "written before")]
    fn an_element_is_written_once() {
        history().try_write("a");
    }
}
