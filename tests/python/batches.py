"""The unmodified Python driver: BatchStatement of every kind on both kinds of tables.

usage: batches.py NODE,NODE,... DATACENTER

Expects tables app.siblings and app.lww (p int, c int, v text, PRIMARY KEY (p, c)). Prints
{"warnings": [...]}, those of one large UNLOGGED batch; anything that reads back differently from
how it was written ends the script with an error.
"""

import json
import sys

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement, BatchType, SimpleStatement


def main(nodes, datacenter):
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=datacenter)),
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=ConsistencyLevel.QUORUM,
        request_timeout=30,
    )
    cluster = Cluster(nodes, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=30)
    try:
        session = cluster.connect("app")
        for table in ["siblings", "lww"]:
            one_partition(session, table)
            several_partitions(session, table)
        warnings = large(session)
    finally:
        cluster.shutdown()
    print(json.dumps({"warnings": warnings}))


def rows(session, table, p):
    found = session.execute(f"SELECT c, v FROM {table} WHERE p = %s", (p,))
    return [(row.c, row.v) for row in found]


def one_partition(session, table):
    insert = session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    batch = BatchStatement()  # Logged, as people send them.
    batch.add(insert, (1, 1, "a"))
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (1, 2, 'b')")
    batch.add(SimpleStatement(f"UPDATE {table} SET v = %s WHERE p = 1 AND c = 3"), ("c",))
    session.execute(batch)
    assert rows(session, table, 1) == [(1, "a"), (2, "b"), (3, "c")], rows(session, table, 1)
    removal = BatchStatement()
    removal.add(f"DELETE FROM {table} WHERE p = 1 AND c = 1")
    removal.add(f"DELETE FROM {table} WHERE p = 1 AND c = 2")
    session.execute(removal)
    assert rows(session, table, 1) == [(3, "c")], rows(session, table, 1)


def several_partitions(session, table):
    insert = session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, 1, ?)")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    for p in range(10, 20):
        batch.add(insert, (p, str(p)))
    session.execute(batch)
    for p in range(10, 20):
        assert rows(session, table, p) == [(1, str(p))], rows(session, table, p)
    logged = BatchStatement(batch_type=BatchType.LOGGED)
    logged.add(insert, (30, "x"))
    logged.add(insert, (31, "x"))
    try:
        session.execute(logged)
    except InvalidRequest as refusal:
        assert "use UNLOGGED" in str(refusal), refusal
    else:
        raise AssertionError("a LOGGED batch of two partitions was done")


def large(session):
    insert = session.prepare("INSERT INTO lww (p, c, v) VALUES (?, 1, ?)")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    for p in range(100, 314):
        batch.add(insert, (p, "x" * 50))
    future = session.execute_async(batch)
    future.result()
    return future.warnings or []


if __name__ == "__main__":
    main(sys.argv[1].split(","), sys.argv[2])
