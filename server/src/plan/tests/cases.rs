//! Statements that are refused without values.

use wire::ErrorCode;

/// Statement, code and phrase.
pub(super) const CASES: &[(&str, ErrorCode, &str)] = &[
    // Names.
    ("SELECT v FROM nosuch WHERE k = 1", ErrorCode::Invalid, "unconfigured table nosuch"),
    ("SELECT v FROM nosuch.t WHERE k = 1", ErrorCode::Invalid, "keyspace nosuch does not exist"),
    (
        "SELECT * FROM system_schema.scylla_tables",
        ErrorCode::Invalid,
        "unconfigured table scylla_tables",
    ),
    ("SELECT * FROM system_schema.scylla_keyspaces", ErrorCode::Invalid, "unconfigured table"),
    ("SELECT * FROM system.schema_keyspaces LIMIT 1", ErrorCode::Invalid, "unconfigured table"),
    ("SELECT * FROM system_auth.roles", ErrorCode::Invalid, "unconfigured table roles"),
    (
        "SELECT nosuch FROM t WHERE k = 1",
        ErrorCode::Invalid,
        "Undefined column name nosuch in table app.t",
    ),
    ("SELECT v FROM t WHERE nosuch = 1", ErrorCode::Invalid, "nosuch"),
    ("INSERT INTO t (k, nosuch) VALUES (1, 1)", ErrorCode::Invalid, "nosuch"),
    ("UPDATE t SET nosuch = 1 WHERE k = 1", ErrorCode::Invalid, "nosuch"),
    ("DELETE nosuch FROM t WHERE k = 1", ErrorCode::Invalid, "nosuch"),
    ("SELECT nosuch FROM system.local", ErrorCode::Invalid, "nosuch"),
    ("SELECT v FROM t WHERE k = 1 ORDER BY nosuch", ErrorCode::Invalid, "nosuch"),
    ("USE nosuch", ErrorCode::Invalid, "keyspace nosuch does not exist"),
    ("SELECT frob(v) FROM t WHERE k = 1", ErrorCode::Invalid, "Unknown function 'frob'"),
    ("SELECT app.ttl(v) FROM t WHERE k = 1", ErrorCode::Invalid, "Unknown function"),
    // The server's own.
    (
        "INSERT INTO system.local (key) VALUES ('x')",
        ErrorCode::Unauthorized,
        "system keyspace is not user-modifiable",
    ),
    ("UPDATE system.local SET rack = 'x' WHERE key = 'local'", ErrorCode::Unauthorized, "system"),
    ("DELETE FROM system.nosuch WHERE key = 'local'", ErrorCode::Unauthorized, "system"),
    ("DROP KEYSPACE system_schema", ErrorCode::Unauthorized, "system_schema"),
    ("CREATE TABLE system_traces.t (k int PRIMARY KEY)", ErrorCode::Unauthorized, "system_traces"),
    ("DROP TABLE system.local", ErrorCode::Unauthorized, "system"),
    (
        "ALTER KEYSPACE IF EXISTS system WITH durable_writes = false",
        ErrorCode::Unauthorized,
        "system",
    ),
    (
        "CREATE KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        ErrorCode::Unauthorized,
        "system_auth",
    ),
    // Keys.
    (
        "SELECT v FROM pairs WHERE a = 'x'",
        ErrorCode::Invalid,
        "a SELECT by a part of the partition key, without b, which needs ALLOW FILTERING,",
    ),
    (
        "SELECT v FROM lines WHERE c = 1",
        ErrorCode::Invalid,
        "a relation of c without the partition key, which needs ALLOW FILTERING,",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND d = 'x'",
        ErrorCode::Invalid,
        "\"d\" cannot be restricted as preceding column \"c\"",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND c > 1 AND d = 'x'",
        ErrorCode::Invalid,
        "\"d\" cannot be restricted",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND c = 1 AND c = 2",
        ErrorCode::Invalid,
        "c cannot be restricted by more than one relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND c > 1 AND c >= 2",
        ErrorCode::Invalid,
        "c cannot be restricted by more than one relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND c = 1 AND c < 2",
        ErrorCode::Invalid,
        "c cannot be restricted",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND c < 1 AND c = 2",
        ErrorCode::Invalid,
        "c cannot be restricted",
    ),
    ("SELECT v FROM t WHERE k > 1", ErrorCode::Invalid, "a range of partition key k"),
    ("SELECT v FROM t WHERE k != 1", ErrorCode::Invalid, "Unsupported \"!=\" relation on k"),
    ("SELECT v FROM t WHERE k = null", ErrorCode::Invalid, "Invalid null value for k"),
    ("SELECT text FROM things WHERE id = ''", ErrorCode::Invalid, "Key may not be empty"),
    (
        "SELECT v FROM t WHERE k = 'one'",
        ErrorCode::Invalid,
        "Invalid value for k: a text is no int",
    ),
    (
        "INSERT INTO t (v) VALUES ('x')",
        ErrorCode::Invalid,
        "Some partition key parts are missing: k",
    ),
    (
        "INSERT INTO lines (p, d) VALUES (1, 'x')",
        ErrorCode::Invalid,
        "Some clustering keys are missing: c",
    ),
    (
        "INSERT INTO lines (p) VALUES (1)",
        ErrorCode::Invalid,
        "Some clustering keys are missing: c, d",
    ),
    (
        "INSERT INTO lines (p, c, d) VALUES (1, null, 'x')",
        ErrorCode::Invalid,
        "Invalid null value for c",
    ),
    (
        "UPDATE lines SET v = 'x' WHERE p = 1 AND c = 1",
        ErrorCode::Invalid,
        "Some clustering keys are missing: d",
    ),
    (
        "UPDATE lines SET v = 'x' WHERE p = 1 AND c = 1 AND d > 'x'",
        ErrorCode::Invalid,
        "missing: d",
    ),
    (
        "UPDATE t SET v = 'x' WHERE k = 1 AND w = 2",
        ErrorCode::Invalid,
        "Non PRIMARY KEY columns found in where clause: w",
    ),
    (
        "DELETE v FROM lines WHERE p = 1",
        ErrorCode::Invalid,
        "Some clustering keys are missing: c, d",
    ),
    (
        "DELETE FROM lines WHERE c = 1",
        ErrorCode::Invalid,
        "Some partition key parts are missing: p",
    ),
    // Columns.
    (
        "INSERT INTO t (k, k) VALUES (1, 2)",
        ErrorCode::Invalid,
        "Multiple definitions found for column k",
    ),
    ("INSERT INTO t (k, v) VALUES (1)", ErrorCode::Invalid, "Unmatched column names/values"),
    (
        "UPDATE t SET v = 'x', v = 'y' WHERE k = 1",
        ErrorCode::Invalid,
        "Multiple definitions found for column v",
    ),
    ("UPDATE t SET k = 2 WHERE k = 1", ErrorCode::Invalid, "PRIMARY KEY part k found in SET part"),
    ("DELETE k FROM t WHERE k = 1", ErrorCode::Invalid, "Invalid identifier k for deletion"),
    (
        "UPDATE t SET w = w + 1 WHERE k = 1",
        ErrorCode::Invalid,
        "Invalid operation (w = w + …) for column w of type int",
    ),
    ("UPDATE t SET w = w - 1 WHERE k = 1", ErrorCode::Invalid, "Invalid operation (w = w - …)"),
    (
        "UPDATE t SET tags = {'a'} + tags WHERE k = 1",
        ErrorCode::Invalid,
        "Invalid operation (tags = … + tags)",
    ),
    (
        "UPDATE t SET tags['a'] = 'b' WHERE k = 1",
        ErrorCode::Invalid,
        "Invalid operation (tags[…] = …) for column tags of type set<text>",
    ),
    (
        "DELETE v['a'] FROM t WHERE k = 1",
        ErrorCode::Invalid,
        "Invalid operation (DELETE v[…]) for column v of type text",
    ),
    (
        "UPDATE t SET tags = tags + {'a'}, tags = tags - {'b'} WHERE k = 1",
        ErrorCode::Invalid,
        "Multiple definitions found for column tags",
    ),
    ("UPDATE t SET v.f = 'b' WHERE k = 1", ErrorCode::Invalid, "a write of a field"),
    (
        "SELECT writetime(k) FROM t WHERE k = 1",
        ErrorCode::Invalid,
        "writetime on PRIMARY KEY part k",
    ),
    ("SELECT ttl(k) FROM t WHERE k = 1", ErrorCode::Invalid, "ttl on PRIMARY KEY part k"),
    ("SELECT ttl(v, w) FROM t WHERE k = 1", ErrorCode::Invalid, "ttl() takes one column"),
    (
        "SELECT token(a) FROM pairs WHERE a = 'x' AND b = 0x",
        ErrorCode::Invalid,
        "token() takes the partition key in its order: a, b",
    ),
    ("SELECT token(b, a) FROM pairs WHERE a = 'x' AND b = 0x", ErrorCode::Invalid, "token() takes"),
    ("SELECT context(k) FROM t WHERE k = 1", ErrorCode::Invalid, "context() takes nothing"),
    // Values.
    ("INSERT INTO t (k) VALUES (99999999999)", ErrorCode::Invalid, "out of the range of int"),
    (
        "INSERT INTO t (k, v) VALUES (1, 2)",
        ErrorCode::Invalid,
        "Invalid value for v: an integer is no text",
    ),
    ("INSERT INTO t (k, tags) VALUES (1, {'a', 2})", ErrorCode::Invalid, "value(tags)"),
    (
        "INSERT INTO t (k, tags) VALUES (1, {'a', null})",
        ErrorCode::Invalid,
        "Invalid null value for value(tags)",
    ),
    ("INSERT INTO t (k, tags) VALUES (1, ['a'])", ErrorCode::Invalid, "a list is no set<text>"),
    (
        "INSERT INTO t (k, w) VALUES (1, (text) 'x')",
        ErrorCode::Invalid,
        "a value of another type is no int",
    ),
    (
        "INSERT INTO things (id, int) VALUES ('x', uuid())",
        ErrorCode::Invalid,
        "what the function gives is no int",
    ),
    // Attributes.
    (
        "INSERT INTO t (k) VALUES (1) USING TTL -1",
        ErrorCode::Invalid,
        "A TTL must be greater or equal to 0, but was -1",
    ),
    (
        "INSERT INTO t (k) VALUES (1) USING TTL 630720001",
        ErrorCode::Invalid,
        "ttl is too large. requested (630720001) maximum (630720000)",
    ),
    (
        "DELETE FROM t USING TTL 5 WHERE k = 1",
        ErrorCode::Invalid,
        "USING TTL is not allowed in DELETE",
    ),
    (
        "SELECT v FROM t USING TTL 5 WHERE k = 1",
        ErrorCode::Invalid,
        "USING TTL is not allowed in SELECT",
    ),
    (
        "SELECT v FROM t USING TIMESTAMP 5 WHERE k = 1",
        ErrorCode::Invalid,
        "USING TIMESTAMP is not allowed in SELECT",
    ),
    (
        "INSERT INTO t (k) VALUES (1) USING TIMESTAMP 5",
        ErrorCode::Invalid,
        "USING TIMESTAMP is not allowed on app.t",
    ),
    ("UPDATE t USING TIMESTAMP 5 SET v = 'x' WHERE k = 1", ErrorCode::Invalid, "USING TIMESTAMP"),
    ("DELETE FROM t USING TIMESTAMP 5 WHERE k = 1", ErrorCode::Invalid, "USING TIMESTAMP"),
    (
        "SELECT v FROM lines WHERE p = 1 USING CONTEXT 0x00",
        ErrorCode::Invalid,
        "USING CONTEXT needs the whole primary key",
    ),
    (
        "DELETE FROM lines USING CONTEXT 0x00 WHERE p = 1",
        ErrorCode::Invalid,
        "USING CONTEXT needs the whole primary key",
    ),
    (
        "DELETE FROM lines WHERE p = 1 RETURNING *",
        ErrorCode::Invalid,
        "RETURNING needs the whole primary key",
    ),
    (
        "DELETE FROM t USING CONTEXT 0x WHERE k = 1",
        ErrorCode::Invalid,
        "context not accepted: malformed, forged or foreign",
    ),
    ("DELETE FROM t USING CONTEXT 0xcafe WHERE k = 1", ErrorCode::Invalid, "context not accepted"),
    (
        "SELECT key FROM system.local USING CONTEXT 0x00",
        ErrorCode::Invalid,
        "USING CONTEXT is not allowed",
    ),
    // LIMIT and order.
    ("SELECT v FROM t WHERE k = 1 LIMIT 0", ErrorCode::Invalid, "LIMIT must be strictly positive"),
    ("SELECT v FROM t WHERE k = 1 LIMIT -3", ErrorCode::Invalid, "LIMIT must be strictly positive"),
    ("SELECT key FROM system.local LIMIT 0", ErrorCode::Invalid, "LIMIT must be strictly positive"),
    (
        "SELECT v FROM lines WHERE p = 1 ORDER BY v",
        ErrorCode::Invalid,
        "clustered columns of the PRIMARY KEY, got v",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 ORDER BY d",
        ErrorCode::Invalid,
        "Unsupported order by relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 ORDER BY c ASC, d ASC",
        ErrorCode::Invalid,
        "Unsupported order by relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 ORDER BY c, c",
        ErrorCode::Invalid,
        "Unsupported order by relation",
    ),
    // Keys by lists, tuples and tokens.
    ("SELECT v FROM t WHERE k IN (1, null)", ErrorCode::Invalid, "Invalid null value for k"),
    (
        "SELECT v FROM t WHERE k IN (1) AND k = 1",
        ErrorCode::Invalid,
        "k cannot be restricted by more than one relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (c, d) > (1, 'x') AND c = 1",
        ErrorCode::Invalid,
        "c cannot be restricted by more than one relation",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (c, d) > (1, 'x') AND d < 'y'",
        ErrorCode::Invalid,
        "d cannot be restricted",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (d, c) = ('x', 1)",
        ErrorCode::Invalid,
        "must appear in the PRIMARY KEY order in multi-column relations: (d, c)",
    ),
    (
        "SELECT v FROM lines WHERE (p, c) = (1, 1)",
        ErrorCode::Invalid,
        "can only be applied to clustering columns but was applied to: p",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (c, d) = (1, 'x', 2)",
        ErrorCode::Invalid,
        "Expected 2 elements in value tuple, but got 3",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (c, d) IN ((1, 'x'), 2)",
        ErrorCode::Invalid,
        "Expected 2 elements in value tuple, but got 1",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 AND (d) = ('x')",
        ErrorCode::Invalid,
        "\"d\" cannot be restricted as preceding column \"c\"",
    ),
    (
        "SELECT v FROM lines WHERE p IN (1, 2) ORDER BY c",
        ErrorCode::Invalid,
        "Cannot page queries with both ORDER BY and a IN restriction on the partition key",
    ),
    (
        "SELECT v FROM lines ORDER BY c",
        ErrorCode::Invalid,
        "ORDER BY is only supported when the partition key is restricted by an EQ or an IN",
    ),
    (
        "SELECT v FROM pairs WHERE token(b, a) > 1",
        ErrorCode::Invalid,
        "The token function arguments must be in the partition key order: a, b",
    ),
    (
        "SELECT v FROM t WHERE token(k) > 1 AND token(k) > 2",
        ErrorCode::Invalid,
        "token() cannot be restricted by more than one relation",
    ),
    (
        "SELECT v FROM t WHERE token(k) IN (1, 2)",
        ErrorCode::Invalid,
        "a relation of token() other than a comparison is not supported yet",
    ),
    (
        "SELECT v FROM t WHERE token(k) > token(1, 2)",
        ErrorCode::Invalid,
        "token() takes a value for each column of the partition key: k",
    ),
    ("SELECT v FROM t WHERE token(k) > 'x'", ErrorCode::Invalid, "a text is no bigint"),
    (
        "SELECT v FROM lines WHERE token(p) > 1 AND c = 1",
        ErrorCode::Invalid,
        "a relation of c without the partition key, which needs ALLOW FILTERING,",
    ),
    (
        "DELETE FROM lines WHERE token(p) > 1",
        ErrorCode::Invalid,
        "The token function cannot be used in WHERE clauses of writes",
    ),
    (
        "DELETE FROM lines WHERE p > 1",
        ErrorCode::Invalid,
        "Only EQ and IN relation are supported on the partition key",
    ),
    // What is shown.
    (
        "SELECT DISTINCT v FROM lines",
        ErrorCode::Invalid,
        "SELECT DISTINCT queries must only request partition key columns",
    ),
    (
        "SELECT DISTINCT count(*) FROM lines",
        ErrorCode::Invalid,
        "SELECT DISTINCT queries must only request partition key columns",
    ),
    (
        "SELECT DISTINCT a FROM pairs",
        ErrorCode::Invalid,
        "SELECT DISTINCT queries must request all the partition key columns (missing b)",
    ),
    (
        "SELECT DISTINCT p FROM lines WHERE p = 1 AND c = 1",
        ErrorCode::Invalid,
        "SELECT DISTINCT with WHERE clause only supports restriction by partition key",
    ),
    (
        "SELECT DISTINCT p FROM lines PER PARTITION LIMIT 1",
        ErrorCode::Invalid,
        "PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries",
    ),
    (
        "SELECT count(*) FROM lines PER PARTITION LIMIT 1",
        ErrorCode::Invalid,
        "PER PARTITION LIMIT is not allowed with aggregate queries",
    ),
    (
        "SELECT v FROM lines PER PARTITION LIMIT 0",
        ErrorCode::Invalid,
        "PER PARTITION LIMIT must be strictly positive",
    ),
    ("SELECT sum(v) FROM t", ErrorCode::Invalid, "sum() takes one number"),
    ("SELECT max(v, w) FROM t", ErrorCode::Invalid, "max() takes one value"),
    ("SELECT max(count(*)) FROM t", ErrorCode::Invalid, "the aggregate count inside a call"),
    ("SELECT CAST(v AS int) FROM t", ErrorCode::Invalid, "text cannot be cast to int"),
    (
        "SELECT v['a'] FROM t WHERE k = 1",
        ErrorCode::Invalid,
        "Invalid element selection: v is of type text, which is no collection",
    ),
    ("SELECT totimestamp(v) FROM t", ErrorCode::Invalid, "totimestamp() takes one timestamp"),
    ("SELECT now(v) FROM t", ErrorCode::Invalid, "now() takes nothing"),
    ("SELECT intasblob(v) FROM t", ErrorCode::Invalid, "intasblob() takes one int"),
    ("SELECT tojson(v) FROM t", ErrorCode::Invalid, "function tojson() is not supported yet"),
    ("SELECT null FROM t", ErrorCode::Invalid, "null in a list of selections"),
    ("SELECT ? FROM t", ErrorCode::Invalid, "a term without its type in a list of selections"),
    (
        "DELETE FROM t WHERE k = 1 RETURNING (int) ?",
        ErrorCode::Invalid,
        "a bind marker in this place",
    ),
    // What is not there yet.
    (
        "SELECT v FROM t WHERE tags CONTAINS 'x'",
        ErrorCode::Invalid,
        "CONTAINS is not supported yet",
    ),
    (
        "SELECT v FROM t WHERE tags['x'] = 'y'",
        ErrorCode::Invalid,
        "a relation of a collection's element",
    ),
    ("SELECT v FROM t WHERE v LIKE 'x'", ErrorCode::Invalid, "LIKE is not supported yet"),
    ("SELECT v FROM t WHERE v IS NOT NULL", ErrorCode::Invalid, "IS NOT NULL is not supported yet"),
    (
        "SELECT v FROM t WHERE k = 1 AND v = 'x'",
        ErrorCode::Invalid,
        "v, which is outside the primary key and needs ALLOW FILTERING, is not supported yet",
    ),
    (
        "SELECT v FROM lines WHERE p = 1 GROUP BY c",
        ErrorCode::Invalid,
        "GROUP BY is not supported yet",
    ),
    ("SELECT v.f FROM t WHERE k = 1", ErrorCode::Invalid, "a field of a user-defined type"),
    (
        "INSERT INTO t (k) VALUES (1) IF NOT EXISTS",
        ErrorCode::Invalid,
        "INSERT … IF NOT EXISTS is not supported yet",
    ),
    (
        "UPDATE t SET v = 'x' WHERE k = 1 IF EXISTS",
        ErrorCode::Invalid,
        "UPDATE … IF is not supported yet",
    ),
    (
        "DELETE FROM t WHERE k = 1 IF v = 'x'",
        ErrorCode::Invalid,
        "DELETE … IF is not supported yet",
    ),
    (
        "INSERT INTO t (k) VALUES (1) RETURNING count(*)",
        ErrorCode::Invalid,
        "an aggregate after RETURNING is not supported yet",
    ),
    ("INSERT INTO t JSON '{}'", ErrorCode::Invalid, "INSERT JSON is not supported yet"),
    ("SELECT JSON * FROM t WHERE k = 1", ErrorCode::Invalid, "SELECT JSON is not supported yet"),
    (
        "BEGIN COUNTER BATCH UPDATE t SET w = 1 WHERE k = 1; APPLY BATCH",
        ErrorCode::Invalid,
        "a COUNTER BATCH is not supported yet",
    ),
    (
        "BEGIN BATCH INSERT INTO t (k) VALUES (1); INSERT INTO t (k) VALUES (2); APPLY BATCH",
        ErrorCode::Invalid,
        "a LOGGED BATCH over 2 partitions is not supported yet: use UNLOGGED",
    ),
    (
        "BEGIN BATCH USING TTL 5 INSERT INTO t (k) VALUES (1); APPLY BATCH",
        ErrorCode::Invalid,
        "Global TTL on the BATCH statement is not supported.",
    ),
    (
        "BEGIN BATCH USING CONTEXT 0x00 INSERT INTO t (k) VALUES (1); APPLY BATCH",
        ErrorCode::Invalid,
        "USING CONTEXT belongs to a statement of the BATCH",
    ),
    (
        "BEGIN BATCH USING TIMESTAMP 5 INSERT INTO t (k) VALUES (1); APPLY BATCH",
        ErrorCode::Invalid,
        "USING TIMESTAMP is not allowed on app.t",
    ),
    (
        "BEGIN BATCH USING CONSISTENCY SERIAL INSERT INTO t (k) VALUES (1); APPLY BATCH",
        ErrorCode::Invalid,
        "SERIAL is not supported as the consistency of a request",
    ),
    (
        "BEGIN BATCH INSERT INTO t (k) VALUES (1) RETURNING *; APPLY BATCH",
        ErrorCode::Invalid,
        "RETURNING is not allowed in a BATCH",
    ),
    (
        "BEGIN BATCH INSERT INTO t (k) VALUES (1) USING CONSISTENCY ONE; APPLY BATCH",
        ErrorCode::Invalid,
        "USING CONSISTENCY of a statement is not allowed in a BATCH",
    ),
    (
        "BEGIN BATCH INSERT INTO t (k) VALUES (1) IF NOT EXISTS; APPLY BATCH",
        ErrorCode::Invalid,
        "INSERT … IF NOT EXISTS is not supported yet",
    ),
    (
        "UPDATE t USING CONTEXT 0x00 SET v = 'x' WHERE k IN (1, 2)",
        ErrorCode::Invalid,
        "USING CONTEXT needs the whole primary key",
    ),
    (
        "DELETE FROM t WHERE k IN (1, 2) RETURNING *",
        ErrorCode::Invalid,
        "RETURNING needs the whole primary key",
    ),
    ("CREATE INDEX ON t (v)", ErrorCode::Invalid, "CREATE INDEX is not supported yet"),
    ("ALTER TABLE t ALTER v TYPE blob", ErrorCode::Invalid, "ALTER … TYPE is not supported yet"),
    ("DESCRIBE TABLES", ErrorCode::Invalid, "DESCRIBE is not supported yet"),
    (
        "SELECT key FROM system.local WHERE key > 'a'",
        ErrorCode::Invalid,
        "a relation other than = or IN on a system table",
    ),
    (
        "SELECT token(key) FROM system.local",
        ErrorCode::Invalid,
        "a function on a system table is not supported yet",
    ),
    ("SELECT key FROM system.local ORDER BY key", ErrorCode::Invalid, "ORDER BY on a system table"),
];
