use proptest::prelude::*;
use types::CqlType;

use super::*;
use crate::{Literal, Selector, TermKind, Test, TypeName};

/// What unmodified clients send of their own accord.
const OF_CLIENTS: &[&str] = &[
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
    "SELECT * FROM system_schema.tables WHERE keyspace_name = 'ks' AND table_name = 't2'",
    "SELECT * FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't2'",
    "SELECT * FROM system_schema.views WHERE keyspace_name = 'ks' AND view_name = 't2'",
    "SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'x'",
    "SELECT * FROM system_schema.types WHERE keyspace_name = 'ks' AND type_name = 'x'",
    "SELECT host_id, cluster_name, data_center, rack, partitioner, release_version, schema_version FROM system.local WHERE key='local'",
    "SELECT rpc_address FROM system.local WHERE key='local'",
    "SELECT host_id, peer, data_center, rack, rpc_address, rpc_address, release_version, schema_version FROM system.peers",
    "USE \"ks\"",
    "USE ks",
    "SELECT * FROM system_traces.sessions WHERE session_id = 550e8400-e29b-41d4-a716-446655440000",
    "SELECT broadcast_address, cluster_name, data_center, host_id, listen_address, partitioner, rack, release_version, rpc_address, schema_version, tokens FROM system.local WHERE key='local'",
    "SELECT peer, data_center, host_id, rack, release_version, rpc_address, schema_version, tokens FROM system.peers",
    "SELECT k, v FROM ks.t WHERE token(k) <= 0",
    "SELECT k, v FROM ks.t WHERE token(k) > -9223372036854775808 AND token(k) <= 9",
    "SELECT * FROM system_schema.columns WHERE keyspace_name='ks' AND table_name='t'",
    "SELECT schema_version FROM system.peers",
    "SELECT host_id, rpc_address, data_center, rack, tokens FROM system.peers",
    "SELECT host_id, rpc_address, data_center, rack, tokens, cluster_name FROM system.local WHERE key='local'",
    "SELECT keyspace_name, type_name, field_names, field_types FROM system_schema.types",
    "SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces",
    "SELECT keyspace_name, table_name, column_name, kind, position, type FROM system_schema.columns",
    "SELECT keyspace_name, table_name, partitioner FROM system_schema.scylla_tables",
    "SELECT keyspace_name, table_name FROM system_schema.tables",
    "SELECT keyspace_name, view_name, base_table_name FROM system_schema.views",
    "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces",
    "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces where keyspace_name in ?",
    "SELECT client, command, coordinator, duration, parameters, request, started_at FROM system_traces.sessions WHERE session_id = ?",
    "SELECT event_id, activity, source, source_elapsed, thread FROM system_traces.events WHERE session_id = ?",
    "select keyspace_name, replication from system_schema.keyspaces",
    "SELECT cluster_name, release_version FROM system.local",
    "SELECT keyspace_name FROM system.schema_keyspaces LIMIT 1",
    "CREATE KEYSPACE IF NOT EXISTS latte WITH REPLICATION = { 'class' : 'SimpleStrategy', 'replication_factor' : 1 }",
    "DROP TABLE IF EXISTS latte.basic",
    "INSERT INTO latte.basic(id, data) VALUES (:id, :data)",
    "SELECT * FROM latte.basic WHERE id = :id",
    "CREATE KEYSPACE IF NOT EXISTS \"keyspace1\" WITH REPLICATION = {'class': 'NetworkTopologyStrategy', 'replication_factor': '1'} AND durable_writes = true;",
    "CREATE TABLE IF NOT EXISTS standard1 (key blob, \"C0\" blob, \"C1\" blob, PRIMARY KEY (key)) WITH compression = {};",
    "INSERT INTO standard1 (key, \"C0\") VALUES (?,?)",
    "SELECT key, \"C0\" FROM standard1 WHERE KEY=?",
    "UPDATE counter1 SET \"C0\"=\"C0\"+?,\"C1\"=\"C1\"+? WHERE KEY=?",
    "SELECT ck, v FROM test WHERE pk = ? AND ck >= ? AND ck < ? LIMIT 10",
    "SELECT pk FROM test WHERE token(pk) >= ? AND token(pk) <= ?",
    "SELECT * FROM usertable WHERE token(y_id) >= token(?) LIMIT ?",
    "CREATE TABLE scylla_bench.test (pk bigint, ck bigint, v blob, PRIMARY KEY(pk, ck)) WITH compression = { } AND CLUSTERING ORDER BY (ck DESC)",
];

/// Statements and how they are printed.
const ACCEPTED: &[(&str, &str)] = &[
    ("use Ks;;", "USE ks"),
    ("USE \"Ks\"", "USE \"Ks\""),
    (
        "create schema ks with Replication = {'class':'NetworkTopologyStrategy','dc1':3} and conflict='lww' and sloppy_quorum=false",
        "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3} AND conflict = 'lww' AND sloppy_quorum = false",
    ),
    (
        "ALTER KEYSPACE IF EXISTS ks WITH durable_writes = TRUE",
        "ALTER KEYSPACE IF EXISTS ks WITH durable_writes = true",
    ),
    ("drop keyspace if exists ks", "DROP KEYSPACE IF EXISTS ks"),
    ("DROP COLUMNFAMILY ks.t", "DROP TABLE ks.t"),
    (
        "CREATE TABLE t (k int PRIMARY KEY, v varchar,)",
        "CREATE TABLE t (k int, v text, PRIMARY KEY (k))",
    ),
    (
        "CREATE TABLE ks.t (a int, b text, c timeuuid, s set<text> static, m frozen<map<text,list<int>>>, d decimal, u ks.Udt, x 'a.B', PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC) AND COMPACT STORAGE AND conflict = 'siblings' AND comment = 'it''s' AND gc_grace_seconds = 10",
        "CREATE TABLE ks.t (a int, b text, c timeuuid, s set<text> STATIC, m frozen<map<text, list<int>>>, d decimal, u ks.udt, x 'a.B', PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC) AND COMPACT STORAGE AND conflict = 'siblings' AND comment = 'it''s' AND gc_grace_seconds = 10",
    ),
    (
        "CREATE TABLE t (key text, ttl int, timestamp bigint, type text, values list<int>, role text, user text, count int, json text, list int, map int, date int, text text, context blob, returning int, group int, PRIMARY KEY (key, ttl))",
        "CREATE TABLE t (key text, ttl int, timestamp bigint, type text, values list<int>, role text, user text, count int, json text, list int, map int, date int, text text, context blob, returning int, group int, PRIMARY KEY (key, ttl))",
    ),
    (
        "CREATE TABLE t (a int PRIMARY KEY) WITH id = 550E8400-e29b-41d4-a716-446655440000 AND x = -1.5 AND y = word",
        "CREATE TABLE t (a int, PRIMARY KEY (a)) WITH id = 550e8400-e29b-41d4-a716-446655440000 AND x = -1.5 AND y = word",
    ),
    (
        "INSERT INTO t(k,v) VALUES('it''s',$$a'b$$) IF NOT EXISTS USING TTL 10 AND CONTEXT ? AND TIMESTAMP :ts AND CONSISTENCY local_quorum RETURNING *, context() AS c",
        "INSERT INTO t (k, v) VALUES ('it''s', 'a''b') IF NOT EXISTS USING TTL 10 AND CONTEXT ? AND TIMESTAMP :ts AND CONSISTENCY LOCAL_QUORUM RETURNING *, context() AS c",
    ),
    (
        "INSERT INTO t (a) VALUES (0XaB) USING CONTEXT 0x0102",
        "INSERT INTO t (a) VALUES (0xab) USING CONTEXT 0x0102",
    ),
    (
        "INSERT INTO t (a, b, c, d, e, f, g) VALUES (-1, 1.5e-09, NaN, -infinity, NULL, TRUE, 12345678-1234-1234-1234-123456789012)",
        "INSERT INTO t (a, b, c, d, e, f, g) VALUES (-1, 1.5e-09, NaN, -Infinity, null, true, 12345678-1234-1234-1234-123456789012)",
    ),
    (
        "INSERT INTO t (a, b, c, d, e, f) VALUES ([1,2], {'a'}, {'k':1}, {}, (1,'a'), {street:'x', \"No\":1})",
        "INSERT INTO t (a, b, c, d, e, f) VALUES ([1, 2], {'a'}, {'k': 1}, {}, (1, 'a'), {street: 'x', \"No\": 1})",
    ),
    (
        "INSERT INTO t (a, b, c, d) VALUES (now(), ks.f(?, 1), (int)?, (list<int>) [1])",
        "INSERT INTO t (a, b, c, d) VALUES (now(), ks.f(?, 1), (int) ?, (list<int>) [1])",
    ),
    ("INSERT INTO t (a) VALUES ({:k::v,?:?})", "INSERT INTO t (a) VALUES ({:k: :v, ?: ?})"),
    (
        "UPDATE t USING TTL ? AND CONTEXT ? SET a=1, b=b+{'x'}, c = c - {'y'}, d += [1], e -= ?, f = [0] + f, m['a'] = 1, u.x = 2 WHERE k = 1 AND c IN (1,2) IF EXISTS RETURNING context()",
        "UPDATE t USING TTL ? AND CONTEXT ? SET a = 1, b = b + {'x'}, c = c - {'y'}, d = d + [1], e = e - ?, f = [0] + f, m['a'] = 1, u.x = 2 WHERE k = 1 AND c IN (1, 2) IF EXISTS RETURNING context()",
    ),
    ("UPDATE t SET c=c-1 WHERE k=-1", "UPDATE t SET c = c - 1 WHERE k = -1"),
    (
        "UPDATE t SET a = 1 WHERE k = 1 IF exists = 2 AND m['a'] IN ? AND u.x != 3",
        "UPDATE t SET a = 1 WHERE k = 1 IF exists = 2 AND m['a'] IN ? AND u.x != 3",
    ),
    ("DELETE FROM t USING CONTEXT ? WHERE k = ?", "DELETE FROM t USING CONTEXT ? WHERE k = ?"),
    (
        "DELETE a, m['x'], u.f FROM t USING TIMESTAMP 5 WHERE k = 1 AND (a, b) > (1, 2) IF a = 3 RETURNING *",
        "DELETE a, m['x'], u.f FROM t USING TIMESTAMP 5 WHERE k = 1 AND (a, b) > (1, 2) IF a = 3 RETURNING *",
    ),
    (
        "SELECT context(), sibling_count(), token(a,b), WriteTime(c), ttl(c) AS left, COUNT(*), count(1), max(d), CAST(x AS text), m['k'], u.f, f(g(a), 'lit', ?) FROM ks.t",
        "SELECT context(), sibling_count(), token(a, b), writetime(c), ttl(c) AS left, count(*), count(*), max(d), CAST(x AS text), m['k'], u.f, f(g(a), 'lit', ?) FROM ks.t",
    ),
    (
        "SELECT DISTINCT a FROM t USING CONTEXT ? WHERE a = ? AND b CONTAINS 1 AND c CONTAINS KEY 'x' AND d LIKE 'y%' AND e IS NOT NULL AND token(a) <= token(?) AND (b, c) IN ((1, 2), ?) AND (f != 1) GROUP BY a, b ORDER BY b DESC, c PER PARTITION LIMIT 2 LIMIT ? ALLOW FILTERING",
        "SELECT DISTINCT a FROM t USING CONTEXT ? WHERE a = ? AND b CONTAINS 1 AND c CONTAINS KEY 'x' AND d LIKE 'y%' AND e IS NOT NULL AND token(a) <= token(?) AND (b, c) IN ((1, 2), ?) AND f != 1 GROUP BY a, b ORDER BY b DESC, c ASC PER PARTITION LIMIT 2 LIMIT ? ALLOW FILTERING",
    ),
    (
        "SELECT * FROM t WHERE k = ? LIMIT 1 USING CONSISTENCY quorum AND CONTEXT 0x00",
        "SELECT * FROM t WHERE k = ? LIMIT 1 USING CONSISTENCY QUORUM AND CONTEXT 0x00",
    ),
    ("SELECT json, distinct, \"token\" FROM t", "SELECT json, distinct, \"token\" FROM t"),
    ("SELECT json FROM t", "SELECT json FROM t"),
    ("SELECT distinct AS d FROM t", "SELECT distinct AS d FROM t"),
    (
        "SELECT a FROM t WHERE a IN () AND b IN (?) AND c IN ?",
        "SELECT a FROM t WHERE a IN () AND b IN (?) AND c IN ?",
    ),
    (
        "SELECT a FROM t ORDER BY v ANN OF [0.1, 2] LIMIT 3",
        "SELECT a FROM t ORDER BY v ANN OF [0.1, 2] LIMIT 3",
    ),
    (
        "SELECT a -- one\n, b // two\n FROM /* three */ t WHERE c <> 1",
        "SELECT a, b FROM t WHERE c != 1",
    ),
];

/// Statements about tables that are there, and how they are printed.
const ALTERED: &[(&str, &str)] = &[
    ("truncate t", "TRUNCATE t"),
    ("TRUNCATE TABLE ks.\"T\";", "TRUNCATE ks.\"T\""),
    ("TRUNCATE COLUMNFAMILY t", "TRUNCATE t"),
    ("alter columnfamily if exists ks.t add a int", "ALTER TABLE IF EXISTS ks.t ADD a int"),
    (
        "ALTER TABLE t ADD a int STATIC, b Set<VarChar>",
        "ALTER TABLE t ADD (a int STATIC, b set<text>)",
    ),
    ("ALTER TABLE t ADD IF NOT EXISTS (a int)", "ALTER TABLE t ADD IF NOT EXISTS a int"),
    ("ALTER TABLE t DROP a", "ALTER TABLE t DROP a"),
    ("ALTER TABLE t DROP compact", "ALTER TABLE t DROP compact"),
    ("ALTER TABLE t DROP COMPACT STORAGE", "ALTER TABLE t DROP COMPACT STORAGE"),
    (
        "ALTER TABLE t DROP IF EXISTS (a, b) USING TIMESTAMP 5",
        "ALTER TABLE t DROP IF EXISTS (a, b) USING TIMESTAMP 5",
    ),
    ("ALTER TABLE t RENAME a TO b", "ALTER TABLE t RENAME a TO b"),
    (
        "ALTER TABLE t RENAME IF EXISTS a TO b AND c TO \"D\"",
        "ALTER TABLE t RENAME IF EXISTS a TO b AND c TO \"D\"",
    ),
    ("ALTER TABLE t ALTER a TYPE varchar", "ALTER TABLE t ALTER a TYPE text"),
    (
        "ALTER TABLE t WITH comment='x' AND conflict = 'lww'",
        "ALTER TABLE t WITH comment = 'x' AND conflict = 'lww'",
    ),
];

/// Batches, and how they are printed.
const BATCHES: &[(&str, &str)] = &[
    ("BEGIN BATCH APPLY BATCH", "BEGIN BATCH APPLY BATCH"),
    ("begin logged batch apply batch;", "BEGIN BATCH APPLY BATCH"),
    (
        "BEGIN UNLOGGED BATCH USING TIMESTAMP ? AND CONSISTENCY one INSERT INTO t (a) VALUES (1); UPDATE t SET a += 1 WHERE b = ? DELETE FROM t WHERE a = 1; APPLY BATCH;",
        "BEGIN UNLOGGED BATCH USING TIMESTAMP ? AND CONSISTENCY ONE INSERT INTO t (a) VALUES (1); UPDATE t SET a = a + 1 WHERE b = ?; DELETE FROM t WHERE a = 1; APPLY BATCH",
    ),
    (
        "BEGIN COUNTER BATCH UPDATE t SET c = c + 1 WHERE k = 1 APPLY BATCH",
        "BEGIN COUNTER BATCH UPDATE t SET c = c + 1 WHERE k = 1; APPLY BATCH",
    ),
];

/// Statements that are known by their first words only.
const UNSUPPORTED_ONES: &[(&str, &str)] = &[
    ("ALTER TYPE u RENAME a TO b", "ALTER TYPE"),
    (
        "BEGIN BATCH DELETE FROM t WHERE a = 1; INSERT INTO ks.t JSON '{}'; APPLY BATCH;",
        "INSERT JSON",
    ),
    (
        "CREATE CUSTOM INDEX IF NOT EXISTS i ON t (v) USING 'sai' WITH OPTIONS = {'a': 'b'}",
        "CREATE INDEX",
    ),
    ("CREATE INDEX ON t (keys(m))", "CREATE INDEX"),
    ("CREATE TYPE u (a int)", "CREATE TYPE"),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM t WHERE a IS NOT NULL PRIMARY KEY (a)",
        "CREATE MATERIALIZED VIEW",
    ),
    (
        "CREATE OR REPLACE FUNCTION f (a int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS $$ return a; $$",
        "CREATE FUNCTION",
    ),
    ("CREATE AGGREGATE a (int) SFUNC f STYPE int INITCOND 0", "CREATE AGGREGATE"),
    ("CREATE ROLE r WITH PASSWORD = 'x' AND LOGIN = true", "CREATE ROLE"),
    ("DROP USER IF EXISTS u", "DROP USER"),
    ("GRANT SELECT ON KEYSPACE ks TO r", "GRANT"),
    ("REVOKE ALL PERMISSIONS ON ks.t FROM r", "REVOKE"),
    ("LIST ROLES OF r NORECURSIVE", "LIST"),
    ("DESC TABLE ks.t;", "DESCRIBE"),
    ("DESCRIBE CLUSTER", "DESCRIBE"),
    ("SELECT JSON a FROM t", "SELECT JSON"),
    ("SELECT JSON * FROM t", "SELECT JSON"),
    ("INSERT INTO t JSON '{\"a\": 1}' DEFAULT UNSET", "INSERT JSON"),
];

/// Texts that are no statement, and the whole error.
const REFUSED: &[(&str, &str)] = &[
    (
        "",
        "line 1:1: expected a statement (SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, USE…), found end of text",
    ),
    (
        " -- a\n;",
        "line 2:1: expected a statement (SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, USE…), found `;`",
    ),
    (
        "SELEC * FROM t",
        "line 1:1: expected a statement (SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, USE…), found `SELEC`",
    ),
    ("SELECT FROM t", "line 1:8: expected a column, a function or a value, found `FROM`"),
    ("SELECT a b FROM t", "line 1:10: expected FROM, found `b`"),
    ("SELECT a, FROM t", "line 1:11: expected a column, a function or a value, found `FROM`"),
    ("SELECT a FROM", "line 1:14: expected a table, found end of text"),
    ("SELECT a FROM select", "line 1:15: expected a table, found `select`"),
    ("SELECT a FROM t WHERE", "line 1:22: expected a column, found end of text"),
    (
        "SELECT a FROM t WHERE a",
        "line 1:24: expected an operator (=, !=, <, <=, >, >=, IN, CONTAINS, LIKE or IS NOT NULL), found end of text",
    ),
    ("SELECT a FROM t WHERE a = b", "line 1:27: expected a value, found `b`"),
    (
        "SELECT a FROM t WHERE a = 1 OR b = 2",
        "line 1:29: expected the end of the statement, found `OR`",
    ),
    (
        "SELECT a FROM t WHERE a == 1",
        "line 1:25: expected an operator (=, !=, <, <=, >, >=, IN, CONTAINS, LIKE or IS NOT NULL), found `==`",
    ),
    ("SELECT a FROM t WHERE a IN 1", "line 1:28: expected `(` or a bind marker, found `1`"),
    ("SELECT a FROM t WHERE token(1) = 2", "line 1:29: expected a column, found `1`"),
    ("SELECT a FROM t LIMIT 1.5", "line 1:23: expected an integer or a bind marker, found `1.5`"),
    ("SELECT a FROM t LIMIT", "line 1:22: expected an integer or a bind marker, found end of text"),
    ("SELECT a FROM t ALLOW", "line 1:17: expected the end of the statement, found `ALLOW`"),
    (
        "SELECT a FROM t LIMIT 1 WHERE b = 1",
        "line 1:25: expected the end of the statement, found `WHERE`",
    ),
    (
        "SELECT a FROM t; SELECT b FROM t",
        "line 1:18: expected the end of the statement, found `SELECT`",
    ),
    ("TRUNCATE t; DROP TABLE t", "line 1:13: expected the end of the statement, found `DROP`"),
    ("SELECT a\nFROM t\n WHERE 'é' = 1", "line 3:8: expected a column, found `'é'`"),
    (
        "SELECT a FROM t USING CONTEXT 'ab'",
        "line 1:31: expected a blob or a bind marker, found `'ab'`",
    ),
    (
        "SELECT a FROM t USING CONSISTENCY most",
        "line 1:35: expected a consistency level, found `most`",
    ),
    (
        "SELECT a FROM t USING TIMEOUT 5",
        "line 1:23: expected TTL, TIMESTAMP, CONTEXT or CONSISTENCY, found `TIMEOUT`",
    ),
    (
        "SELECT a FROM t USING CONTEXT ? AND CONTEXT ?",
        "line 1:37: expected an attribute that was not there before, found `CONTEXT`",
    ),
    (
        "SELECT a FROM t USING CONTEXT ? LIMIT 1 USING TTL 1",
        "line 1:41: expected only one USING, found `USING`",
    ),
    (
        "SELECT a FROM t WHERE d > 89h4x48s",
        "line 1:27: expected a number or a duration, found `89h4x48s`",
    ),
    ("SELECT a FROM t WHERE d > P1M2Y", "line 1:27: expected a value, found `P1M2Y`"),
    (
        "SELECT a FROM t WHERE k = ?1",
        "line 1:27: expected a bind marker `?` or `:name`, found `?1`",
    ),
    (
        "SELECT a FROM t WHERE k = $1",
        "line 1:27: expected a bind marker `?` or `:name`, found `$1`",
    ),
    ("SELECT a FROM t WHERE k = :1", "line 1:28: expected the name of a bind marker, found `1`"),
    ("SELECT a FROM t WHERE k = -'a'", "line 1:28: expected a number after `-`, found `'a'`"),
    ("SELECT a FROM t WHERE k = X'ab'", "line 1:27: expected a value, found `X`"),
    ("SELECT a FROM t WHERE k = @", "line 1:27: expected a value, found `@`"),
    (
        "SELECT a FROM t WHERE k = 0x1",
        "line 1:27: expected an even number of hexadecimal digits after 0x, found `0x1`",
    ),
    (
        "SELECT a FROM t WHERE k = 'abc",
        "line 1:27: expected the end of a text in single quotes, found end of text",
    ),
    ("INSERT t (a) VALUES (1)", "line 1:8: expected INTO, found `t`"),
    ("INSERT INTO t VALUES (1)", "line 1:15: expected `(`, found `VALUES`"),
    ("INSERT INTO t (a) VALUES ()", "line 1:27: expected a value, found `)`"),
    ("INSERT INTO t (a) VALUES (1, 2", "line 1:31: expected `,` or `)`, found end of text"),
    ("INSERT INTO t (a) VALUES ({1: 2, 3})", "line 1:35: expected `:`, found `}`"),
    ("INSERT INTO t (a) VALUES ({1, 2: 3})", "line 1:32: expected `,` or `}`, found `:`"),
    (
        "INSERT INTO t (a) VALUES (1) USING TTL 'a'",
        "line 1:40: expected an integer or a bind marker, found `'a'`",
    ),
    (
        "INSERT INTO t (a) VALUES (1) RETURNING",
        "line 1:39: expected a column, a function or a value, found end of text",
    ),
    ("UPDATE t SET WHERE k = 1", "line 1:14: expected a column, found `WHERE`"),
    (
        "UPDATE t SET a = b + 1 WHERE k = 1",
        "line 1:18: expected `a`, the column that is set, found `b`",
    ),
    (
        "UPDATE t SET a = [1] + b WHERE k = 1",
        "line 1:24: expected `a`, the column that is set, found `b`",
    ),
    ("UPDATE t SET a > 1 WHERE k = 1", "line 1:16: expected `=`, `+=` or `-=`, found `>`"),
    ("UPDATE t SET m[1] += 1 WHERE k = 1", "line 1:19: expected `=`, found `+`"),
    ("UPDATE t SET a = 1", "line 1:19: expected WHERE, found end of text"),
    ("DELETE FROM t", "line 1:14: expected WHERE, found end of text"),
    ("DELETE * FROM t WHERE k = 1", "line 1:8: expected a column, found `*`"),
    (
        "CREATE VIEW v",
        "line 1:8: expected KEYSPACE, TABLE, INDEX, TYPE, MATERIALIZED VIEW, FUNCTION, AGGREGATE, TRIGGER, ROLE or USER, found `VIEW`",
    ),
    ("CREATE KEYSPACE ks", "line 1:19: expected WITH, found end of text"),
    (
        "CREATE KEYSPACE ks WITH a = 1 AND A = 2",
        "line 1:35: expected an option that was not there before, found `A`",
    ),
    ("CREATE KEYSPACE ks WITH a = {'b': c}", "line 1:35: expected a constant, found `c`"),
    ("CREATE TABLE t ()", "line 1:17: expected a column or PRIMARY KEY, found `)`"),
    ("CREATE TABLE t (PRIMARY KEY (a))", "line 1:32: expected a column, found `)`"),
    ("CREATE TABLE t (a)", "line 1:18: expected a type, found `)`"),
    ("CREATE TABLE t (a list<int)", "line 1:27: expected `,` or `>`, found `)`"),
    (
        "CREATE TABLE t (a int PRIMARY KEY, PRIMARY KEY (a))",
        "line 1:36: expected only one PRIMARY KEY, found `PRIMARY`",
    ),
    ("CREATE TABLE t (a int, PRIMARY KEY ())", "line 1:37: expected a column or `(`, found `)`"),
    ("CREATE TABLE t (a int) WITH CLUSTERING ORDER (a)", "line 1:46: expected BY, found `(`"),
    (
        "DROP VIEW v",
        "line 1:6: expected KEYSPACE, TABLE, INDEX, TYPE, MATERIALIZED VIEW, FUNCTION, AGGREGATE, TRIGGER, ROLE or USER, found `VIEW`",
    ),
    ("ALTER TABLE t", "line 1:14: expected ADD, DROP, RENAME, ALTER or WITH, found end of text"),
    ("ALTER TABLE t ADD a", "line 1:20: expected a type, found end of text"),
    ("ALTER TABLE t ADD (a int", "line 1:25: expected `,` or `)`, found end of text"),
    ("ALTER TABLE t ADD ()", "line 1:20: expected a column, found `)`"),
    ("ALTER TABLE t DROP", "line 1:19: expected a column, found end of text"),
    (
        "ALTER TABLE t DROP a USING TTL 1",
        "line 1:22: expected the end of the statement, found `USING`",
    ),
    ("ALTER TABLE t RENAME a", "line 1:23: expected TO, found end of text"),
    (
        "ALTER TABLE t RENAME a TO select",
        "line 1:27: expected the new name of the column, found `select`",
    ),
    ("ALTER TABLE t ALTER a", "line 1:22: expected TYPE, found end of text"),
    ("ALTER TABLE t WITH", "line 1:19: expected an option, found end of text"),
    ("ALTER TABLE t WITH CLUSTERING ORDER BY (a)", "line 1:31: expected `=`, found `ORDER`"),
    ("TRUNCATE", "line 1:9: expected a table, found end of text"),
    ("TRUNCATE TABLE", "line 1:15: expected a table, found end of text"),
    (
        "BEGIN TRANSACTION",
        "line 1:7: expected BATCH, LOGGED BATCH, UNLOGGED BATCH or COUNTER BATCH, found `TRANSACTION`",
    ),
    (
        "BEGIN BATCH SELECT a FROM t; APPLY BATCH",
        "line 1:13: expected INSERT, UPDATE, DELETE or APPLY BATCH, found `SELECT`",
    ),
    (
        "BEGIN BATCH DELETE FROM t WHERE a = 1;",
        "line 1:39: expected INSERT, UPDATE, DELETE or APPLY BATCH, found end of text",
    ),
    (
        "BEGIN BATCH ; APPLY BATCH",
        "line 1:13: expected INSERT, UPDATE, DELETE or APPLY BATCH, found `;`",
    ),
    ("BEGIN BATCH APPLY", "line 1:18: expected BATCH, found end of text"),
    (
        "ALTER VIEW v",
        "line 1:7: expected KEYSPACE, TABLE, TYPE, MATERIALIZED VIEW, ROLE or USER, found `VIEW`",
    ),
    ("USE", "line 1:4: expected a keyspace, found end of text"),
    ("USE \"\"", "line 1:5: expected a name between the quotes, found `\"\"`"),
];

#[test]
fn statements_of_clients_are_accepted_and_come_back() {
    for text in OF_CLIENTS {
        let statement = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(!matches!(statement, Statement::Unsupported { .. }), "{text}");
        assert_eq!(parse(&statement.to_string()), Ok(statement), "{text}");
    }
}

#[test]
fn statements_are_printed_in_canonical_form() {
    for (text, printed) in [ACCEPTED, ALTERED, BATCHES].into_iter().flatten() {
        let statement = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(statement.to_string(), *printed);
        assert_eq!(parse(printed), Ok(statement));
    }
}

#[test]
fn statements_that_are_not_supported_are_known_by_name() {
    for (text, name) in UNSUPPORTED_ONES {
        let statement = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let Statement::Unsupported { what, text: kept } = &statement else { panic!("{text}") };
        assert_eq!((what, kept.as_str()), (name, text.trim_end_matches(';')));
        assert_eq!(parse(&statement.to_string()), Ok(statement.clone()));
    }
}

#[test]
fn refusals_say_where_and_what_was_expected() {
    for (text, refusal) in REFUSED {
        match parse(text) {
            Err(error) => assert_eq!(error.to_string(), *refusal, "{text}"),
            Ok(statement) => panic!("{text} was read as {statement:?}"),
        }
    }
}

#[test]
fn uuids_are_not_subtractions_and_lists_are_not_markers() {
    let Ok(Statement::Select(select)) = parse(
        "SELECT a FROM t WHERE a = 12345678-1234-1234-1234-123456789012 AND b IN ? AND c IN (?)",
    ) else {
        panic!("no SELECT")
    };
    let tests: Vec<_> = select.relations.iter().map(|relation| &relation.test).collect();
    let Test::Compare(_, uuid) = tests[0] else { panic!("{tests:?}") };
    assert!(matches!(&uuid.kind, TermKind::Literal(Literal::Uuid(_))));
    assert_ne!(tests[1], tests[2]);
}

#[test]
fn nodes_know_where_they_stand() {
    let text = "SELECT a,\n  f(b) FROM ks.\"T\" WHERE c = 'x'";
    let Ok(Statement::Select(select)) = parse(text) else { panic!("no SELECT") };
    let at = |at: crate::At| at.0.map(|position| position.to_string());
    let Selector::Call { function, .. } = &select.selections[1].selector else { panic!("no call") };
    let Test::Compare(_, term) = &select.relations[0].test else { panic!("no comparison") };
    assert_eq!(at(function.name.at).as_deref(), Some("2:3"));
    assert_eq!(at(select.table.name.at).as_deref(), Some("2:16"));
    assert_eq!(at(select.relations[0].at).as_deref(), Some("2:26"));
    assert_eq!(at(term.at).as_deref(), Some("2:30"));
}

#[test]
fn types_are_known_or_kept() {
    let text = "CREATE TABLE t (a Set<VarChar>, b Counter, c \"int\", d list<\"U\">)";
    let Ok(Statement::CreateTable(table)) = parse(text) else { panic!("no CREATE TABLE") };
    let kinds: Vec<_> = table.columns.into_iter().map(|column| column.kind).collect();
    let other = |text: &str| TypeName::Other { text: text.to_owned(), at: crate::At::default() };
    assert_eq!(kinds[0], TypeName::Known(CqlType::Set(Box::new(CqlType::Text))));
    assert_eq!(kinds[1], other("counter"));
    assert_eq!(kinds[2], TypeName::Known(CqlType::Int));
    assert_eq!(kinds[3], other("list<\"U\">"));
}

#[test]
fn markers_are_numbered_in_the_order_of_the_text() {
    let text = "UPDATE t USING CONTEXT :c AND TTL ? SET m[?] = [?, {?: :x}], a = a + ? \
        WHERE k IN ? AND (b, c) IN ((?, f(?)), ?) IF a = ? RETURNING f(?)";
    let statement = parse(text).unwrap();
    let names: Vec<_> = statement
        .markers()
        .iter()
        .map(|marker| (marker.index, marker.name.as_ref().map(|name| name.text.as_str())))
        .collect();
    let wanted: Vec<_> = (0..13)
        .map(|index| (index, [(0, "c"), (5, "x")].iter().find(|it| it.0 == index).map(|it| it.1)))
        .collect();
    assert_eq!(names, wanted);
}

#[test]
fn markers_are_numbered_through_a_batch() {
    let text = "BEGIN BATCH USING TIMESTAMP ? INSERT INTO t (a) VALUES (:x) USING TTL ?; \
        UPDATE t SET a = ? WHERE k = :x; DELETE m[?] FROM t WHERE k IN ?; APPLY BATCH";
    let statement = parse(text).unwrap();
    let indices: Vec<_> = statement.markers().iter().map(|marker| marker.index).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
    assert!(statement.using().is_some_and(|using| using.timestamp().is_some()));
}

#[test]
fn markers_are_no_more_than_the_protocol_can_count() {
    let markers =
        |count: usize| format!("SELECT a FROM t WHERE k IN ({})", vec!["?"; count].join(","));
    assert!(parse(&markers(65_535)).is_ok());
    let error = parse(&markers(65_536)).unwrap_err();
    assert_eq!(error.expected, "at most 65535 bind markers");
}

#[test]
fn depth_and_length_are_bounded() {
    let many = 1_000_000;
    for (text, expected) in [
        ("(".repeat(many), "at most 262144"),
        (format!("SELECT a FROM t WHERE {}", "(".repeat(100_000)), "at most 64 levels"),
        (format!("SELECT a FROM t WHERE k = {}", "(".repeat(100_000)), "at most 64 levels"),
        (format!("SELECT a FROM t WHERE k = {}", "[".repeat(100_000)), "at most 64 levels"),
        (format!("SELECT a FROM t WHERE k = {}", "{".repeat(100_000)), "at most 64 levels"),
        (format!("SELECT a FROM t WHERE k = {}1", "(int)".repeat(40_000)), "at most 64 levels"),
        (format!("SELECT a FROM t WHERE k = {}", "f(".repeat(60_000)), "at most 64 levels"),
        (format!("SELECT {}", "f(".repeat(60_000)), "at most 64 levels"),
        (format!("SELECT {}", "CAST(".repeat(60_000)), "at most 64 levels"),
        (format!("SELECT a{} FROM t", ".b".repeat(30_000)), "at most 64 levels"),
        (format!("SELECT a{} FROM t", "[1]".repeat(40_000)), "at most 64 levels"),
        (format!("CREATE TABLE t (a {}", "list<".repeat(13_000)), "at most 64 levels"),
        (" ".repeat(many * 2), "at most 1048576 bytes"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.expected.contains(expected), "{error}");
    }
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        parse(&format!("SELECT a FROM t WHERE k = {open}{close}"))
    };
    // The relation and the innermost list take a level each.
    assert!(nested(DEPTH_MAX - 1).is_ok());
    assert!(nested(DEPTH_MAX).is_err());
}

#[test]
fn long_statements_are_read() {
    let blob = "ab".repeat(250_000);
    let text = format!("INSERT INTO t (a) VALUES (0x{blob})");
    assert_eq!(parse(&text).unwrap().to_string(), text);
    let list = vec!["1"; 50_000].join(",");
    assert!(parse(&format!("SELECT a FROM t WHERE k IN ({list})")).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn printed_trees_are_read_back(statement in strategy::statement()) {
        let text = statement.to_string();
        let read = parse(&text);
        prop_assert!(read.is_ok(), "{}: {}", text, read.unwrap_err());
        let read = read.unwrap();
        prop_assert_eq!(&read, &statement);
        for (place, marker) in read.markers().into_iter().enumerate() {
            prop_assert_eq!(usize::from(marker.index), place);
        }
    }

    #[test]
    fn a_printed_tree_is_one_statement_of_a_script(statement in strategy::statement()) {
        let text = statement.to_string();
        let script = format!("-- ;\n{text};{text}");
        let split = crate::split(&script);
        prop_assert_eq!(split.statements.len(), 1);
        prop_assert_eq!(split.statements[0].text, &text);
        prop_assert_eq!(split.rest.map(|rest| rest.text), Some(&*text));
    }

    #[test]
    fn any_words_are_read_or_refused(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..24),
    ) {
        check(&words.join(" "));
        check(&words.concat());
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| check(&String::from_utf8_lossy(bytes)));
}

/// What holds for every text: it is read or refused within its bounds, and what was read comes back.
fn check(text: &str) {
    let pieces = crate::split(text);
    assert!(pieces.statements.iter().all(|fragment| text.contains(fragment.text)));
    match parse(text) {
        Ok(statement) => assert_eq!(parse(&statement.to_string()), Ok(statement)),
        Err(error) => assert!(error.position() <= Position::START.after(text)),
    }
}

/// The vocabulary of texts that are nearly statements.
const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "USING",
    "CONTEXT",
    "TTL",
    "AND",
    "IF",
    "EXISTS",
    "NOT",
    "RETURNING",
    "IN",
    "CONTAINS",
    "KEY",
    "TOKEN",
    "CAST",
    "AS",
    "LIMIT",
    "CREATE",
    "TABLE",
    "PRIMARY",
    "WITH",
    "BEGIN",
    "UNLOGGED",
    "BATCH",
    "APPLY",
    "ALTER",
    "ADD",
    "DROP",
    "RENAME",
    "TO",
    "TRUNCATE",
    "JSON",
    "int",
    "list<",
    ">",
    ">>",
    "a",
    "b",
    "\"A\"",
    "'x'",
    "'",
    "$$",
    "0x",
    "0xAB",
    "1",
    "-",
    "1.5",
    "1h",
    "?",
    ":a",
    "::",
    "*",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ";",
    "=",
    "!=",
    "<",
    "+",
    "--",
    "//",
    "/*",
    "*/",
    "\n",
    " ",
    "é",
    "550e8400-e29b-41d4-a716-446655440000",
    "null",
    "NaN",
    "P1Y",
];
