"""The unmodified Python driver: connect, create, prepare, write, read, page, route.

usage: clients.py NODE,NODE,... DATACENTER

Prints {"pages": [rows per page], "reads": [[table, token, coordinator], ...]}; anything that
reads back differently from how it was written ends the script with an error.
"""

import datetime
import json
import sys
import uuid

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy

READS = 1000


def main(nodes, datacenter):
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=datacenter)),
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=ConsistencyLevel.QUORUM,
        request_timeout=30,
    )
    cluster = Cluster(nodes, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=30)
    try:
        session = cluster.connect()
        session.execute(
            "CREATE KEYSPACE python WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}"
        )
        session.set_keyspace("python")
        values_come_back(session)
        contexts_are_blobs(session)
        pages = page_sizes(session)
        reads = routed_reads(cluster, session)
    finally:
        cluster.shutdown()
    print(json.dumps({"pages": pages, "reads": reads}))


def values_come_back(session):
    """Every type, full and null, through a prepared statement and through a literal."""
    session.execute(
        "CREATE TABLE things (id int PRIMARY KEY, big bigint, name text, raw blob, flag boolean, "
        "uid uuid, at timestamp, tags set<text>)"
    )
    insert = session.prepare("INSERT INTO things (id, big, name, raw, flag, uid, at, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    full = (
        1,
        -(2**63),
        "it's a ☃",
        b"\x00\xff",
        True,
        uuid.UUID("550e8400-e29b-41d4-a716-446655440000"),
        datetime.datetime(2001, 2, 3, 4, 5, 6, 789000),
        {"a", "b"},
    )
    empty = (2,) + (None,) * 7
    for row in (full, empty):
        session.execute(insert, row)
        expect(tuple(session.execute("SELECT id, big, name, raw, flag, uid, at, tags FROM things WHERE id = %s", row[:1]).one()), row)
    session.execute("INSERT INTO things (id, name, raw, tags) VALUES (%s, %s, %s, %s)", (3, "literal", b"\x01", {"x"}))
    row = session.execute("SELECT * FROM things WHERE id = 3").one()
    expect((row.id, row.name, row.raw, set(row.tags), row.big), (3, "literal", b"\x01", {"x"}, None))


def contexts_are_blobs(session):
    """A conflict is made and resolved with bind markers only."""
    session.execute("CREATE TABLE carts (id int PRIMARY KEY, items text)")
    insert = session.prepare("INSERT INTO carts (id, items) VALUES (?, ?)")
    read = session.prepare("SELECT context(), items FROM carts WHERE id = ?")
    resolve = session.prepare("INSERT INTO carts (id, items) VALUES (?, ?) USING CONTEXT ?")
    session.execute(insert, (1, "milk"))
    session.execute(insert, (1, "bread"))
    rows = list(session.execute(read, (1,)))
    expect(sorted(row.items for row in rows), ["bread", "milk"])
    expect(len({row[0] for row in rows}), 1)
    session.execute(resolve, (1, "milk and bread", rows[0][0]))
    expect([row.items for row in session.execute(read, (1,))], ["milk and bread"])


def page_sizes(session):
    """One partition in pages of 100: every row once, in the order of the clustering column."""
    session.execute("CREATE TABLE lines (day text, at int, body text, PRIMARY KEY (day, at))")
    insert = session.prepare("INSERT INTO lines (day, at, body) VALUES ('monday', ?, ?)")
    for at in range(1000):
        session.execute(insert, (at, f"line {at}"))
    select = session.prepare("SELECT at FROM lines WHERE day = 'monday'")
    select.fetch_size = 100
    result = session.execute(select)
    pages, seen = [], []
    while True:
        pages.append(len(result.current_rows))
        seen.extend(row.at for row in result.current_rows)
        if not result.has_more_pages:
            break
        result.fetch_next_page()
    expect(seen, list(range(1000)))
    return pages


def routed_reads(cluster, session):
    """Reads with the driver's own routing: the token it computed and the node that it asked."""
    session.execute("CREATE TABLE simple (id text PRIMARY KEY, v int)")
    session.execute("CREATE TABLE composite (a int, b text, v int, PRIMARY KEY ((a, b)))")
    statements = {
        "simple": (session.prepare("SELECT v FROM simple WHERE id = ?"), lambda n: (f"key {n}",)),
        "composite": (session.prepare("SELECT v FROM composite WHERE a = ? AND b = ?"), lambda n: (n, f"é{n}")),
    }
    token_class = cluster.metadata.token_map.token_class
    reads = []
    for table, (statement, key) in statements.items():
        statement.consistency_level = ConsistencyLevel.ONE
        for n in range(READS):
            bound = statement.bind(key(n))
            future = session.execute_async(bound)
            future.result()
            token = token_class.from_key(bound.routing_key)
            reads.append([table, str(token.value), str(future.coordinator_host.host_id)])
    return reads


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"wanted {wanted!r}, found {found!r}")


main(sys.argv[1].split(","), sys.argv[2])
