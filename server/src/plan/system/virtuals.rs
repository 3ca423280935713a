//! The keyspaces that drivers take for virtual: `system_virtual_schema`, which lists them, and
//! `system_views`, with what Starling knows of its tables beyond Cassandra.

use types::Value;

use super::describe::virtuals;
use super::schema::column_rows;
use super::{Record, SystemTable, View, clustering, partition, regular, text};

pub(super) const VIEWS: &[SystemTable] = &[SystemTable {
    keyspace: "system_views",
    name: "tables",
    comment: "what becomes of concurrent writes, and whether others stand in, table by table",
    columns: &[
        partition("keyspace_name", "text"),
        clustering("table_name", "text"),
        regular("conflict", "text"),
        regular("sloppy_quorum", "boolean"),
    ],
    rows: conflict_modes,
}];

pub(super) const SCHEMA: &[SystemTable] = &[
    SystemTable {
        keyspace: "system_virtual_schema",
        name: "columns",
        comment: "virtual column definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            clustering("column_name", "text"),
            regular("clustering_order", "text"),
            regular("column_name_bytes", "blob"),
            regular("kind", "text"),
            regular("position", "int"),
            regular("type", "text"),
        ],
        rows: |_| column_rows(&virtuals()),
    },
    SystemTable {
        keyspace: "system_virtual_schema",
        name: "keyspaces",
        comment: "virtual keyspace definitions",
        columns: &[partition("keyspace_name", "text")],
        rows: keyspaces,
    },
    SystemTable {
        keyspace: "system_virtual_schema",
        name: "tables",
        comment: "virtual table definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            regular("comment", "text"),
        ],
        rows: table_rows,
    },
];

fn conflict_modes(view: &View<'_>) -> Vec<Record> {
    let tables = view.snapshot.keyspaces.values().flat_map(|entry| entry.tables.values());
    let record = |table: &crate::metadata::Table| {
        vec![
            ("keyspace_name", text(&table.keyspace)),
            ("table_name", text(&table.name)),
            ("conflict", text(table.conflict.name())),
            ("sloppy_quorum", Value::Boolean(table.sloppy_quorum)),
        ]
    };
    tables.map(|table| record(table)).collect()
}

fn keyspaces(_: &View<'_>) -> Vec<Record> {
    let mut names: Vec<_> = virtuals().iter().map(|table| table.keyspace.to_owned()).collect();
    names.dedup();
    names.into_iter().map(|name| vec![("keyspace_name", text(name))]).collect()
}

fn table_rows(_: &View<'_>) -> Vec<Record> {
    let record = |table: &super::describe::Described<'_>| {
        vec![
            ("keyspace_name", text(table.keyspace)),
            ("table_name", text(table.name)),
            ("comment", text(table.comment)),
        ]
    };
    virtuals().iter().map(record).collect()
}
