//! The system tables: what drivers ask about the cluster and its schema.
//!
//! No row of them is stored. Each table is a list of columns and a function that makes its rows out
//! of the metadata that the request holds and of what this node says about itself, so every node
//! answers alike, and at once, whatever level was asked for. Drivers read columns by name; names and
//! types are those of Cassandra 5.0. The keyspaces list themselves, as Cassandra's do.
//!
//! Callers: `catalog` finds a table, `prepared` reads it. Pure.

mod cluster;
mod describe;
mod schema;
mod select;
mod traces;
mod virtuals;

use std::collections::BTreeMap;

use ring::HostId;
use types::{CqlType, Value};

pub(super) use select::SystemSelect;

use super::prepared::LocalNode;
use crate::cluster::Told;
use crate::metadata::Snapshot;

/// The release of Cassandra whose system tables these are like; drivers choose their parsers by it.
pub const RELEASE_VERSION: &str = "5.0.0";
/// The version of the language.
pub const CQL_VERSION: &str = "3.4.7";

/// Keyspaces that users can neither make nor change. Not all of them exist.
const RESERVED: &[&str] = &[
    "system",
    "system_auth",
    "system_distributed",
    "system_schema",
    "system_traces",
    "system_views",
    "system_virtual_schema",
];

/// A table that this node answers by itself.
#[derive(Debug)]
pub(super) struct SystemTable {
    pub(super) keyspace: &'static str,
    pub(super) name: &'static str,
    comment: &'static str,
    columns: &'static [SystemColumn],
    rows: fn(&View<'_>) -> Vec<Record>,
}

/// A column of a system table.
#[derive(Debug)]
struct SystemColumn {
    name: &'static str,
    part: Part,
    /// The type as CQL writes it.
    ty: &'static str,
}

/// A column's part in the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Partition,
    Clustering,
    Regular,
}

/// What the rows are made of.
struct View<'a> {
    snapshot: &'a Snapshot,
    local: &'a LocalNode,
    told: &'a BTreeMap<HostId, Told>,
}

/// The cells of a row that are not null, by column.
type Record = Vec<(&'static str, Value)>;

/// Every system table, by keyspace and name.
fn tables() -> impl Iterator<Item = &'static SystemTable> {
    [cluster::TABLES, schema::TABLES, traces::TABLES, virtuals::VIEWS, virtuals::SCHEMA]
        .into_iter()
        .flatten()
}

/// Whether a keyspace is the server's own.
pub(super) fn is_system(keyspace: &str) -> bool {
    RESERVED.contains(&keyspace)
}

/// The system table of this name.
pub(super) fn table(keyspace: &str, name: &str) -> Option<&'static SystemTable> {
    tables().find(|table| table.keyspace == keyspace && table.name == name)
}

impl SystemColumn {
    fn kind(&self) -> CqlType {
        self.ty.parse().expect("the types of the system tables are well-formed")
    }
}

impl SystemTable {
    /// Whether its keyspace is listed among the virtual ones.
    fn is_virtual(&self) -> bool {
        matches!(self.keyspace, "system_views" | "system_virtual_schema")
    }
}

const fn partition(name: &'static str, ty: &'static str) -> SystemColumn {
    SystemColumn { name, part: Part::Partition, ty }
}

const fn clustering(name: &'static str, ty: &'static str) -> SystemColumn {
    SystemColumn { name, part: Part::Clustering, ty }
}

const fn regular(name: &'static str, ty: &'static str) -> SystemColumn {
    SystemColumn { name, part: Part::Regular, ty }
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// A map from texts to texts.
fn text_map<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (text(key), text(value))).collect())
}

/// The rows of a table that has none.
fn none(_: &View<'_>) -> Vec<Record> {
    Vec::new()
}

#[cfg(test)]
mod tests;
