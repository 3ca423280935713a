//! The keyspace `system`: this node and the others.
//!
//! A member that owns no partition is left out of the peers, as it is left out of the events.

use std::net::SocketAddr;

use ring::HostId;
use types::Value;
use uuid::Uuid;

use super::{
    CQL_VERSION, RELEASE_VERSION, Record, SystemTable, View, clustering, none, partition, regular,
    text,
};
use crate::metadata::Member;

const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        keyspace: "system",
        name: "local",
        comment: "information about the local node",
        columns: &[
            partition("key", "text"),
            regular("bootstrapped", "text"),
            regular("broadcast_address", "inet"),
            regular("broadcast_port", "int"),
            regular("cluster_name", "text"),
            regular("cql_version", "text"),
            regular("data_center", "text"),
            regular("gossip_generation", "int"),
            regular("host_id", "uuid"),
            regular("listen_address", "inet"),
            regular("listen_port", "int"),
            regular("native_protocol_version", "text"),
            regular("partitioner", "text"),
            regular("rack", "text"),
            regular("release_version", "text"),
            regular("rpc_address", "inet"),
            regular("rpc_port", "int"),
            regular("schema_version", "uuid"),
            regular("starling_version", "text"),
            regular("tokens", "set<text>"),
            regular("truncated_at", "map<uuid, blob>"),
        ],
        rows: local,
    },
    SystemTable {
        keyspace: "system",
        name: "peers",
        comment: "information about known peers in the cluster",
        columns: &[
            partition("peer", "inet"),
            regular("data_center", "text"),
            regular("host_id", "uuid"),
            regular("preferred_ip", "inet"),
            regular("rack", "text"),
            regular("release_version", "text"),
            regular("rpc_address", "inet"),
            regular("schema_version", "uuid"),
            regular("tokens", "set<text>"),
        ],
        rows: peers,
    },
    SystemTable {
        keyspace: "system",
        name: "peers_v2",
        comment: "information about known peers in the cluster",
        columns: &[
            partition("peer", "inet"),
            clustering("peer_port", "int"),
            regular("data_center", "text"),
            regular("host_id", "uuid"),
            regular("native_address", "inet"),
            regular("native_port", "int"),
            regular("preferred_ip", "inet"),
            regular("preferred_port", "int"),
            regular("rack", "text"),
            regular("release_version", "text"),
            regular("schema_version", "uuid"),
            regular("tokens", "set<text>"),
        ],
        rows: peers_v2,
    },
    SystemTable {
        keyspace: "system",
        name: "size_estimates",
        comment: "per-table primary range size estimates",
        columns: &[
            partition("keyspace_name", "text"),
            clustering("table_name", "text"),
            clustering("range_start", "text"),
            clustering("range_end", "text"),
            regular("mean_partition_size", "bigint"),
            regular("partitions_count", "bigint"),
        ],
        rows: none,
    },
];

fn local(view: &View<'_>) -> Vec<Record> {
    let local = view.local;
    vec![vec![
        ("key", text("local")),
        ("bootstrapped", text("COMPLETED")),
        ("broadcast_address", Value::Inet(local.internode.ip())),
        ("broadcast_port", port(local.internode)),
        ("cluster_name", text(&view.snapshot.value.name)),
        ("cql_version", text(CQL_VERSION)),
        ("data_center", text(&local.datacenter)),
        ("gossip_generation", Value::Int(local.generation)),
        ("host_id", Value::Uuid(local.host.0)),
        ("listen_address", Value::Inet(local.listen)),
        ("listen_port", port(local.internode)),
        ("native_protocol_version", text("4")),
        ("partitioner", text(PARTITIONER)),
        ("rack", text(&local.rack)),
        ("release_version", text(RELEASE_VERSION)),
        ("rpc_address", Value::Inet(local.cql.ip())),
        ("rpc_port", port(local.cql)),
        ("schema_version", Value::Uuid(view.snapshot.schema_version)),
        ("starling_version", text(&local.version)),
        ("tokens", tokens(view, local.host)),
    ]]
}

fn peers(view: &View<'_>) -> Vec<Record> {
    let address = |peer: &Member| ("rpc_address", Value::Inet(peer.cql.ip()));
    others(view).map(|peer| [common(view, peer), vec![address(peer)]].concat()).collect()
}

fn peers_v2(view: &View<'_>) -> Vec<Record> {
    let addresses = |peer: &Member| {
        vec![
            ("peer_port", port(peer.internode)),
            ("native_address", Value::Inet(peer.cql.ip())),
            ("native_port", port(peer.cql)),
        ]
    };
    others(view).map(|peer| [common(view, peer), addresses(peer)].concat()).collect()
}

/// What both tables of peers say.
fn common(view: &View<'_>, peer: &Member) -> Record {
    vec![
        ("peer", Value::Inet(peer.internode.ip())),
        ("data_center", text(&peer.datacenter)),
        ("host_id", Value::Uuid(peer.host.0)),
        ("rack", text(&peer.rack)),
        ("release_version", text(RELEASE_VERSION)),
        ("schema_version", Value::Uuid(schema_version(view, peer.host))),
        ("tokens", tokens(view, peer.host)),
    ]
}

fn others<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Member> {
    view.snapshot.value.peers_of(view.local.host)
}

/// The version that a peer told last: drivers wait until all nodes show one. Of a peer that has told
/// none yet this node's is as good a guess as any.
fn schema_version(view: &View<'_>, peer: HostId) -> Uuid {
    view.told.get(&peer).map_or(view.snapshot.schema_version, |told| told.schema_version)
}

fn tokens(view: &View<'_>, host: HostId) -> Value {
    let tokens = view.snapshot.ring.tokens_of(host);
    Value::Set(tokens.into_iter().map(|token| text(token.to_string())).collect())
}

fn port(address: SocketAddr) -> Value {
    Value::Int(address.port().into())
}
