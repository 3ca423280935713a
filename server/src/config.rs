//! The configuration of a node: one struct a section, defaults in code, unknown keys refused.
//!
//! Layers, later ones win: defaults, the TOML file, `STARLING_SECTION__KEY` environment variables,
//! `--set section.key=value` flags. [`Config::load`] takes all of them as arguments and reads
//! nothing itself. `conf/starling.toml` shows every key with its default; a test keeps it so.

mod layers;
mod planted;
mod units;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use layers::{ConfigError, Layers};
pub use planted::{Planted, TestingConfig};
pub use units::ByteSize;

/// Everything a node can be told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What an acknowledgement means.
    pub durability: Durability,
    /// The cluster this node belongs to.
    pub cluster: ClusterConfig,
    /// This node.
    pub node: NodeConfig,
    /// The addresses it listens on.
    pub listen: ListenConfig,
    /// The port of the drivers.
    pub cql: CqlConfig,
    /// The port of the other nodes.
    pub internode: InternodeConfig,
    /// The port of the operators.
    pub admin: AdminConfig,
    /// How long an operation may take.
    pub timeouts: TimeoutConfig,
    /// Defaults of tables.
    pub tables: TableConfig,
    /// Limits on concurrent versions of one row.
    pub siblings: SiblingConfig,
    /// Limits on what one statement may do.
    pub guardrails: GuardrailConfig,
    /// Who is alive.
    pub gossip: GossipConfig,
    /// What is kept for replicas that are down.
    pub hints: HintConfig,
    /// What a node holds in the place of others.
    pub standin: StandInConfig,
    /// How long the traces of deleted rows are kept.
    pub gc: GcConfig,
    /// How replicas find and mend what differs.
    pub repair: RepairConfig,
    /// Memory and files of the store.
    pub store: StoreConfig,
    /// The clocks of the cluster.
    pub clock: ClockConfig,
    /// Planted bugs, with which tests show that they would find them; in no shipped file.
    #[serde(skip_serializing)]
    pub testing: TestingConfig,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The write is fsynced.
    #[default]
    Commit,
}

/// The cluster a node belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Nodes of another name are refused.
    pub name: String,
    /// `host:port` of the internode ports of 1, 3 or 5 nodes, the same list on every node.
    pub seeds: Vec<String>,
    /// How many equal partitions the ring is cut into; fixed at formation.
    pub partitions: u32,
    /// How many partitions in a row have different owners; fixed at formation.
    pub claim_spread: u32,
    /// How many nodes must have registered before the cluster serves; 0: as many as there are seeds.
    pub nodes_min: u32,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: "starling".to_owned(),
            seeds: Vec::new(),
            partitions: 256,
            claim_spread: 3,
            nodes_min: 0,
        }
    }
}

impl ClusterConfig {
    /// How many nodes must have registered before the cluster serves.
    pub fn nodes_needed(&self) -> u32 {
        let seeds = u32::try_from(self.seeds.len()).unwrap_or(u32::MAX);
        if self.nodes_min == 0 { seeds.max(1) } else { self.nodes_min }
    }
}

/// This node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// The data center it stands in.
    pub datacenter: String,
    /// The rack it stands in.
    pub rack: String,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            datacenter: "datacenter1".to_owned(),
            rack: "rack1".to_owned(),
            data_dir: PathBuf::from("data"),
        }
    }
}

/// The addresses a node listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// An IP address without a port.
    pub address: IpAddr,
    /// The address that others are told; empty: `address`.
    #[serde(with = "units::optional_address")]
    pub advertise: Option<IpAddr>,
    /// Whether an address beyond loopback is allowed although nothing asks for a password.
    pub insecure: bool,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), advertise: None, insecure: false }
    }
}

impl ListenConfig {
    /// The address that others are told.
    pub fn advertised(&self) -> IpAddr {
        self.advertise.unwrap_or(self.address)
    }
}

/// The port of the drivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CqlConfig {
    /// The port of the native protocol.
    pub port: u16,
    /// The longest body of a frame.
    pub frame_bytes_max: ByteSize,
    /// How many clients may be connected at once.
    pub connections_max: u32,
    /// How many requests of one connection are worked on at once; further ones wait in the socket.
    pub in_flight_max: u32,
    /// How many prepared statements are kept.
    pub prepared_max: u32,
}

impl Default for CqlConfig {
    fn default() -> Self {
        Self {
            port: 9042,
            frame_bytes_max: ByteSize::mib(16),
            connections_max: 10_000,
            in_flight_max: 1_024,
            prepared_max: 10_000,
        }
    }
}

/// The port of the other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InternodeConfig {
    /// The port that nodes speak to each other on.
    pub port: u16,
    /// The longest frame.
    pub frame_bytes_max: ByteSize,
    /// How many messages may wait for one peer; further ones are refused.
    pub queue_max: u32,
}

impl Default for InternodeConfig {
    fn default() -> Self {
        Self { port: 7000, frame_bytes_max: ByteSize::mib(64), queue_max: 16_384 }
    }
}

/// The port of the operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// The port of the admin HTTP server.
    pub port: u16,
    /// Where it listens; empty: `listen.address`.
    #[serde(with = "units::optional_address")]
    pub address: Option<IpAddr>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { port: 7080, address: None }
    }
}

/// How long an operation may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutConfig {
    /// A read of one row or one page.
    #[serde(with = "units::duration")]
    pub read: Duration,
    /// A write.
    #[serde(with = "units::duration")]
    pub write: Duration,
    /// A change of the schema or of the members.
    #[serde(with = "units::duration")]
    pub metadata: Duration,
    /// Opening a connection to another node.
    #[serde(with = "units::duration")]
    pub connect: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(5),
            write: Duration::from_secs(2),
            metadata: Duration::from_secs(10),
            connect: Duration::from_secs(1),
        }
    }
}

/// The conflict mode of tables that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultConflict {
    /// Concurrent writes are kept until somebody who has seen them resolves them.
    #[default]
    Siblings,
    /// The latest write is kept.
    Lww,
}

/// Defaults of tables.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableConfig {
    /// The conflict mode where neither table nor keyspace names one.
    pub default_conflict: DefaultConflict,
}

/// Limits on concurrent versions of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiblingConfig {
    /// A write that leaves this many versions is done and warned of.
    pub warn: u32,
    /// A write that would leave more versions than this is refused.
    pub max: u32,
}

impl Default for SiblingConfig {
    fn default() -> Self {
        Self { warn: 25, max: 100 }
    }
}

/// Limits on what one statement may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardrailConfig {
    /// How many rows one DELETE of a partition may remove.
    pub delete_rows_max: u32,
    /// How many rows one page may hold, whatever the client asks for.
    pub page_rows_max: u32,
    /// How many statements one BATCH may have.
    pub batch_statements_max: u32,
    /// How much one BATCH may write: keys and values.
    pub batch_bytes_max: ByteSize,
    /// How many rows, or stretches of rows, the IN relations of one statement may name.
    pub in_max: u32,
}

impl Default for GuardrailConfig {
    fn default() -> Self {
        Self {
            delete_rows_max: 10_000,
            page_rows_max: 10_000,
            in_max: 10_000,
            batch_statements_max: 10_000,
            batch_bytes_max: ByteSize::mib(4),
        }
    }
}

/// Who is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GossipConfig {
    /// How often a node speaks with some others.
    #[serde(with = "units::duration")]
    pub interval: Duration,
    /// How improbable a silence must be before a node counts as silent.
    pub phi: f64,
}

impl Default for GossipConfig {
    fn default() -> Self {
        Self { interval: Duration::from_millis(200), phi: 8.0 }
    }
}

/// What is kept for replicas that are down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HintConfig {
    /// Owners keep no hints for a node that has been down for longer; anti-entropy takes its
    /// partitions first when it is back.
    #[serde(with = "units::duration")]
    pub window: Duration,
    /// How many bytes of rows one node sends to one other in a second while it delivers hints.
    pub rate: ByteSize,
}

impl Default for HintConfig {
    fn default() -> Self {
        Self { window: Duration::from_hours(3), rate: ByteSize::mib(16) }
    }
}

/// What a node holds in the place of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandInConfig {
    /// A node that holds more for others stands in for nobody.
    pub bytes_max: ByteSize,
}

impl Default for StandInConfig {
    fn default() -> Self {
        Self { bytes_max: ByteSize::mib(1024) }
    }
}

/// How long the traces of deleted rows are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcConfig {
    /// Contexts are good for half of this.
    #[serde(with = "units::duration")]
    pub age: Duration,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self { age: Duration::from_hours(10 * 24) }
    }
}

/// How replicas find and mend what differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairConfig {
    /// The time between two rounds in which a node compares itself with its peers.
    #[serde(with = "units::duration")]
    pub interval: Duration,
    /// How many exchanges a node begins at the same time.
    pub concurrency: u32,
    /// How many bytes of rows a node moves in a second, both ways together.
    pub bytes_per_second: ByteSize,
    /// No digest is trusted for longer: so often every row is read from disk.
    #[serde(with = "units::duration")]
    pub scrub_interval: Duration,
}

impl Default for RepairConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            concurrency: 2,
            bytes_per_second: ByteSize::mib(16),
            scrub_interval: Duration::from_hours(24),
        }
    }
}

/// Memory and files of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for blocks that were read, shared by everything the store keeps.
    pub cache_bytes: ByteSize,
    /// Memory for rows that are in the log but in no table file yet.
    pub memtable_bytes: ByteSize,
    /// Room that must be free on the disk; below it writes are refused, below a quarter of it deletes too.
    pub reserve_bytes: ByteSize,
    /// How many writes may wait for the commit loop; further ones are refused.
    pub queue_max: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            cache_bytes: ByteSize::mib(256),
            memtable_bytes: ByteSize::mib(64),
            reserve_bytes: ByteSize::mib(64),
            queue_max: 16_384,
        }
    }
}

/// The clocks of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockConfig {
    /// A clock further from a peer's than this is logged and shown.
    #[serde(with = "units::duration")]
    pub skew_warn: Duration,
    /// A client's timestamp further ahead of this node's clock than this is refused.
    #[serde(with = "units::duration")]
    pub future_max: Duration,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self { skew_warn: Duration::from_millis(500), future_max: Duration::from_mins(10) }
    }
}

impl Config {
    /// The address and port of the native protocol, as this node binds it.
    pub fn cql_bind(&self) -> SocketAddr {
        SocketAddr::new(self.listen.address, self.cql.port)
    }

    /// The address and port of the internode protocol, as this node binds it.
    pub fn internode_bind(&self) -> SocketAddr {
        SocketAddr::new(self.listen.address, self.internode.port)
    }

    /// The address and port of the admin server, as this node binds it.
    pub fn admin_bind(&self) -> SocketAddr {
        SocketAddr::new(self.admin.address.unwrap_or(self.listen.address), self.admin.port)
    }

    /// Refuses what cannot work, before anything is opened.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &'static str, why: String| Err(ConfigError::Refused { key, why });
        if !matches!(self.cluster.seeds.len(), 0 | 1 | 3 | 5) {
            let why = format!("{} seeds; there must be 1, 3 or 5", self.cluster.seeds.len());
            return refuse("cluster.seeds", why);
        }
        if !(1..=65_535).contains(&self.cluster.partitions) {
            return refuse("cluster.partitions", "must lie between 1 and 65535".to_owned());
        }
        if self.listen.address.is_unspecified() && self.listen.advertise.is_none() {
            return refuse(
                "listen.advertise",
                format!("required when listen.address is {}", self.listen.address),
            );
        }
        let admin = self.admin.address.unwrap_or(self.listen.address);
        let open = [self.listen.address, admin].into_iter().find(|address| !address.is_loopback());
        if let Some(open) = open
            && !self.listen.insecure
        {
            let why = format!(
                "{open} is beyond loopback and nothing asks for a password: --insecure allows it"
            );
            return refuse("listen.address", why);
        }
        if self.siblings.warn > self.siblings.max {
            return refuse("siblings.warn", "must not be above siblings.max".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
