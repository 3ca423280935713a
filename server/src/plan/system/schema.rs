//! The keyspace `system_schema`: keyspaces, tables and columns.
//!
//! Options that tune Cassandra's storage are shown with Cassandra's defaults. Views, types,
//! functions, aggregates, indexes and triggers do not exist yet, so their tables are empty; drivers
//! read them all the same.

use ring::Strategy;
use types::Value;

use super::describe::{Described, DescribedColumn, stored};
use super::{
    Record, SystemTable, View, clustering, none, partition, regular, tables, text, text_map,
};

const LOCATOR: &str = "org.apache.cassandra.locator.";

/// The options that tables and views share, behind the columns of their keys.
macro_rules! with_options {
    ($($column:expr),* $(,)?) => {
        &[
            $($column,)*
            regular("additional_write_policy", "text"),
            regular("allow_auto_snapshot", "boolean"),
            regular("bloom_filter_fp_chance", "double"),
            regular("caching", "frozen<map<text, text>>"),
            regular("cdc", "boolean"),
            regular("comment", "text"),
            regular("compaction", "frozen<map<text, text>>"),
            regular("compression", "frozen<map<text, text>>"),
            regular("crc_check_chance", "double"),
            regular("dclocal_read_repair_chance", "double"),
            regular("default_time_to_live", "int"),
            regular("extensions", "frozen<map<text, blob>>"),
            regular("gc_grace_seconds", "int"),
            regular("id", "uuid"),
            regular("incremental_backups", "boolean"),
            regular("max_index_interval", "int"),
            regular("memtable", "text"),
            regular("memtable_flush_period_in_ms", "int"),
            regular("min_index_interval", "int"),
            regular("read_repair", "text"),
            regular("read_repair_chance", "double"),
            regular("speculative_retry", "text"),
        ]
    };
}

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        keyspace: "system_schema",
        name: "aggregates",
        comment: "user defined aggregate definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("aggregate_name", "text"),
            clustering("argument_types", "frozen<list<text>>"),
            regular("final_func", "text"),
            regular("initcond", "text"),
            regular("return_type", "text"),
            regular("state_func", "text"),
            regular("state_type", "text"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "columns",
        comment: "column definitions",
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
        rows: columns,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "dropped_columns",
        comment: "dropped column registry",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            clustering("column_name", "text"),
            regular("dropped_time", "timestamp"),
            regular("kind", "text"),
            regular("type", "text"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "functions",
        comment: "user defined function definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("function_name", "text"),
            clustering("argument_types", "frozen<list<text>>"),
            regular("argument_names", "frozen<list<text>>"),
            regular("body", "text"),
            regular("called_on_null_input", "boolean"),
            regular("language", "text"),
            regular("return_type", "text"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "indexes",
        comment: "secondary index definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            clustering("index_name", "text"),
            regular("kind", "text"),
            regular("options", "frozen<map<text, text>>"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "keyspaces",
        comment: "keyspace definitions",
        columns: &[
            partition("keyspace_name", "text"),
            regular("durable_writes", "boolean"),
            regular("replication", "frozen<map<text, text>>"),
        ],
        rows: keyspaces,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "tables",
        comment: "table definitions",
        columns: with_options![
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            regular("flags", "frozen<set<text>>"),
        ],
        rows: table_rows,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "triggers",
        comment: "trigger definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            clustering("trigger_name", "text"),
            regular("options", "frozen<map<text, text>>"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "types",
        comment: "user defined type definitions",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("type_name", "text"),
            regular("field_names", "frozen<list<text>>"),
            regular("field_types", "frozen<list<text>>"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_schema",
        name: "views",
        comment: "view definitions",
        columns: with_options![
            partition("keyspace_name", "text"),
            clustering("view_name", "text"),
            regular("base_table_id", "uuid"),
            regular("base_table_name", "text"),
            regular("include_all_columns", "boolean"),
            regular("where_clause", "text"),
        ],
        rows: none,
    },
];

fn keyspaces(view: &View<'_>) -> Vec<Record> {
    let record = |name: &str, durable_writes, replication| {
        vec![
            ("keyspace_name", text(name)),
            ("durable_writes", Value::Boolean(durable_writes)),
            ("replication", replication),
        ]
    };
    let local = || text_map([("class", format!("{LOCATOR}LocalStrategy"))]);
    let mut own: Vec<&str> =
        tables().filter(|table| !table.is_virtual()).map(|table| table.keyspace).collect();
    own.dedup();
    let own = own.into_iter().map(|name| record(name, true, local()));
    let users = view.snapshot.keyspaces.values().map(|entry| {
        let keyspace = &entry.keyspace;
        record(&keyspace.name, keyspace.durable_writes, replication(&keyspace.strategy))
    });
    own.chain(users).collect()
}

/// A strategy as drivers read it: every key but the class is a data center.
fn replication(strategy: &Strategy) -> Value {
    match strategy {
        Strategy::Simple { replication_factor } => text_map([
            ("class", format!("{LOCATOR}SimpleStrategy")),
            ("replication_factor", replication_factor.to_string()),
        ]),
        Strategy::NetworkTopology(factors) => {
            let named = factors.iter().filter(|(_, factor)| **factor > 0);
            let named = named.map(|(name, factor)| (name.as_str(), factor.to_string()));
            let class = ("class", format!("{LOCATOR}NetworkTopologyStrategy"));
            text_map([class].into_iter().chain(named))
        }
    }
}

fn table_rows(view: &View<'_>) -> Vec<Record> {
    stored(view).iter().map(table_row).collect()
}

fn table_row(table: &Described<'_>) -> Record {
    let compaction = "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy";
    let compression = "org.apache.cassandra.io.compress.LZ4Compressor";
    vec![
        ("keyspace_name", text(table.keyspace)),
        ("table_name", text(table.name)),
        ("additional_write_policy", text("99p")),
        ("bloom_filter_fp_chance", Value::Double(0.01)),
        (
            "caching",
            text_map([("keys", "ALL".to_owned()), ("rows_per_partition", "NONE".to_owned())]),
        ),
        ("comment", text(table.comment)),
        ("compaction", text_map([("class", compaction.to_owned())])),
        ("compression", text_map([("class", compression.to_owned())])),
        ("crc_check_chance", Value::Double(1.0)),
        ("dclocal_read_repair_chance", Value::Double(0.0)),
        ("default_time_to_live", Value::Int(0)),
        ("extensions", Value::Map(Vec::new())),
        // Without it a table passes for one of COMPACT STORAGE, and drivers drop its columns.
        ("flags", Value::Set(vec![text("compound")])),
        ("gc_grace_seconds", Value::Int(864_000)),
        ("id", Value::Uuid(table.id)),
        ("max_index_interval", Value::Int(2_048)),
        ("memtable_flush_period_in_ms", Value::Int(0)),
        ("min_index_interval", Value::Int(128)),
        ("read_repair", text("BLOCKING")),
        ("read_repair_chance", Value::Double(0.0)),
        ("speculative_retry", text(table.speculative_retry.to_string())),
    ]
}

fn columns(view: &View<'_>) -> Vec<Record> {
    column_rows(&stored(view))
}

/// The columns of some tables.
pub(super) fn column_rows(tables: &[Described<'_>]) -> Vec<Record> {
    let rows = |table: &Described<'_>| {
        let mut columns: Vec<_> = table.columns.iter().collect();
        columns.sort_by_key(|column| column.name);
        columns.into_iter().map(|column| column_row(table, column)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(rows).collect()
}

fn column_row(table: &Described<'_>, column: &DescribedColumn<'_>) -> Record {
    vec![
        ("keyspace_name", text(table.keyspace)),
        ("table_name", text(table.name)),
        ("column_name", text(column.name)),
        ("clustering_order", text(column.order)),
        ("column_name_bytes", Value::Blob(column.name.as_bytes().to_vec().into())),
        ("kind", text(column.kind)),
        ("position", Value::Int(column.position)),
        ("type", text(&column.ty)),
    ]
}
