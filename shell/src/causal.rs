//! The contexts of the rows that this shell has shown or written, sent with its later writes.
//!
//! A write says what its writer had seen: the context of the row. A program carries it from read to
//! write; for a person the shell does, by changing the statement before it is sent:
//!
//! ```text
//! SELECT v FROM t WHERE k = 1    SELECT v, k, context(), sibling_count() FROM t WHERE k = 1
//! DELETE FROM t WHERE k = 1      DELETE FROM t USING CONTEXT 0x… WHERE k = 1
//!                                  RETURNING context(), sibling_count()
//! ```
//!
//! The statements of a BATCH get their contexts too, but a BATCH answers nothing: what is known of
//! its rows is forgotten afterwards.
//!
//! Law: a context is remembered only if every version that it covers was shown here or is this
//! shell's own write, so that no write of a person drops a version which that person had no chance to
//! see. What was appended is not shown. Which statements can be changed so says [`rewrite`]; what
//! their answers teach says [`observe`].
//!
//! Callers: `execute`. Pure: no I/O.

mod observe;
mod recent;
mod rewrite;

use bytes::Bytes;
use driver::KeyColumn;

use recent::Recent;

pub(crate) use observe::{Read, Seen};
pub(crate) use rewrite::{Reading, Writing, add_context, table_in_batch};

/// A table whose rows have contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiblingsTable {
    /// Its name.
    pub(crate) name: TableName,
    /// The columns of its primary key, in order.
    pub(crate) key: Vec<KeyColumn>,
}

/// The full name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableName {
    pub(crate) keyspace: String,
    pub(crate) table: String,
}

/// What names one row: its table, and the bytes of its primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowName {
    table: TableName,
    key: Vec<Bytes>,
}

/// How many rows are remembered.
pub(crate) const CONTEXTS_MAX: usize = 10_000;

/// The contexts of the rows that were shown or written last.
#[derive(Debug)]
pub(crate) struct Contexts {
    known: Recent<RowName, Seen>,
    /// Rows that were known until others took their place.
    forgotten: Recent<RowName, ()>,
}

/// What the shell knows of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recall {
    /// Its context.
    Known(Seen),
    /// It knew the context, but remembers too many others since.
    Forgotten,
    /// Nothing.
    Unknown,
}

impl Contexts {
    /// No contexts yet, and never more than `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self { known: Recent::new(max), forgotten: Recent::new(max) }
    }

    /// What is known of a row.
    pub(crate) fn recall(&mut self, row: &RowName) -> Recall {
        match self.known.get(row) {
            Some(seen) => Recall::Known(seen.clone()),
            None if self.forgotten.get(row).is_some() => Recall::Forgotten,
            None => Recall::Unknown,
        }
    }

    /// Remembers what was seen of a row last.
    pub(crate) fn remember(&mut self, row: RowName, seen: Seen) {
        self.forgotten.remove(&row);
        if let Some((oldest, _)) = self.known.put(row, seen) {
            self.forgotten.put(oldest, ());
        }
    }

    /// Remembers nothing of a row: what is known of it must not be sent any more.
    pub(crate) fn forget(&mut self, row: &RowName) {
        self.known.remove(row);
        self.forgotten.remove(row);
    }

    /// Remembers nothing at all.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.forgotten.clear();
    }
}

#[cfg(test)]
mod tests;
