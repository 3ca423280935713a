//! What drivers ask, as they ask it, and what they are told.

use types::CqlType;

use super::tables;
use crate::cluster::Told;
use crate::plan::fixture::{Fixture, Sent, Shown, shown, specs};
use crate::plan::{Plan, PlanError};

fn ask(fixture: &Fixture, text: &str) -> Result<Shown, PlanError> {
    ask_with(fixture, text, &[])
}

fn ask_with(fixture: &Fixture, text: &str, sent: &[Sent<'_>]) -> Result<Shown, PlanError> {
    match fixture.plan_with(text, sent)? {
        Plan::Rows(rows) => Ok(shown(&rows.columns, |out| rows.write(out))),
        other => panic!("{text}: {other:?}"),
    }
}

fn texts(fixture: &Fixture, text: &str) -> Vec<String> {
    ask(fixture, text).unwrap_or_else(|error| panic!("{text}: {error}")).texts()
}

/// The statements of the drivers, letter by letter, that must find what they look for.
const LITERAL: &[&str] = &[
    // cassandra-driver and cqlsh.
    "SELECT * FROM system.peers_v2",
    "SELECT * FROM system.peers",
    "SELECT * FROM system.local WHERE key='local'",
    "select * from system.local where key = 'local'",
    "SELECT * FROM system_schema.keyspaces",
    "SELECT * FROM system_schema.tables",
    "SELECT * FROM system_schema.columns",
    "SELECT * FROM system_schema.types",
    "SELECT * FROM system_schema.functions",
    "SELECT * FROM system_schema.aggregates",
    "SELECT * FROM system_schema.triggers",
    "SELECT * FROM system_schema.indexes",
    "SELECT * FROM system_schema.views",
    "SELECT * from system_virtual_schema.keyspaces",
    "SELECT * from system_virtual_schema.tables",
    "SELECT * from system_virtual_schema.columns",
    "SELECT host_id, peer, peer_port, native_address, native_port, schema_version FROM system.peers_v2",
    "SELECT schema_version FROM system.local WHERE key='local'",
    "SELECT * FROM system_schema.tables WHERE keyspace_name = 'app' AND table_name = 't'",
    "SELECT * FROM system_schema.columns WHERE keyspace_name = 'app' AND table_name = 't'",
    "SELECT * FROM system_schema.indexes WHERE keyspace_name = 'app' AND table_name = 't'",
    "SELECT * FROM system_schema.triggers WHERE keyspace_name = 'app' AND table_name = 't'",
    "SELECT * FROM system_schema.views WHERE keyspace_name = 'app' AND view_name = 't'",
    "SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'app'",
    "SELECT * FROM system_schema.types WHERE keyspace_name = 'app' AND type_name = 'x'",
    "SELECT host_id, cluster_name, data_center, rack, partitioner, release_version, schema_version FROM system.local WHERE key='local'",
    "SELECT rpc_address FROM system.local WHERE key='local'",
    "SELECT host_id, peer, data_center, rack, rpc_address, rpc_address, release_version, schema_version FROM system.peers",
    "SELECT * FROM system_traces.sessions WHERE session_id = 550e8400-e29b-41d4-a716-446655440000",
    "SELECT * FROM system_traces.events WHERE session_id = 550e8400-e29b-41d4-a716-446655440000",
    // scylla-driver.
    "SELECT broadcast_address, cluster_name, data_center, host_id, listen_address, partitioner, rack, release_version, rpc_address, schema_version, tokens FROM system.local WHERE key='local'",
    "SELECT peer, data_center, host_id, rack, release_version, rpc_address, schema_version, tokens FROM system.peers",
    // The Node driver.
    "SELECT schema_version FROM system.local",
    "SELECT schema_version FROM system.peers",
    // The scylla crate.
    "SELECT host_id, rpc_address, data_center, rack, tokens FROM system.peers",
    "SELECT host_id, rpc_address, data_center, rack, tokens, cluster_name FROM system.local WHERE key='local'",
    "SELECT keyspace_name, type_name, field_names, field_types FROM system_schema.types",
    "SELECT keyspace_name, table_name, column_name, kind, position, type FROM system_schema.columns",
    "SELECT keyspace_name, table_name FROM system_schema.tables",
    "SELECT keyspace_name, view_name, base_table_name FROM system_schema.views",
    "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces",
    "select keyspace_name, replication from system_schema.keyspaces",
    "SELECT cluster_name, release_version FROM system.local",
    // Our own shell.
    "SELECT keyspace_name, table_name, conflict FROM system_views.tables",
];

#[test]
fn what_drivers_ask_is_answered() {
    let fixture = Fixture::new();
    for text in LITERAL {
        ask(&fixture, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    for text in [
        "SELECT client, command, coordinator, duration, parameters, request, started_at FROM system_traces.sessions WHERE session_id = ?",
        "SELECT event_id, activity, source, source_elapsed, thread FROM system_traces.events WHERE session_id = ?",
    ] {
        assert_eq!(ask_with(&fixture, text, &[Sent::Bytes(&[0; 16])]).unwrap().rows.len(), 0);
    }
}

#[test]
fn every_table_has_types_that_are_and_rows_that_fit() {
    let fixture = Fixture::new();
    for table in tables() {
        let all =
            ask(&fixture, &format!("SELECT * FROM {}.{}", table.keyspace, table.name)).unwrap();
        let (mut names, mut regular) = (Vec::new(), Vec::new());
        for column in table.columns {
            let is_key = column.part != super::Part::Regular;
            if is_key { names.push(column.name) } else { regular.push(column.name) }
        }
        regular.sort_unstable();
        names.append(&mut regular);
        assert_eq!(all.names(), names, "the key, then the others by name");
        all.texts(); // Every cell is a value of its column's type.
        let Fixture { snapshot, local, told, .. } = &fixture;
        let records = (table.rows)(&super::View { snapshot, local, told });
        for (name, _) in records.iter().flatten() {
            assert!(names.contains(name), "{}.{} has no {name}", table.keyspace, table.name);
        }
    }
}

#[test]
fn a_peer_has_the_version_of_the_schema_that_it_told_last() {
    let mut fixture = Fixture::new();
    let ours = fixture.snapshot.schema_version.to_string();
    let all = "SELECT schema_version FROM system.peers";
    assert_eq!(texts(&fixture, all), [ours.as_str(); 2]);
    let behind = Told { schema_version: uuid::Uuid::nil(), ..Told::of(&fixture.snapshot) };
    let peer = fixture.snapshot.value.peers_of(fixture.local.host).next().unwrap().host;
    fixture.told.insert(peer, behind);
    let mut versions = texts(&fixture, all);
    versions.sort();
    let mut wanted = [uuid::Uuid::nil().to_string(), ours];
    wanted.sort();
    assert_eq!(versions, wanted);
}

#[test]
fn a_node_tells_about_itself() {
    let fixture = Fixture::new();
    let local = texts(
        &fixture,
        "SELECT key, bootstrapped, cluster_name, data_center, rack, host_id, partitioner, \
         release_version, cql_version, native_protocol_version, rpc_address, rpc_port, \
         broadcast_address, broadcast_port, listen_address, gossip_generation, starling_version, \
         truncated_at FROM system.local",
    );
    let wanted = "local | COMPLETED | flock | dc1 | r1 | 00000000-0000-0000-0000-000000000001 | \
        org.apache.cassandra.dht.Murmur3Partitioner | 5.0.0 | 3.4.7 | 4 | 127.0.0.1 | 9042 | \
        127.0.0.1 | 7000 | 127.0.0.1 | 5 | 0.1.0 (abc) | null";
    assert_eq!(local, [wanted]);
    let version = texts(&fixture, "SELECT schema_version FROM system.local");
    assert_eq!(version, [fixture.snapshot.schema_version.to_string()]);
}

#[test]
fn peers_are_the_others_that_own_partitions() {
    let fixture = Fixture::new();
    let peers = texts(&fixture, "SELECT peer, rpc_address, data_center, rack FROM system.peers");
    assert_eq!(peers, ["127.0.0.2 | 127.0.0.2 | dc1 | r2", "127.0.0.3 | 127.0.0.3 | dc2 | r3"]);
    let text = "SELECT peer, peer_port, native_address, native_port FROM system.peers_v2";
    let peers = texts(&fixture, text);
    assert_eq!(peers[0], "127.0.0.2 | 7000 | 127.0.0.2 | 9042");
    assert_eq!(peers.len(), 2, "the fourth node owns nothing");
}

#[test]
fn tokens_of_all_nodes_together_are_the_ring() {
    let fixture = Fixture::new();
    let mut shown = Vec::new();
    for table in ["local", "peers"] {
        let text = format!("SELECT tokens FROM system.{table}");
        for row in ask(&fixture, &text).unwrap().rows {
            let kind = "set<text>".parse::<CqlType>().unwrap();
            let Ok(types::Value::Set(tokens)) =
                types::Value::decode(&kind, row[0].as_ref().unwrap())
            else {
                panic!("a set")
            };
            shown.extend(
                tokens.iter().map(|token| token.plain().to_string().parse::<i64>().unwrap()),
            );
        }
    }
    shown.sort_unstable();
    let ring = &fixture.snapshot.ring;
    let mut ends: Vec<_> = ring
        .nodes()
        .iter()
        .flat_map(|node| ring.tokens_of(node.host))
        .map(ring::Token::value)
        .collect();
    ends.sort_unstable();
    assert_eq!((shown.len(), shown), (8, ends));
}

#[test]
fn a_node_without_partitions_has_no_tokens() {
    let mut fixture = Fixture::new();
    fixture.local.host = crate::plan::fixture::member(4).host;
    assert_eq!(texts(&fixture, "SELECT tokens FROM system.local"), ["null"]);
    assert_eq!(texts(&fixture, "SELECT peer FROM system.peers").len(), 3);
}

#[test]
fn keyspaces_and_tables_show_what_was_defined() {
    let mut fixture = Fixture::new();
    fixture.define(
        "CREATE KEYSPACE net WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 0} AND durable_writes = false",
    );
    let text = "SELECT replication, durable_writes FROM system_schema.keyspaces \
        WHERE keyspace_name IN ('app', 'net')";
    assert_eq!(
        texts(&fixture, text),
        [
            "{'class': 'org.apache.cassandra.locator.SimpleStrategy', 'replication_factor': '3'} | true",
            "{'class': 'org.apache.cassandra.locator.NetworkTopologyStrategy', 'dc1': '2'} | false",
        ]
    );
    let text = "SELECT table_name, flags, comment FROM system_schema.tables \
        WHERE keyspace_name = 'app' AND table_name = 't'";
    assert_eq!(texts(&fixture, text), ["t | {'compound'} | x"]);
    let text = "SELECT column_name, clustering_order, column_name_bytes, kind, position, type \
        FROM system_schema.columns WHERE keyspace_name = 'app' AND table_name = 'lines'";
    assert_eq!(
        texts(&fixture, text),
        [
            "c | desc | 0x63 | clustering | 0 | int",
            "d | asc | 0x64 | clustering | 1 | text",
            "p | none | 0x70 | partition_key | 0 | int",
            "v | none | 0x76 | regular | -1 | text",
        ]
    );
    let text =
        "SELECT conflict FROM system_views.tables WHERE keyspace_name = 'app' AND table_name = 't'";
    assert_eq!(texts(&fixture, text), ["siblings"]);
    fixture.define("ALTER TABLE app.t WITH speculative_retry = '99.5PERCENTILE'");
    let text = "SELECT speculative_retry FROM system_schema.tables \
                WHERE keyspace_name = 'app' AND table_name = 't'";
    assert_eq!(texts(&fixture, text), ["99.5p"]);
}

#[test]
fn the_servers_own_keyspaces_list_themselves() {
    let fixture = Fixture::new();
    let keyspaces = texts(&fixture, "SELECT keyspace_name FROM system_schema.keyspaces");
    assert_eq!(keyspaces, ["system", "system_schema", "system_traces", "app"]);
    let virtuals = texts(&fixture, "SELECT keyspace_name FROM system_virtual_schema.keyspaces");
    assert_eq!(virtuals, ["system_views", "system_virtual_schema"]);
    for table in tables() {
        let schema = if table.is_virtual() { "system_virtual_schema" } else { "system_schema" };
        let of = format!("keyspace_name = '{}' AND table_name = '{}'", table.keyspace, table.name);
        let listed = texts(&fixture, &format!("SELECT table_name FROM {schema}.tables WHERE {of}"));
        assert_eq!(listed, [table.name]);
        let text = format!("SELECT column_name, kind, type FROM {schema}.columns WHERE {of}");
        assert_eq!(texts(&fixture, &text).len(), table.columns.len(), "{}", table.name);
    }
    let text = "SELECT kind, position FROM system_schema.columns WHERE keyspace_name = 'system' \
        AND table_name = 'peers_v2' AND column_name IN ('peer', 'peer_port', 'rack')";
    let wanted = ["partition_key | 0", "clustering | 0", "regular | -1"];
    assert_eq!(texts(&fixture, text), wanted);
    let names = texts(&fixture, "SELECT table_name FROM system_schema.tables");
    assert!(names.iter().all(|name| !name.contains("scylla")));
}

#[test]
fn ids_of_tables_are_alike_on_all_nodes_and_differ_between_tables() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let text = "SELECT id FROM system_schema.tables";
    let mut ids = texts(&one, text);
    assert_eq!(ids, texts(&other, text));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn any_column_is_tested_with_equality_and_in() {
    let fixture = Fixture::new();
    let peers = |test: &str| texts(&fixture, &format!("SELECT peer FROM system.peers {test}"));
    assert_eq!(peers("WHERE peer = '127.0.0.2'"), ["127.0.0.2"]);
    assert_eq!(peers("WHERE rack = 'r3' AND data_center = 'dc2'"), ["127.0.0.3"]);
    assert_eq!(peers("WHERE rack = 'r3' AND data_center = 'dc1' ALLOW FILTERING"), [""; 0]);
    assert_eq!(peers("WHERE rack IN ('r3', 'r9', 'r2')"), ["127.0.0.2", "127.0.0.3"]);
    assert_eq!(peers("WHERE rack IN ()"), [""; 0]);
    assert_eq!(peers("WHERE preferred_ip = '127.0.0.2'"), [""; 0], "null is equal to nothing");
    assert_eq!(peers("LIMIT 1"), ["127.0.0.2"]);
    assert_eq!(texts(&fixture, "SELECT count(*) FROM system.peers WHERE rack = 'r2'"), ["1"]);
    let shown = ask(&fixture, "SELECT rack AS r, rack, * FROM system.peers").unwrap();
    assert_eq!(shown.names()[..3], ["r", "rack", "peer"]);
}

#[test]
fn a_list_may_come_with_the_request() {
    let fixture = Fixture::new();
    let text = "SELECT keyspace_name FROM system_schema.keyspaces where keyspace_name in ?";
    let list = CqlType::List(Box::new(CqlType::Text));
    let prepared = fixture.prepare(text).unwrap();
    assert_eq!(specs(prepared.markers()), [("in(keyspace_name)".to_owned(), list)]);
    assert_eq!(prepared.table(), Some(("system_schema", "keyspaces")));
    let sent = Sent::Bytes(b"\0\0\0\x02\0\0\0\x03app\0\0\0\x06nosuch");
    assert_eq!(ask_with(&fixture, text, &[sent]).unwrap().texts(), ["app"]);
    assert!(matches!(ask_with(&fixture, text, &[Sent::Null]), Err(PlanError::Null { .. })));
    let broken = Sent::Bytes(b"\0\0\0\x02\0\0");
    assert!(matches!(ask_with(&fixture, text, &[broken]), Err(PlanError::Value { .. })));
}
