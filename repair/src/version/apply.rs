//! Taking in the row of another copy: a write that another replica stamped, a repair, a hand-over.
//!
//! Callers: the commit loop, for everything that a replica receives. Pure.

use super::{ActorRule, EpochSource, Merged, Minter, Siblings};

/// A row after it took in another copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The row to store, unless nothing changed.
    pub row: Siblings,
    /// Whether the row is another than before.
    pub changed: bool,
    /// Versions that came under a dot that bears a different one here; to be counted and logged.
    pub duplicate_dots: usize,
}

/// Merges `incoming` into the local copy.
///
/// Never refuses: limits are for client writes only. `is_mended` says that the local copy was
/// damaged and is what could still be read of it; such a row always gets a fresh epoch.
///
/// Where the rule asks for it, an entry of a fresh epoch is part of the row, and so of the same
/// batch as the merge.
pub fn apply<E: EpochSource, R: ActorRule>(
    local: Option<&Siblings>,
    incoming: &Siblings,
    is_mended: bool,
    minter: &mut Minter<E, R>,
) -> Applied {
    let mut row = local.cloned().unwrap_or_default();
    let Merged { mut changed, duplicate_dots } = row.merge(incoming);
    let known = local.map(Siblings::vector);
    if let Some(entry) = minter.renewal(known, incoming.vector(), is_mended) {
        row.record(entry);
        changed = true;
    }
    Applied { row, changed, duplicate_dots }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{dot, minter, row, version};
    use super::*;

    #[test]
    fn a_row_from_another_copy_is_merged() {
        let local = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "old")]);
        let incoming = row([dot(1, 1, 1), dot(2, 1, 1)], [version(dot(2, 1, 1), "new")]);
        let applied = apply(Some(&local), &incoming, false, &mut minter(1));
        assert_eq!(applied, Applied { row: incoming, changed: true, duplicate_dots: 0 });
    }

    #[test]
    fn a_row_that_came_before_changes_nothing() {
        let local = row([dot(1, 1, 1), dot(2, 1, 1)], [version(dot(2, 1, 1), "new")]);
        let incoming = row([dot(1, 1, 1)], [version(dot(1, 1, 1), "old")]);
        for again in [&incoming, &local, &Siblings::default()] {
            let applied = apply(Some(&local), again, false, &mut minter(1));
            assert_eq!(applied, Applied { row: local.clone(), changed: false, duplicate_dots: 0 });
        }
    }

    #[test]
    fn an_own_entry_that_the_copy_lacks_brings_an_entry_of_a_fresh_epoch() {
        let incoming = row([dot(1, 7, 3)], [version(dot(1, 7, 3), "x")]);
        let renewed = row([dot(1, 7, 3), dot(1, 101, 1)], [version(dot(1, 7, 3), "x")]);
        let older = row([dot(1, 7, 2)], [version(dot(1, 7, 2), "w")]);
        for local in [None, Some(&older)] {
            let applied = apply(local, &incoming, false, &mut minter(1));
            assert_eq!(applied.row, {
                let mut merged = local.cloned().unwrap_or_default();
                merged.merge(&renewed);
                merged
            });
            assert!(applied.changed);
        }
    }

    #[test]
    fn own_entries_that_the_copy_includes_bring_none() {
        let local = row([dot(1, 7, 3)], [version(dot(1, 7, 3), "x")]);
        let incoming = row([dot(1, 7, 2)], []);
        assert_eq!(apply(Some(&local), &incoming, false, &mut minter(1)).row, local);
    }

    #[test]
    fn a_mended_row_always_gets_an_entry_of_a_fresh_epoch() {
        let readable = row([dot(1, 7, 3)], [version(dot(1, 7, 3), "x")]);
        let applied = apply(Some(&readable), &readable, true, &mut minter(1));
        assert_eq!(applied.row, row([dot(1, 7, 3), dot(1, 101, 1)], [version(dot(1, 7, 3), "x")]));
        assert!(applied.changed);
    }

    #[test]
    fn two_versions_of_one_dot_are_both_kept_and_reported_once() {
        let local = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "x")]);
        let incoming = row([dot(2, 1, 1)], [version(dot(2, 1, 1), "y")]);
        let applied = apply(Some(&local), &incoming, false, &mut minter(1));
        assert_eq!((applied.row.versions().len(), applied.duplicate_dots), (2, 1));
        let again = apply(Some(&applied.row), &incoming, false, &mut minter(1));
        assert_eq!((again.changed, again.duplicate_dots), (false, 0));
    }
}
