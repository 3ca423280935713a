"""The unmodified Python driver: edge values of every type, there and back.

usage: values.py NODE OPTIONS

OPTIONS is what stands behind CREATE TABLE, be it empty. Each value is written through a prepared
statement and, where it is short enough, as a literal of the driver's making; anything that reads
back differently ends the script with an error. Prints the bytes that the driver itself encodes:
{"values": [[column, key, hexadecimal digits or null], ...]}.
"""

import datetime
import json
import math
import random
import sys
import uuid
from collections.abc import Mapping
from decimal import Decimal

from cassandra import util
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, RoundRobinPolicy
from cassandra.query import tuple_factory

LITERAL_MAX = 900_000
MEBIBYTE = 1 << 20
MANY = 70_000

Date, Time, Duration, Set = util.Date, util.Time, util.Duration, util.SortedSet

CASES = [
    ("ascii", ["", "plain", "it's", "\x00\x7f"]),
    ("bigint", [0, 1, -1, 2**63 - 1, -(2**63)]),
    ("blob", [b"", b"\x00", bytes(range(256)), b"\xff" * MEBIBYTE]),
    ("boolean", [True, False]),
    ("date", [Date(0), Date(-1), Date("2024-02-29"), Date("1900-03-01"), Date("0001-01-01"), Date(-719528), Date(-719529), Date(-(2**31)), Date(2**31 - 1)]),
    ("decimal", [Decimal(text) for text in ("0", "0.00", "0E+3", "1.50", "-1.50", "1E+100", "-1E-100", "1E-2147483647", "1E+2147483647", "1." + "3" * 1000, "-" + "7" * 1000)]),
    ("double", [0.0, -0.0, 1.5, 0.1, math.nan, math.inf, -math.inf, 5e-324, sys.float_info.max, -sys.float_info.max]),
    ("float", [0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 2.0**-149, 3.4028234663852886e38]),
    ("inet", ["0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::ff"]),
    ("int", [0, 1, -1, 2**31 - 1, -(2**31)]),
    ("smallint", [0, 1, -1, 2**15 - 1, -(2**15)]),
    ("tinyint", [0, 1, -1, 127, -128]),
    ("varint", [0, -1, 127, 128, -128, -129, 2**64, -(2**64), 10**1000 - 1, -(10**1000)]),
    ("text", ["", "it's", "é☃𝄞", "\x00", "x" * MEBIBYTE]),
    ("time", [Time(0), Time(1), Time("08:12:54.123456789"), Time(86_399_999_999_999)]),
    ("timestamp", [datetime.datetime(1970, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), datetime.datetime(2024, 2, 29, 12), datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)]),
    ("timeuuid", [util.min_uuid_from_time(0), util.max_uuid_from_time(4_000_000_000), uuid.UUID("123e4567-e89b-12d3-a456-426614174000")]),
    ("uuid", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID("550e8400-e29b-41d4-a716-446655440000")]),
    ("duration", [Duration(0, 0, 0), Duration(1, 2, 3), Duration(-1, -2, -3), Duration(2**31 - 1, 2**31 - 1, 2**63 - 1), Duration(-(2**31), -(2**31), -(2**63)), Duration(0, 0, 63), Duration(0, 0, 64)]),
    ("list<int>", [[], [1], [3, 1, 2, 1], list(range(MANY))]),
    ("list<text>", [["", "a", ""]]),
    ("list<duration>", [[Duration(0, 1, 0), Duration(0, 0, 1)]]),
    ("set<int>", [Set([]), Set([1]), Set([-1, 0, 1]), Set(range(MANY))]),
    ("set<text>", [Set(["", "a", "é"])]),
    ("set<decimal>", [Set([Decimal("-1.50"), Decimal("0"), Decimal("1E+3")])]),
    ("map<text, int>", [{}, {"": 0, "a": -1}, {f"{n:06}": n for n in range(MANY)}]),
    ("map<int, frozen<list<text>>>", [{1: [], 2: ["b", "a"]}]),
    ("map<frozen<tuple<int, text>>, duration>", [{(1, "a"): Duration(1, 0, 0), (2, None): Duration(0, 0, 1)}]),
    ("frozen<list<int>>", [[], [2, 1]]),
    ("frozen<set<text>>", [Set([]), Set(["a", "b"])]),
    ("frozen<map<text, varint>>", [{}, {"a": 10**30}]),
    ("tuple<int, text, double>", [(1, "a", 1.5), (None, None, None), (1, None, 2.0), (None, "", None)]),
    ("tuple<int, tuple<text, blob>, list<tinyint>>", [(1, ("a", b""), [1, -1]), (None, (None, None), []), (2, None, None)]),
    ("list<frozen<map<text, frozen<set<int>>>>>", [[{"a": Set([1, 2]), "b": Set([])}, {}]]),
]

# Values in ascending order, of every type that may be a key.
ORDERS = [
    ("ascii", ["", "\x00", "A", "a", "aa", "b"]),
    ("bigint", [-(2**63), -1, 0, 1, 2**63 - 1]),
    ("blob", [b"", b"\x00", b"\x00\x00", b"\x00\xff", b"\x01", b"\xff", b"\xff\xff"]),
    ("boolean", [False, True]),
    ("date", [Date(-(2**31)), Date(-1), Date(0), Date(1), Date(2**31 - 1)]),
    ("decimal", [Decimal(text) for text in ("-1E+2147483647", "-100", "-99.99", "-1E-2147483647", "0", "1E-2147483647", "0.1", "0.11", "9", "10", "1E+2147483647")]),
    ("double", [-math.inf, -1.5, -5e-324, -0.0, 0.0, 5e-324, 1.5, math.inf, math.nan]),
    ("float", [-math.inf, -1.5, -0.0, 0.0, 1.5, math.inf, math.nan]),
    ("inet", ["0.0.0.0", "9.255.0.0", "10.0.0.0", "32.0.0.0", "2001:db8::", "255.0.0.0"]),
    ("int", [-(2**31), -1, 0, 1, 2**31 - 1]),
    ("smallint", [-(2**15), -1, 0, 1, 2**15 - 1]),
    ("tinyint", [-128, -1, 0, 1, 127]),
    ("varint", [-(10**400), -(2**64), -129, -128, -1, 0, 127, 128, 255, 2**64, 10**400]),
    ("text", ["", "\x00", "a", "b", "é", "☃", "𝄞"]),
    ("time", [Time(0), Time(1), Time(86_399_999_999_999)]),
    ("timestamp", [datetime.datetime(1, 1, 1), datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31)]),
    ("timeuuid", [util.min_uuid_from_time(t) for t in (0, 1, 1_000_000_000, 4_000_000_000)] + [util.max_uuid_from_time(4_000_000_000)]),
    ("uuid", [uuid.UUID(int=0), uuid.UUID("f0000000-0000-1000-8000-000000000000"), uuid.UUID("00000000-0000-1001-8000-000000000000"), uuid.UUID("00000000-0000-4000-8000-000000000000"), uuid.UUID("f0000000-0000-4000-8000-000000000000")]),
    ("frozen<list<int>>", [[], [-1], [-1, 5], [0], [1]]),
    ("frozen<set<text>>", [Set([]), Set(["a"]), Set(["a", "b"]), Set(["b"])]),
    ("frozen<map<int, int>>", [{}, {1: 1}, {1: 1, 2: 0}, {1: 2}]),
    ("tuple<int, text>", [(None, None), (None, "a"), (-1, "b"), (1, None), (1, ""), (1, "a")]),
]


def main(node, options):
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(),
        retry_policy=FallthroughRetryPolicy(),
        row_factory=tuple_factory,
        request_timeout=60,
    )
    cluster = Cluster([node], execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=30)
    try:
        session = cluster.connect()
        # As the driver's manual says: otherwise it makes lists of tuples.
        session.encoder.mapping[tuple] = session.encoder.cql_encode_tuple
        session.execute(
            "CREATE KEYSPACE python WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        session.set_keyspace("python")
        values = values_come_back(session, options)
        keys_come_back_in_order(session, options)
    finally:
        cluster.shutdown()
    print(json.dumps({"values": values}))


def values_come_back(session, options):
    columns = ", ".join(f"v{at} {kind}" for at, (kind, _) in enumerate(CASES))
    session.execute(f"CREATE TABLE things (k int PRIMARY KEY, {columns}){options}")
    written = []
    for at, (kind, values) in enumerate(CASES):
        column = f"v{at}"
        insert = session.prepare(f"INSERT INTO things (k, {column}) VALUES (?, ?)")
        select = session.prepare(f"SELECT {column} FROM things WHERE k = ?")
        encoded_as = insert.column_metadata[1].type
        empty_is_null = kind.split("<")[0] in ("list", "set", "map")
        for n, value in enumerate([None] + values):
            key = 1000 * at + 2 * n
            wanted = None if empty_is_null and not value else value
            raw = None if wanted is None else encoded_as.serialize(value, 4).hex()
            session.execute(insert, (key, value))
            expect(kind, session.execute(select, (key,)).one()[0], wanted)
            written.append([column, key, raw])
            statement = f"INSERT INTO things (k, {column}) VALUES ({key + 1}, {literal(session, value)})"
            if len(statement.encode()) < LITERAL_MAX:
                session.execute(statement)
                expect(kind, session.execute(select, (key + 1,)).one()[0], wanted)
                written.append([column, key + 1, raw])
    return written


def literal(session, value):
    # The driver makes a float of a decimal, and so another number.
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, util.SortedSet):
        return "{" + ", ".join(literal(session, element) for element in value) + "}"
    return session.encoder.cql_encode_all_types(value, as_text_type=True)


def keys_come_back_in_order(session, options):
    for at, (kind, values) in enumerate(ORDERS):
        for order, wanted in (("ASC", values), ("DESC", values[::-1])):
            table = f"{order.lower()}{at}"
            clustering = f"WITH CLUSTERING ORDER BY (c {order})"
            session.execute(
                f"CREATE TABLE {table} (k int, c {kind}, n int, PRIMARY KEY (k, c)) "
                + clustering
                + options.replace("WITH", "AND")
            )
            insert = session.prepare(f"INSERT INTO {table} (k, c, n) VALUES (1, ?, ?)")
            shuffled = list(enumerate(values))
            random.Random(at).shuffle(shuffled)
            for n, value in shuffled:
                session.execute(insert, (value, n))
            found = [row[0] for row in session.execute(f"SELECT c FROM {table} WHERE k = 1")]
            expect(f"{kind} {order}", found, wanted)
            select = session.prepare(f"SELECT n FROM {table} WHERE k = 1 AND c = ?")
            for n, value in enumerate(values):
                expect(kind, session.execute(select, (value,)).one()[0], n)
        table = f"partition{at}"
        session.execute(f"CREATE TABLE {table} (k {kind} PRIMARY KEY, n int){options}")
        insert = session.prepare(f"INSERT INTO {table} (k, n) VALUES (?, ?)")
        select = session.prepare(f"SELECT k, n FROM {table} WHERE k = ?")
        for n, value in enumerate(values):
            if value in ("", b""):
                continue  # A partition key may not be empty.
            session.execute(insert, (value, n))
            key, number = session.execute(select, (value,)).one()
            expect(kind, (key, number), (value, n))


def plain(value):
    """The value without what makes equal values differ, and with what makes different ones equal."""
    if isinstance(value, util.SortedSet):
        return ("set", [plain(element) for element in value])
    if isinstance(value, Mapping):
        return ("map", [(plain(key), plain(of)) for key, of in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(element) for element in value])
    if isinstance(value, float):
        return repr(value)
    return value


def expect(kind, found, wanted):
    if plain(found) != plain(wanted):
        raise AssertionError(f"{kind}: read {str(found)[:300]}, wrote {str(wanted)[:300]}")


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main(sys.argv[1], sys.argv[2])
