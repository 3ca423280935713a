//! Tables as the schema tables show them: the cluster's and the server's own alike.

use std::collections::BTreeMap;

use types::Order;
use uuid::Uuid;

use super::{Part, SystemTable, View, tables};
use crate::metadata::{ColumnKind, SpeculativeRetry, Table};

/// A table as it is shown.
pub(super) struct Described<'a> {
    pub(super) keyspace: &'a str,
    pub(super) name: &'a str,
    pub(super) id: Uuid,
    pub(super) comment: &'a str,
    pub(super) speculative_retry: SpeculativeRetry,
    pub(super) columns: Vec<DescribedColumn<'a>>,
}

/// A column as it is shown.
pub(super) struct DescribedColumn<'a> {
    pub(super) name: &'a str,
    /// `partition_key`, `clustering` or `regular`.
    pub(super) kind: &'static str,
    /// Its place in its part of the key; -1 outside.
    pub(super) position: i32,
    /// `asc`, `desc` or `none`.
    pub(super) order: &'static str,
    /// Its type as CQL writes it.
    pub(super) ty: String,
}

/// The tables of all keyspaces that are not virtual, by keyspace and name.
pub(super) fn stored<'a>(view: &View<'a>) -> Vec<Described<'a>> {
    let mut described: Vec<_> =
        tables().filter(|table| !table.is_virtual()).map(of_system).collect();
    for entry in view.snapshot.keyspaces.values() {
        described.extend(entry.tables.values().map(|table| of_table(view, table)));
    }
    described.sort_by(|one, other| (one.keyspace, one.name).cmp(&(other.keyspace, other.name)));
    described
}

/// The tables of the virtual keyspaces, by keyspace and name.
pub(super) fn virtuals() -> Vec<Described<'static>> {
    tables().filter(|table| table.is_virtual()).map(of_system).collect()
}

fn of_table<'a>(view: &View<'_>, table: &'a Table) -> Described<'a> {
    let cluster = view.snapshot.value.cluster_id;
    let columns = table.columns.iter().map(|column| {
        let (kind, position, order) = match column.kind {
            ColumnKind::Partition(at) => ("partition_key", i32::from(at), "none"),
            ColumnKind::Clustering(at, Order::Ascending) => ("clustering", i32::from(at), "asc"),
            ColumnKind::Clustering(at, Order::Descending) => ("clustering", i32::from(at), "desc"),
            ColumnKind::Regular => ("regular", -1, "none"),
        };
        DescribedColumn { name: &column.name, kind, position, order, ty: column.ty.to_string() }
    });
    Described {
        keyspace: &table.keyspace,
        name: &table.name,
        id: uuid_of(&[cluster.as_bytes(), &table.id.0.to_be_bytes()]),
        comment: &table.comment,
        speculative_retry: table.speculative_retry,
        columns: columns.collect(),
    }
}

fn of_system(table: &'static SystemTable) -> Described<'static> {
    let mut next = BTreeMap::from([("partition_key", 0), ("clustering", 0)]);
    let columns = table.columns.iter().map(|column| {
        let (kind, order) = match column.part {
            Part::Partition => ("partition_key", "none"),
            Part::Clustering => ("clustering", "asc"),
            Part::Regular => ("regular", "none"),
        };
        let position = next.get_mut(kind).map_or(-1, |next| {
            *next += 1;
            *next - 1
        });
        DescribedColumn { name: column.name, kind, position, order, ty: column.ty.to_owned() }
    });
    let columns = columns.collect();
    let id = uuid_of(&[table.keyspace.as_bytes(), b".", table.name.as_bytes()]);
    let SystemTable { keyspace, name, comment, .. } = table;
    let speculative_retry = SpeculativeRetry::DEFAULT;
    Described { keyspace, name, id, comment, speculative_retry, columns }
}

/// A UUID that follows from these bytes.
fn uuid_of(parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_md5_bytes(bytes).into_uuid()
}
