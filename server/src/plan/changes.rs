//! What the statements of one request do to which rows, brought together by partition.
//!
//! ```text
//! statements -> items -> [reads that some of them need] -> one PartitionWrite a partition
//! ```
//!
//! A removal of a stretch of a siblings table has to know its rows, and an edit of a list by place
//! its elements; [`ChangesOp`] says what to read for them. Law: nothing is written before all of
//! this is read and within its limits; all changes of one partition key of one keyspace are one
//! commit on each replica, in the order of their statements.
//!
//! Callers: `write` and `batch` make it, `front` runs its reads. Pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use repair::cells::{Ranges, Row};
use repair::version::{Change, ColumnChange, Write};
use ring::Token;
use types::Consistency;

use super::catalog::full_name;
use super::cells::{Written, partition_of};
use super::key::Stretch;
use super::prepared::BindContext;
use super::remove::RemoveOp;
use super::{PlanError, Round};
use crate::coord::{PartitionWrite, RowChange};
use crate::metadata::Table;
use crate::replica::RowCopy;
use crate::store::keys::{PartitionPrefix, RowKey};

/// A removal of many rows is cut into commits of so many.
const REMOVALS_A_COMMIT: usize = 100;

/// From here on a batch over several partitions is warned of, in bytes.
const BATCH_BYTES_WARN: usize = 5 << 10;

/// From here on an UNLOGGED batch is warned of, in partitions.
const BATCH_PARTITIONS_WARN: usize = 10;

/// What to read before the changes are known.
#[derive(Debug, Clone)]
pub enum ChangesRead {
    /// One row.
    Row {
        /// The table.
        table: Arc<Table>,
        /// The row.
        key: RowKey,
    },
    /// Some rows.
    Rows {
        /// The table.
        table: Arc<Table>,
        /// Which.
        round: Round,
    },
}

/// All that one request writes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Partition by partition.
    pub writes: Vec<PartitionWrite>,
    /// What the client is warned of.
    pub warnings: Vec<String>,
}

/// What a statement does to a row or a stretch.
#[derive(Debug, Clone)]
enum Item {
    Versioned { table: Arc<Table>, key: RowKey, write: Write, reads_first: bool },
    Cells { table: Arc<Table>, key: RowKey, written: Written },
    Ranges { table: Arc<Table>, partition: PartitionPrefix, ranges: Ranges },
    Removal { table: Arc<Table>, partitions: Vec<PartitionPrefix>, rows: RemoveOp },
}

/// The changes of one request, some of which may have to be read for. Reads and writes nothing
/// itself.
#[derive(Debug, Clone)]
pub struct ChangesOp {
    level: Consistency,
    now_us: i64,
    is_batch: bool,
    bytes: usize,
    bytes_max: usize,
    items: Vec<Item>,
    /// Items before this one need nothing read.
    at: usize,
}

impl ChangesOp {
    pub(super) fn new(level: Consistency, request: &BindContext<'_>) -> Self {
        Self {
            level,
            now_us: request.now_us,
            is_batch: false,
            bytes: 0,
            bytes_max: usize::MAX,
            items: Vec::new(),
            at: 0,
        }
    }

    /// Of a BATCH, which may write so much and is warned of.
    pub(super) fn of_batch(self, request: &BindContext<'_>) -> Self {
        Self { is_batch: true, bytes_max: request.limits.batch_bytes_max, ..self }
    }

    /// How many replicas each read and each write waits for.
    pub fn level(&self) -> Consistency {
        self.level
    }

    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Changes a row of a siblings table.
    pub(super) fn write(
        &mut self,
        table: &Arc<Table>,
        key: RowKey,
        write: Write,
        reads_first: bool,
    ) -> Result<(), PlanError> {
        self.count(|| key.as_bytes().len() + change_bytes(&write.change))?;
        let table = Arc::clone(table);
        self.items.push(Item::Versioned { table, key, write, reads_first });
        Ok(())
    }

    /// Writes cells into a row.
    pub(super) fn cells(
        &mut self,
        table: &Arc<Table>,
        key: RowKey,
        written: Written,
    ) -> Result<(), PlanError> {
        self.count(|| key.as_bytes().len() + written.row.encode().len())?;
        self.items.push(Item::Cells { table: Arc::clone(table), key, written });
        Ok(())
    }

    /// Removes a stretch of a partition.
    pub(super) fn ranges(
        &mut self,
        table: &Arc<Table>,
        partition: PartitionPrefix,
        ranges: Ranges,
    ) -> Result<(), PlanError> {
        self.count(|| partition.as_bytes().len() + ranges.encode().len())?;
        self.items.push(Item::Ranges { table: Arc::clone(table), partition, ranges });
        Ok(())
    }

    /// Removes all rows of some stretches of a siblings table.
    pub(super) fn removal(
        &mut self,
        table: &Arc<Table>,
        stretches: &[Stretch],
        request: &BindContext<'_>,
    ) {
        let partitions = stretches.iter().filter_map(partition_of).collect();
        let rows = RemoveOp::new(stretches, request);
        self.items.push(Item::Removal { table: Arc::clone(table), partitions, rows });
    }

    /// Counts what a batch writes; what a statement alone writes has no bound of its own.
    fn count(&mut self, bytes: impl FnOnce() -> usize) -> Result<(), PlanError> {
        if !self.is_batch {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(bytes());
        if self.bytes > self.bytes_max {
            return Err(PlanError::BatchTooLarge { bytes: self.bytes, max: self.bytes_max });
        }
        Ok(())
    }

    /// What to read next; none when all changes are known.
    pub fn next_read(&mut self) -> Option<ChangesRead> {
        while let Some(item) = self.items.get(self.at) {
            match item {
                Item::Cells { table, key, written } if !written.lists.is_empty() => {
                    let (table, key) = (Arc::clone(table), key.clone());
                    return Some(ChangesRead::Row { table, key });
                }
                Item::Removal { table, rows, .. } => {
                    if let Some(round) = rows.next_round() {
                        return Some(ChangesRead::Rows { table: Arc::clone(table), round });
                    }
                }
                Item::Cells { .. } | Item::Versioned { .. } | Item::Ranges { .. } => {}
            }
            self.at += 1;
        }
        None
    }

    /// Takes the row that was asked for.
    ///
    /// # Errors
    /// [`PlanError::ListIndex`] where a list of it has no such place.
    pub fn on_row(&mut self, row: &RowCopy) -> Result<(), PlanError> {
        if let (Some(Item::Cells { written, .. }), RowCopy::Cells(row)) =
            (self.items.get_mut(self.at), row)
        {
            let lists = std::mem::take(&mut written.lists);
            lists.write(row, self.now_us, &mut written.row)?;
        }
        self.at += 1;
        Ok(())
    }

    /// Takes the rows that were asked for, and the key behind which the next ones begin.
    ///
    /// # Errors
    /// [`PlanError::TooManyRows`], and then nothing is written; [`PlanError::Damaged`].
    pub fn on_rows(
        &mut self,
        rows: Vec<(Bytes, RowCopy)>,
        resume_after: Option<Bytes>,
    ) -> Result<(), PlanError> {
        let siblings = |(key, row): (Bytes, RowCopy)| Some((key, row.into_siblings()?));
        match self.items.get_mut(self.at) {
            Some(Item::Removal { rows: removal, .. }) => {
                removal.on_rows(rows.into_iter().filter_map(siblings).collect(), resume_after)
            }
            _ => Ok(()),
        }
    }

    /// All changes, partition by partition. Whoever asks has read what there was to read.
    pub fn finish(self) -> Changes {
        let tables = self.tables();
        let (is_batch, bytes) = (self.is_batch, self.bytes);
        let mut gathered = Gathered::default();
        for item in self.items {
            gathered.add(item);
        }
        let writes = gathered.finish(self.level, is_batch);
        let warnings = if is_batch { warnings(writes.len(), bytes, &tables) } else { Vec::new() };
        Changes { writes, warnings }
    }

    /// The full names of the tables that are written.
    fn tables(&self) -> Vec<String> {
        let mut tables: Vec<String> = Vec::new();
        for item in &self.items {
            let (Item::Versioned { table, .. }
            | Item::Cells { table, .. }
            | Item::Ranges { table, .. }
            | Item::Removal { table, .. }) = item;
            let name = full_name(table);
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
        tables
    }

    /// How many partitions are written, as far as is known before anything is read.
    pub(super) fn partitions(&self) -> usize {
        let mut names: Vec<PartitionName> = Vec::new();
        for item in &self.items {
            match item {
                Item::Versioned { table, key, .. } | Item::Cells { table, key, .. } => {
                    names.push(name(table, &key.partition()));
                }
                Item::Ranges { table, partition, .. } => names.push(name(table, partition)),
                Item::Removal { table, partitions, .. } => {
                    names.extend(partitions.iter().map(|it| name(table, it)));
                }
            }
        }
        names.sort();
        names.dedup();
        names.len()
    }
}

/// Keyspace, token and partition key.
type PartitionName = (String, Token, Vec<u8>);

fn name(table: &Table, partition: &PartitionPrefix) -> PartitionName {
    let key = partition.row(&[]);
    (table.keyspace.clone(), key.token(), key.partition_key())
}

fn warnings(partitions: usize, bytes: usize, tables: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let tables = tables.join(", ");
    if partitions > 1 && bytes > BATCH_BYTES_WARN {
        let over = bytes - BATCH_BYTES_WARN;
        warnings.push(format!(
            "Batch for [{tables}] is of size {bytes}, exceeding specified threshold of \
             {BATCH_BYTES_WARN} by {over}."
        ));
    }
    if partitions > BATCH_PARTITIONS_WARN {
        warnings.push(format!(
            "Unlogged batch covering {partitions} partitions detected against [{tables}]. You \
             should use asynchronous writes for performance."
        ));
    }
    warnings
}

/// How much a change of a siblings row writes, roughly.
fn change_bytes(change: &Change) -> usize {
    let of_column = |change: &ColumnChange| match change {
        ColumnChange::Set { value, .. } => value.len(),
        ColumnChange::Clear => 0,
        ColumnChange::SetAdd { elements, .. }
        | ColumnChange::SetRemove { elements, .. }
        | ColumnChange::ListAdd { elements, .. }
        | ColumnChange::ListRemove { elements, .. } => elements.len(),
        ColumnChange::ListPut { places, .. } => {
            places.values().flatten().map(|value| 4 + value.len()).sum()
        }
        ColumnChange::MapPut { removed, entries, .. } => removed.len() + entries.len(),
    };
    match change {
        Change::Insert { columns, .. } => columns.as_bytes().len(),
        Change::Update(changes) => changes.values().map(of_column).sum(),
        Change::Remove => 0,
    }
}

/// What was gathered for one key of a table of last-write-wins.
#[derive(Debug, Clone, Default)]
struct Operand {
    row: Row,
    ranges: Ranges,
}

#[derive(Debug, Default)]
struct Gathered {
    places: BTreeMap<PartitionName, usize>,
    /// The operands of cells are empty until all that join are there.
    partitions: Vec<(Token, Vec<RowChange>)>,
    operands: BTreeMap<Bytes, Operand>,
}

impl Gathered {
    fn add(&mut self, item: Item) {
        match item {
            Item::Versioned { table, key, write, reads_first } => {
                let change = RowChange::Versioned {
                    table: Arc::clone(&table),
                    key: key.clone(),
                    write,
                    reads_first,
                };
                self.partition(&table, &key.partition()).push(change);
            }
            Item::Cells { table, key, written } => {
                let operand = self.operand(&table, &key.partition(), key.as_bytes());
                operand.row.merge(&written.row);
            }
            Item::Ranges { table, partition, ranges } => {
                let key = partition.as_bytes().clone();
                self.operand(&table, &partition, &key).ranges.merge(&ranges);
            }
            Item::Removal { table, rows, .. } => {
                for removal in rows.finish() {
                    let table = Arc::clone(&table);
                    let (key, write, reads_first) = (removal.key, removal.write, false);
                    self.add(Item::Versioned { table, key, write, reads_first });
                }
            }
        }
    }

    fn partition(&mut self, table: &Table, partition: &PartitionPrefix) -> &mut Vec<RowChange> {
        let name = name(table, partition);
        let token = name.1;
        let at = *self.places.entry(name).or_insert_with(|| {
            self.partitions.push((token, Vec::new()));
            self.partitions.len() - 1
        });
        &mut self.partitions[at].1
    }

    fn operand(
        &mut self,
        table: &Arc<Table>,
        partition: &PartitionPrefix,
        key: &Bytes,
    ) -> &mut Operand {
        if !self.operands.contains_key(key) {
            let (of, key, operand) = (Arc::clone(table), key.clone(), Bytes::new());
            let change = RowChange::Cells { table: of, key, operand };
            self.partition(table, partition).push(change);
        }
        match self.operands.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Operand::default()),
        }
    }

    /// One commit a partition; of a statement that removes many rows, one for each hundred.
    fn finish(mut self, level: Consistency, is_batch: bool) -> Vec<PartitionWrite> {
        let mut all = Vec::new();
        for (token, mut changes) in self.partitions {
            for change in &mut changes {
                if let RowChange::Cells { key, operand, .. } = change {
                    let Operand { row, ranges } = self.operands.remove(key).unwrap_or_default();
                    let bytes = if ranges.is_empty() { row.encode() } else { ranges.encode() };
                    *operand = bytes.into();
                }
            }
            let most = if is_batch { changes.len() } else { REMOVALS_A_COMMIT };
            while changes.len() > most {
                let rest = changes.split_off(most);
                all.push(PartitionWrite { token, changes, level });
                changes = rest;
            }
            all.push(PartitionWrite { token, changes, level });
        }
        all
    }
}
