//! Types, keys in lists, orders, timestamps, batches, changes of tables: what cannot be done of
//! them.

use super::statements::{CONFIG, INVALID, SYNTAX, UNAUTHORIZED};

/// The tables that the cases name beside those of every test here.
pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE app.things (id int PRIMARY KEY, tiny tinyint, small smallint, big bigint, \
     vast varint, exact decimal, near float, nearer double, flag boolean, raw blob, plain ascii, \
     at timestamp, day date, noon time, uid uuid, tid timeuuid, addr inet, span duration, \
     numbers list<int>, words set<text>, named map<text, int>, pair tuple<int, text>, \
     fixed frozen<list<int>>)",
    "CREATE TABLE app.cells (k int, c int, v text, n int, PRIMARY KEY (k, c)) \
     WITH conflict = 'lww'",
    "CREATE TABLE app.parts (a int, b text, c int, d int, v text, PRIMARY KEY ((a, b), c, d))",
];

/// Statement, code, phrase.
pub(super) const CASES: &[(&str, i32, &str)] = &[
    // A value of each type that is none.
    ("INSERT INTO app.things (id, tiny) VALUES (1, 128)", INVALID, "tiny"),
    ("INSERT INTO app.things (id, small) VALUES (1, -32769)", INVALID, "small"),
    ("INSERT INTO app.things (id, big) VALUES (1, 9223372036854775808)", INVALID, "big"),
    ("INSERT INTO app.things (id, vast) VALUES (1, 1.5)", INVALID, "vast"),
    ("INSERT INTO app.things (id, exact) VALUES (1, 'much')", INVALID, "exact"),
    ("INSERT INTO app.things (id, near) VALUES (1, 'much')", INVALID, "near"),
    ("INSERT INTO app.things (id, nearer) VALUES (1, 0x00)", INVALID, "nearer"),
    ("INSERT INTO app.things (id, flag) VALUES (1, 1)", INVALID, "flag"),
    ("INSERT INTO app.things (id, raw) VALUES (1, 'text')", INVALID, "raw"),
    ("INSERT INTO app.things (id, plain) VALUES (1, 'é')", INVALID, "plain"),
    ("INSERT INTO app.things (id, at) VALUES (1, 'yesterday')", INVALID, "at"),
    ("INSERT INTO app.things (id, day) VALUES (1, '2020-02-30')", INVALID, "day"),
    ("INSERT INTO app.things (id, day) VALUES (1, '-9999999-01-01')", INVALID, "day"),
    ("INSERT INTO app.things (id, noon) VALUES (1, '24:00:00')", INVALID, "noon"),
    ("INSERT INTO app.things (id, noon) VALUES (1, 86400000000000)", INVALID, "noon"),
    ("INSERT INTO app.things (id, uid) VALUES (1, 'no-uuid')", INVALID, "uid"),
    (
        "INSERT INTO app.things (id, tid) VALUES (1, 550e8400-e29b-41d4-a716-446655440000)",
        INVALID,
        "tid",
    ),
    ("INSERT INTO app.things (id, addr) VALUES (1, '1.2.3')", INVALID, "addr"),
    ("INSERT INTO app.things (id, span) VALUES (1, 'P1')", INVALID, "span"),
    ("INSERT INTO app.things (id, span) VALUES (1, '9999999999mo')", INVALID, "span"),
    ("INSERT INTO app.things (id, numbers) VALUES (1, {1, 2})", INVALID, "numbers"),
    ("INSERT INTO app.things (id, numbers) VALUES (1, [1, 'two'])", INVALID, "numbers"),
    ("INSERT INTO app.things (id, numbers) VALUES (1, [1, null])", INVALID, "numbers"),
    ("INSERT INTO app.things (id, words) VALUES (1, [1])", INVALID, "words"),
    ("INSERT INTO app.things (id, named) VALUES (1, {'a', 'b'})", INVALID, "named"),
    ("INSERT INTO app.things (id, named) VALUES (1, {1: 1})", INVALID, "named"),
    ("INSERT INTO app.things (id, pair) VALUES (1, (1, 'a', 2))", INVALID, "pair"),
    ("INSERT INTO app.things (id, pair) VALUES (1, ('a', 1))", INVALID, "pair"),
    ("INSERT INTO app.things (id, fixed) VALUES (1, [[1]])", INVALID, "fixed"),
    // Operations that a type does not have.
    ("UPDATE app.things SET big = big + 1 WHERE id = 1", INVALID, "big"),
    ("UPDATE app.things SET fixed = fixed + [1] WHERE id = 1", INVALID, "fixed"),
    ("UPDATE app.things SET words[0] = 'a' WHERE id = 1", INVALID, "words"),
    ("UPDATE app.things SET named = named + {'a'} WHERE id = 1", INVALID, "named"),
    ("UPDATE app.things SET numbers['a'] = 1 WHERE id = 1", INVALID, "numbers"),
    ("UPDATE app.things SET numbers[0] = 1 WHERE id = 99", INVALID, "0"),
    ("DELETE big[0] FROM app.things WHERE id = 1", INVALID, "big"),
    ("SELECT sum(words) FROM app.things WHERE id = 1", INVALID, "sum()"),
    ("SELECT writetime(id) FROM app.things WHERE id = 1", INVALID, "PRIMARY KEY"),
    ("SELECT ttl(id) FROM app.things WHERE id = 1", INVALID, "PRIMARY KEY"),
    ("SELECT cast(raw AS int) FROM app.things WHERE id = 1", INVALID, "cast to int"),
    // Types of columns that cannot be.
    ("CREATE TABLE app.x (k duration PRIMARY KEY)", INVALID, "duration"),
    ("CREATE TABLE app.x (k int, c duration, PRIMARY KEY (k, c))", INVALID, "duration"),
    ("CREATE TABLE app.x (k list<int> PRIMARY KEY)", INVALID, "k"),
    ("CREATE TABLE app.x (k int PRIMARY KEY, v list<list<int>>)", INVALID, "frozen"),
    ("CREATE TABLE app.x (k int PRIMARY KEY, v map<int>)", INVALID, "map"),
    ("CREATE TABLE app.x (k int PRIMARY KEY, v set<duration>)", INVALID, "duration"),
    ("CREATE TABLE app.x (k int PRIMARY KEY, v set<counter>)", INVALID, "counter"),
    // IN, tuples, token().
    ("SELECT * FROM app.notes WHERE note_id IN (1, 'two')", INVALID, "note_id"),
    ("SELECT * FROM app.notes WHERE note_id IN (1, null)", INVALID, "note_id"),
    ("SELECT * FROM app.notes WHERE body IN ('x')", INVALID, "ALLOW FILTERING"),
    ("SELECT * FROM app.notes WHERE note_id IN 1", SYNTAX, "expected"),
    ("SELECT * FROM app.notes WHERE note_id > 1", INVALID, "note_id"),
    ("SELECT * FROM app.parts WHERE a = 1", INVALID, "b"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' AND d = 1", INVALID, "preceding column"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' AND c > 1 AND d = 1", INVALID, "non-EQ"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' AND (d, c) > (1, 1)", INVALID, "order"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' AND (c, d) > (1)", INVALID, "Expected 2"),
    ("SELECT * FROM app.parts WHERE (a, b) = (1, 'x')", INVALID, "clustering columns"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' AND c = 1 AND c = 2", INVALID, "c"),
    ("SELECT * FROM app.parts WHERE token(a) > 0", INVALID, "token"),
    ("SELECT * FROM app.parts WHERE token(b, a) > 0", INVALID, "partition key order"),
    ("SELECT * FROM app.parts WHERE token(a, b) > 'far'", INVALID, "token"),
    ("DELETE FROM app.notes WHERE token(note_id) > 0", INVALID, "token"),
    ("UPDATE app.cells SET v = 'x' WHERE k = 1 AND c > 1", INVALID, "c"),
    ("DELETE v FROM app.cells WHERE k = 1 AND c > 1", INVALID, "c"),
    ("DELETE FROM app.cells WHERE k = 1 AND v = 'x'", INVALID, "v"),
    ("DELETE FROM app.cells WHERE k > 1", INVALID, "k"),
    // ORDER BY, LIMIT, what a result may be made of.
    ("SELECT * FROM app.lines ORDER BY line_no", INVALID, "ORDER BY"),
    ("SELECT * FROM app.lines WHERE day_name = 'x' ORDER BY body", INVALID, "body"),
    ("SELECT * FROM app.lines WHERE day_name = 'x' ORDER BY nosuch", INVALID, "nosuch"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' ORDER BY d", INVALID, "rder by"),
    ("SELECT * FROM app.parts WHERE a = 1 AND b = 'x' ORDER BY c ASC, d DESC", INVALID, "rder by"),
    ("SELECT * FROM app.lines LIMIT -1", INVALID, "LIMIT"),
    ("SELECT * FROM app.lines PER PARTITION LIMIT 0", INVALID, "LIMIT"),
    ("SELECT DISTINCT body FROM app.lines", INVALID, "DISTINCT"),
    ("SELECT count(*), body FROM app.lines GROUP BY body", INVALID, "GROUP BY"),
    ("SELECT token(line_no) FROM app.lines", INVALID, "token"),
    ("SELECT body AS x, nosuch FROM app.lines", INVALID, "nosuch"),
    // Timestamps, TTLs and contexts, each on the wrong kind of table.
    ("INSERT INTO app.cells (k, c) VALUES (1, 1) USING CONTEXT 0x00", INVALID, "CONTEXT"),
    ("UPDATE app.cells USING CONTEXT 0x00 SET v = 'x' WHERE k = 1 AND c = 1", INVALID, "CONTEXT"),
    ("DELETE FROM app.cells USING CONTEXT 0x00 WHERE k = 1 AND c = 1", INVALID, "CONTEXT"),
    (
        "INSERT INTO app.cells (k, c) VALUES (1, 1) USING TIMESTAMP 9000000000000000",
        INVALID,
        "ahead",
    ),
    ("DELETE FROM app.notes USING TIMESTAMP 5 WHERE note_id = 1", INVALID, "TIMESTAMP"),
    ("UPDATE app.notes USING TIMESTAMP 5 SET body = 'x' WHERE note_id = 1", INVALID, "TIMESTAMP"),
    ("INSERT INTO app.cells (k, c) VALUES (1, 1) USING TIMESTAMP 'soon'", SYNTAX, "expected"),
    ("INSERT INTO app.cells (k, c) VALUES (1, 1) USING TTL 630720001", INVALID, "ttl"),
    ("DELETE FROM app.cells USING TTL 5 WHERE k = 1 AND c = 1", INVALID, "TTL"),
    ("INSERT INTO app.notes (note_id) VALUES (1) USING CONTEXT 0x0102", INVALID, "context"),
    // Batches in text.
    ("BEGIN BATCH INSERT INTO app.notes (note_id) VALUES (1)", SYNTAX, "APPLY"),
    ("BEGIN BATCH SELECT * FROM app.notes; APPLY BATCH", SYNTAX, "SELECT"),
    (
        "BEGIN BATCH INSERT INTO app.notes (note_id) VALUES (1); \
         INSERT INTO app.notes (note_id) VALUES (2); APPLY BATCH",
        INVALID,
        "LOGGED",
    ),
    (
        "BEGIN COUNTER BATCH INSERT INTO app.notes (note_id) VALUES (1); APPLY BATCH",
        INVALID,
        "COUNTER",
    ),
    (
        "BEGIN BATCH INSERT INTO app.notes (note_id) VALUES (1) IF NOT EXISTS; APPLY BATCH",
        INVALID,
        "IF",
    ),
    (
        "BEGIN BATCH INSERT INTO system.local (key) VALUES ('x'); APPLY BATCH",
        UNAUTHORIZED,
        "system",
    ),
    (
        "BEGIN BATCH USING TIMESTAMP 5 INSERT INTO app.cells (k, c) VALUES (1, 1) \
         USING TIMESTAMP 6; APPLY BATCH",
        INVALID,
        "Timestamp",
    ),
    // Changes of tables.
    ("ALTER TABLE app.nosuch ADD w text", INVALID, "nosuch"),
    ("ALTER TABLE app.notes ADD body text", INVALID, "body"),
    ("ALTER TABLE app.notes ADD w frob", INVALID, "frob"),
    ("ALTER TABLE app.notes DROP nosuch", INVALID, "nosuch"),
    ("ALTER TABLE app.notes DROP note_id", INVALID, "note_id"),
    ("ALTER TABLE app.notes RENAME body TO text", INVALID, "body"),
    ("ALTER TABLE app.notes ALTER body TYPE int", INVALID, "TYPE"),
    ("ALTER TABLE app.notes WITH conflict = 'lww'", CONFIG, "conflict"),
    ("ALTER TABLE app.notes WITH nosuch = 1", CONFIG, "nosuch"),
    ("ALTER TABLE system.local ADD w text", UNAUTHORIZED, "system"),
    ("TRUNCATE app.nosuch", INVALID, "nosuch"),
    ("TRUNCATE nosuch.notes", INVALID, "nosuch"),
    ("TRUNCATE system.local", UNAUTHORIZED, "system"),
    ("TRUNCATE system_schema.tables", UNAUTHORIZED, "system"),
];
