"""The unmodified Python driver: a prepared SELECT * while its table changes.

usage: prepared.py NODE,NODE,... CHANGE CHANGE...

Makes each change and prints the columns that the statement, prepared after the first of them, has
then on every node: [[name, ...], ...]; none where the table is gone.
"""

import json
import sys

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, RoundRobinPolicy


def main(nodes, changes):
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(),
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=ConsistencyLevel.QUORUM,
        request_timeout=30,
    )
    cluster = Cluster(nodes, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=30)
    try:
        session = cluster.connect("app")
        session.execute(changes[0])
        select = session.prepare("SELECT * FROM app.p WHERE k = ?")
        session.execute("INSERT INTO app.p (k, d) VALUES (1, 7)")
        found = [columns(session, select, len(nodes))]
        for change in changes[1:]:
            session.execute(change)
            found.append(columns(session, select, len(nodes)))
    finally:
        cluster.shutdown()
    print(json.dumps(found))


def columns(session, select, nodes):
    """The columns of the result: the same at every node, and the row as it was written."""
    try:
        results = [session.execute(select, [1]) for _ in range(nodes)]
    except InvalidRequest:
        return []
    names = {tuple(result.column_names) for result in results}
    assert len(names) == 1, names
    for result in results:
        for row in result:
            assert row.k == 1 and row.d == 7, row
    return list(names.pop())


main(sys.argv[1].split(","), sys.argv[2:])
