//! What writers of a last-write-wins table were promised, cell by cell, and the check that it was
//! kept.
//!
//! Every write has a timestamp that the checker knows. A cell holds the write with the greatest one;
//! among writes of one timestamp the database chooses, by statement: it takes all cells of one of
//! them. A DELETE of a row covers what is not newer than itself.
//!
//! ```text
//! acknowledged a@5, acknowledged a@7, unknown delete@6
//! found a@7    ok               found a@5    a@7 is lost
//! found a@9    a phantom        found none   a@7 is lost: no delete@7 or later was ever tried
//! ```
//!
//! Law: an acknowledged write is there, unless a write that beats it was tried. Pure.

use std::collections::BTreeMap;

/// A row of the table: partition and clustering key.
pub type Row = (i32, i32);

/// What a statement does to one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sets both cells.
    SetBoth,
    /// Sets the cell `a`.
    SetA,
    /// Sets the cell `b`.
    SetB,
    /// Removes the row.
    Delete,
}

impl Act {
    fn sets(self, cell: usize) -> bool {
        match self {
            Self::SetBoth => true,
            Self::SetA => cell == 0,
            Self::SetB => cell == 1,
            Self::Delete => false,
        }
    }
}

/// One statement. The cells that it sets hold its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Unique among all writes.
    pub name: String,
    /// What it does.
    pub act: Act,
    /// The microseconds of its USING TIMESTAMP.
    pub timestamp: i64,
    /// Whether its client was promised it.
    pub is_acknowledged: bool,
}

/// All writes that were tried, by row.
#[derive(Debug, Clone, Default)]
pub struct CellHistory {
    writes: BTreeMap<Row, Vec<Write>>,
}

/// A cell as a read shows it: the name of the write that it holds, and that write's timestamp.
pub type Found = Option<(String, i64)>;

impl CellHistory {
    /// Notes a write with what became of it.
    pub fn note(&mut self, row: Row, write: Write) {
        self.writes.entry(row).or_default().push(write);
    }

    /// Takes over what another client noted.
    pub fn absorb(&mut self, other: Self) {
        for (row, writes) in other.writes {
            self.writes.entry(row).or_default().extend(writes);
        }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.writes.values().flatten().filter(|write| write.is_acknowledged).count()
    }

    /// How many writes ended without a promise.
    pub fn unknown_count(&self) -> usize {
        self.writes.values().flatten().filter(|write| !write.is_acknowledged).count()
    }

    /// What is wrong with the rows that a complete read found; nothing, where every promise was kept.
    pub fn check(&self, found: &BTreeMap<Row, [Found; 2]>) -> Vec<String> {
        let mut wrong = Vec::new();
        for row in found.keys().filter(|row| !self.writes.contains_key(row)) {
            wrong.push(format!("{row:?}: a phantom row"));
        }
        for (row, writes) in &self.writes {
            let cells = found.get(row).cloned().unwrap_or_default();
            for (cell, shown) in cells.iter().enumerate() {
                if let Some(remark) = judge(writes, cell, shown.as_ref()) {
                    wrong.push(format!("{row:?}, cell {cell}: {remark}"));
                }
            }
            if let [Some(a), Some(b)] = &cells
                && is_torn(writes, a, b)
            {
                wrong.push(format!("{row:?}: two statements of {} share the row", a.1));
            }
        }
        wrong
    }
}

fn judge(writes: &[Write], cell: usize, shown: Option<&(String, i64)>) -> Option<String> {
    if let Some((name, timestamp)) = shown {
        let is_tried = |write: &Write| {
            write.name == *name && write.timestamp == *timestamp && write.act.sets(cell)
        };
        if !writes.iter().any(is_tried) {
            return Some(format!("{name} at {timestamp} is a phantom"));
        }
    }
    // A removed cell may hold the last removal that was tried, acknowledged or not.
    let removed_at = writes.iter().filter(|write| write.act == Act::Delete);
    let removed_at = removed_at.map(|write| write.timestamp).max();
    let reached = shown.map(|(_, timestamp)| *timestamp);
    let is_lost = |write: &&Write| match write.act {
        Act::Delete => reached.is_some_and(|reached| write.timestamp >= reached),
        act => act.sets(cell) && write.timestamp > reached.max(removed_at).unwrap_or(i64::MIN),
    };
    let lost = writes.iter().filter(|write| write.is_acknowledged).find(is_lost)?;
    Some(format!("{} of {} is lost: found {shown:?}", lost.name, lost.timestamp))
}

/// Whether both cells are of one timestamp and of different statements that set both.
fn is_torn(writes: &[Write], a: &(String, i64), b: &(String, i64)) -> bool {
    let sets_both =
        |name: &str| writes.iter().any(|write| write.name == name && write.act == Act::SetBoth);
    a.1 == b.1 && a.0 != b.0 && sets_both(&a.0) && sets_both(&b.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = (1, 1);

    fn write(name: &str, act: Act, timestamp: i64, is_acknowledged: bool) -> Write {
        Write { name: name.to_owned(), act, timestamp, is_acknowledged }
    }

    fn history(writes: &[Write]) -> CellHistory {
        let mut history = CellHistory::default();
        for write in writes {
            history.note(ROW, write.clone());
        }
        history
    }

    /// The judgement over one row with these cells.
    fn wrong(history: &CellHistory, a: Option<(&str, i64)>, b: Option<(&str, i64)>) -> Vec<String> {
        let shown = |cell: Option<(&str, i64)>| cell.map(|(name, at)| (name.to_owned(), at));
        history.check(&BTreeMap::from([(ROW, [shown(a), shown(b)])]))
    }

    #[test]
    fn the_newest_acknowledged_write_must_be_there_or_beaten() {
        let history = history(&[
            write("old", Act::SetBoth, 5, true),
            write("new", Act::SetA, 7, true),
            write("unknown", Act::SetA, 9, false),
        ]);
        assert!(wrong(&history, Some(("new", 7)), Some(("old", 5))).is_empty());
        assert!(wrong(&history, Some(("unknown", 9)), Some(("old", 5))).is_empty());
        assert_eq!(wrong(&history, Some(("old", 5)), Some(("old", 5))).len(), 1);
        assert_eq!(wrong(&history, Some(("new", 7)), None).len(), 1);
        assert_eq!(history.check(&BTreeMap::new()).len(), 2);
    }

    #[test]
    fn a_removal_explains_what_is_not_newer_and_must_hold_itself() {
        let history = history(&[
            write("old", Act::SetA, 5, true),
            write("gone", Act::Delete, 6, true),
            write("new", Act::SetB, 7, true),
        ]);
        assert!(wrong(&history, None, Some(("new", 7))).is_empty());
        assert_eq!(wrong(&history, Some(("old", 5)), Some(("new", 7))).len(), 1);
        assert_eq!(wrong(&history, None, None).len(), 1);
    }

    #[test]
    fn an_unknown_removal_may_hold_or_not() {
        let history =
            history(&[write("set", Act::SetA, 5, true), write("gone", Act::Delete, 5, false)]);
        assert!(wrong(&history, None, None).is_empty());
        assert!(wrong(&history, Some(("set", 5)), None).is_empty());
    }

    #[test]
    fn of_one_timestamp_any_statement_may_win_but_wholly() {
        let history =
            history(&[write("x", Act::SetBoth, 5, true), write("y", Act::SetBoth, 5, true)]);
        assert!(wrong(&history, Some(("x", 5)), Some(("x", 5))).is_empty());
        assert!(wrong(&history, Some(("y", 5)), Some(("y", 5))).is_empty());
        assert_eq!(wrong(&history, Some(("x", 5)), Some(("y", 5))).len(), 1);
    }

    #[test]
    fn what_nobody_wrote_is_a_phantom() {
        let history = history(&[write("x", Act::SetA, 5, true)]);
        assert_eq!(wrong(&history, Some(("x", 5)), Some(("x", 5))).len(), 1);
        assert_eq!(wrong(&history, Some(("x", 6)), None).len(), 1);
        let elsewhere =
            BTreeMap::from([(ROW, [Some(("x".to_owned(), 5)), None]), ((2, 2), [None, None])]);
        assert_eq!(history.check(&elsewhere), ["(2, 2): a phantom row"]);
    }
}
