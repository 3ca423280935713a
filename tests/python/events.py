"""The unmodified Python driver hears of what others do, and asks for nothing by itself.

usage: events.py NODE VICTIM

Connects to NODE, creates the keyspace `listening` to say that it listens, and waits until its
metadata follow what is done through other nodes: the keyspace `app` with the table `stays` and
without the table `gone`, and VICTIM down and up again. Prints the events as they came.
"""

import json
import sys
import threading
import time

from cassandra.cluster import Cluster

PATIENCE_S = 150


def main(node, victim):
    cluster = Cluster([node], connect_timeout=30, schema_event_refresh_window=0, topology_event_refresh_window=0)
    events, told = [], threading.Condition()

    def note(event):
        with told:
            events.append({key: str(value) for key, value in event.items()})
            told.notify_all()

    try:
        session = cluster.connect()
        connection = cluster.control_connection._connection
        kinds = ["SCHEMA_CHANGE", "STATUS_CHANGE", "TOPOLOGY_CHANGE"]
        connection.register_watchers({kind: note for kind in kinds}, register_timeout=30)
        session.execute(
            "CREATE KEYSPACE listening WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
            timeout=30,
        )
        until("the tables", lambda: tables(cluster) == ["stays"] and saw(events, "SCHEMA_CHANGE", "DROPPED", "gone"))
        until("the end of the victim", lambda: saw(events, "STATUS_CHANGE", "DOWN", victim))
        until("the return of the victim", lambda: saw(events, "STATUS_CHANGE", "UP", victim))
        until("its host to be up", lambda: all(host.is_up for host in cluster.metadata.all_hosts()))
    finally:
        cluster.shutdown()
    print(json.dumps(events))


def tables(cluster):
    keyspace = cluster.metadata.keyspaces.get("app")
    return keyspace and sorted(keyspace.tables)


def saw(events, kind, change, name):
    return any(event["change_type"] == change and name in str(event) for event in list(events))


def until(what, is_so):
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE_S} s in vain for {what}")
        time.sleep(0.05)


main(sys.argv[1], sys.argv[2])
