//! Keyspaces, tables and columns, as the register stores them.
//!
//! Ids of tables and columns are minted once and never used again, so a name that was dropped and
//! made anew never shows the data of its predecessor.

use std::collections::BTreeMap;
use std::fmt;

use ring::Strategy;
use serde::{Deserialize, Serialize};
use types::CqlType;
use types::Order;

use super::speculative::SpeculativeRetry;

/// How many columns a table may have.
pub const COLUMNS_MAX: usize = 4_096;

/// How many columns a table may be given in its time, those that were dropped included: each of them
/// costs every UPDATE a little.
pub const COLUMN_IDS_MAX: u32 = 65_536;

/// A table's number, minted by the register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TableId(pub u32);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A column's number within its table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ColumnId(pub u32);

/// What becomes of writes that did not know of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Conflict {
    /// All are kept until somebody who has seen them resolves them.
    Siblings,
    /// The one with the latest timestamp is kept.
    Lww,
}

impl Conflict {
    /// Whether stand-ins count in a table that does not say: where nothing is lost by it.
    pub fn is_sloppy_by_default(self) -> bool {
        self == Self::Siblings
    }

    /// The word of the table option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Siblings => "siblings",
            Self::Lww => "lww",
        }
    }
}

/// What a column is in its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ColumnKind {
    /// Part of the partition key, at this place.
    Partition(u16),
    /// Part of the clustering key, at this place and in this order.
    Clustering(u16, Order),
    /// Outside the primary key.
    Regular,
}

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Its number, never used again in this table.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its part in the primary key.
    pub kind: ColumnKind,
    /// The type of its values.
    pub ty: CqlType,
}

/// What a CREATE TABLE asks for: a table without its number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableSpec {
    /// The keyspace it belongs to.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Its conflict mode, if the statement names one.
    pub conflict: Option<Conflict>,
    /// Whether stand-ins count, if the statement says.
    pub sloppy_quorum: Option<bool>,
    /// When reads ask one replica more.
    pub speculative_retry: SpeculativeRetry,
    /// Name, kind and type of each column; the partition key first, then the clustering key.
    pub columns: Vec<(String, ColumnKind, CqlType)>,
    /// The comment of the table.
    pub comment: String,
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Its number, never used again in this cluster.
    pub id: TableId,
    /// Raised by TRUNCATE: rows of a lower epoch are gone. Those of a table that was dropped are gone
    /// whatever their epoch is, for its number is never used again.
    pub epoch: u32,
    /// The keyspace it belongs to.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// What becomes of writes that did not know of each other.
    pub conflict: Conflict,
    /// Whether live nodes stand in for dead replicas and count towards a level.
    pub sloppy_quorum: bool,
    /// When reads ask one replica more.
    pub speculative_retry: SpeculativeRetry,
    /// The partition key in order, then the clustering key in order, then the rest by name.
    pub columns: Vec<Column>,
    /// The comment of the table.
    pub comment: String,
    /// The number that the next column gets.
    pub next_column: u32,
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of the partition key, in order.
    pub fn partition_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Partition(_)))
    }

    /// The columns of the clustering key, in order.
    pub fn clustering_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Clustering(..)))
    }

    /// The columns outside the primary key, by name.
    pub fn regular(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Regular)
    }

    /// The numbers of the columns that were dropped: what rows still hold under them is never
    /// shown.
    pub fn dropped(&self) -> impl Iterator<Item = ColumnId> {
        let is_there = |id: &ColumnId| self.columns.iter().any(|column| column.id == *id);
        (0..self.next_column).map(ColumnId).filter(move |id| !is_there(id))
    }
}

/// A keyspace and its tables.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// Which nodes hold a row.
    pub strategy: Strategy,
    /// Kept for Cassandra's sake and shown; every write is logged here.
    pub durable_writes: bool,
    /// The conflict mode of tables that name none; else the node's default decides.
    pub conflict: Option<Conflict>,
    /// Whether stand-ins count in tables that do not say; else their conflict mode decides.
    pub sloppy_quorum: Option<bool>,
    /// The tables by name.
    pub tables: BTreeMap<String, Table>,
}

/// All keyspaces and the next table's number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Schema {
    /// The keyspaces by name.
    pub keyspaces: BTreeMap<String, Keyspace>,
    /// The number that the next table gets.
    pub next_table: u32,
}
