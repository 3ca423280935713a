//! The keyspace `system_traces`: how requests were carried out. Nothing is traced yet.

use super::{SystemTable, clustering, none, partition, regular};

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        keyspace: "system_traces",
        name: "events",
        comment: "tracing events",
        columns: &[
            partition("session_id", "uuid"),
            clustering("event_id", "timeuuid"),
            regular("activity", "text"),
            regular("source", "inet"),
            regular("source_elapsed", "int"),
            regular("source_port", "int"),
            regular("thread", "text"),
        ],
        rows: none,
    },
    SystemTable {
        keyspace: "system_traces",
        name: "sessions",
        comment: "tracing sessions",
        columns: &[
            partition("session_id", "uuid"),
            regular("client", "inet"),
            regular("command", "text"),
            regular("coordinator", "inet"),
            regular("coordinator_port", "int"),
            regular("duration", "int"),
            regular("parameters", "map<text, text>"),
            regular("request", "text"),
            regular("started_at", "timestamp"),
        ],
        rows: none,
    },
];
