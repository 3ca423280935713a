//! A cluster of real processes: started, killed, paused and stopped at will.
//!
//! ```text
//! let mut cluster = Cluster::builder("durability").nodes(3).listed(log::PEER_LOSS).start()?;
//! cluster.node(2).kill()?;                     // SIGKILL
//! let mut client = cluster.node(0).client()?;  // node 0 coordinates
//! cluster.node(2).start()?;
//! cluster.wait_ready()?;
//! cluster.finish()                             // reads the logs
//! ```
//!
//! Law: dropping a cluster kills every process of it. A cluster that is dropped before
//! [`Cluster::finish`] belongs to a test that fails: it prints the ends of its logs and leaves
//! its directory.

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::place::{self, INTERNODE_PORT, Network};
use crate::proxy::{Door, Links};
use crate::{Chance, log, wait};

pub use node::Node;

/// No cluster of a test takes longer to start than this, on the busiest machine.
pub const READY_LIMIT: Duration = Duration::from_mins(1);

/// No command of an operator takes longer than this.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A node behind a proxy listens on an address so far behind that of the proxy.
const BEHIND_PROXIES: usize = 100;

/// How many lines of each log a failing test prints.
const TAIL_LINES: usize = 40;

/// What a cluster is made of.
#[must_use]
#[derive(Debug)]
pub struct Builder {
    name: String,
    nodes: usize,
    seeds: Option<usize>,
    settings: Vec<String>,
    settings_of: BTreeMap<usize, Vec<String>>,
    prefix: Vec<String>,
    is_behind_proxies: bool,
    has_power_disks: bool,
    listed: Vec<String>,
}

/// Nodes that know each other, their network, and their directory.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    links: Option<Links>,
    listed: Vec<String>,
    directory: Option<TempDir>,
    _network: Network,
}

impl Builder {
    /// How many nodes; 3 unless told otherwise.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// How many of the first nodes are seeds; otherwise 3 where there are enough nodes, else 1.
    pub fn seeds(mut self, seeds: usize) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// A setting of every node, as `section.key=value`.
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// A setting of one node.
    pub fn set_on(mut self, node: usize, setting: &str) -> Self {
        self.settings_of.entry(node).or_default().push(setting.to_owned());
        self
    }

    /// A command that runs each node, such as a tracer with its options.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.prefix = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// A proxy before the internode port of each node.
    pub fn behind_proxies(mut self) -> Self {
        self.is_behind_proxies = true;
        self
    }

    /// A disk under each node whose power can be cut.
    pub fn on_power_disks(mut self) -> Self {
        self.has_power_disks = true;
        self
    }

    /// Phrases of warnings and errors that this test causes.
    pub fn listed(mut self, phrases: &[&str]) -> Self {
        self.listed.extend(phrases.iter().map(|&phrase| phrase.to_owned()));
        self
    }

    /// Starts all nodes at the same moment and waits until every one of them is ready.
    pub fn start(self) -> Result<Cluster> {
        let nodes_min = format!("cluster.nodes_min={}", self.nodes);
        let mut cluster = self.set(&nodes_min).build()?;
        cluster.start_all()?;
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// The nodes with their directories, none of them started.
    pub fn build(self) -> Result<Cluster> {
        let network = Network::take()?;
        let directory = place::scratch(&self.name)?;
        let seed_count = self.seeds.unwrap_or(if self.nodes < 3 { 1 } else { 3 });
        let seeds: Vec<String> = (0..seed_count)
            .map(|seed| format!("{}:{INTERNODE_PORT}", network.address(seed)))
            .collect();
        let binary = place::binary()?;
        let behind = if self.is_behind_proxies { BEHIND_PROXIES } else { 0 };
        let address = |index: usize| network.address(index + behind);
        let door = |index| Door { front: network.address(index), node: address(index) };
        let doors = || (0..self.nodes).map(door).collect();
        let links = self.is_behind_proxies.then(|| Links::start(doors())).transpose()?;
        let mut nodes: Vec<Node> = (0..self.nodes)
            .map(|index| {
                let own = self.settings_of.get(&index).into_iter().flatten();
                let mut settings: Vec<_> = self.settings.iter().chain(own).cloned().collect();
                let address = address(index);
                if self.is_behind_proxies {
                    settings.push(format!("listen.advertise={}", network.address(index)));
                }
                Node::new(node::Plan {
                    binary: binary.clone(),
                    prefix: self.prefix.clone(),
                    address,
                    home: directory.path().join(format!("node{index}")),
                    seeds: seeds.clone(),
                    settings,
                })
            })
            .collect::<Result<_>>()?;
        if self.has_power_disks {
            let take = |node: &mut Node| node.take_disk(Chance::new("a power disk"));
            nodes.iter_mut().try_for_each(take)?;
        }
        Ok(Cluster {
            nodes,
            links,
            listed: self.listed,
            directory: Some(directory),
            _network: network,
        })
    }
}

impl Cluster {
    /// A cluster to be described; the name is that of its directory.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            nodes: 3,
            seeds: None,
            settings: Vec::new(),
            settings_of: BTreeMap::new(),
            prefix: Vec::new(),
            is_behind_proxies: false,
            has_power_disks: false,
            listed: Vec::new(),
        }
    }

    /// The node with this index, counted from 0.
    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What lies between the nodes.
    ///
    /// # Panics
    /// Unless they are behind proxies.
    pub fn links(&self) -> &Links {
        self.links.as_ref().expect("this cluster is behind proxies")
    }

    /// The addresses of all nodes.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// The nodes whose processes run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// Starts every node that does not run, all at the same moment.
    pub fn start_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter(|node| !node.is_running()).try_for_each(Node::start)
    }

    /// Kills every node that runs, with SIGKILL, all at the same moment.
    pub fn kill_all(&mut self) -> Result<()> {
        for node in self.nodes.iter_mut().filter(|node| node.is_running()) {
            node.send_kill()?;
        }
        self.nodes.iter_mut().try_for_each(Node::reap)
    }

    /// Waits until every running node says that it is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.nodes
            .iter_mut()
            .filter(|node| node.is_running())
            .try_for_each(|node| node.wait_ready(READY_LIMIT))
    }

    /// Changes the schema by these statements and waits until every running node shows the result.
    pub fn define(&self, statements: &[&str]) -> Result<()> {
        let first = self.running().next().context("no node runs")?;
        let mut client = first.client()?;
        statements.iter().try_for_each(|statement| client.run(statement))?;
        self.wait_schema()
    }

    /// Waits until every running node shows the same version of the schema.
    pub fn wait_schema(&self) -> Result<()> {
        settle("one version of the schema", || {
            let versions: BTreeSet<_> =
                self.running().map(Node::schema_version).collect::<Result<_>>()?;
            ensure!(versions.len() == 1, "versions {versions:?}");
            Ok(())
        })
    }

    /// Runs `starling WORDS --host NODE`, which must succeed, and returns what it printed.
    pub fn command(&self, node: usize, words: &[&str]) -> Result<String> {
        let mut command = Command::new(place::binary()?);
        command.args(words).arg("--host").arg(self.nodes[node].address().to_string());
        let outcome = wait::run(&mut command, COMMAND_LIMIT)?;
        let (status, stderr) = (outcome.status, &outcome.stderr);
        ensure!(status.success(), "{command:?} ended with {status}: {stderr}");
        Ok(outcome.stdout)
    }

    /// Ends the test: stops all nodes and reads what they logged.
    ///
    /// # Errors
    /// If a node does not stop when asked to, or logged an alarm that the test does not list.
    pub fn finish(mut self) -> Result<()> {
        for node in self.nodes.iter_mut().filter(|node| node.is_running()) {
            node.stop()?;
        }
        let listed: Vec<&str> = self.listed.iter().map(String::as_str).collect();
        let mut alarms = String::new();
        for node in &self.nodes {
            for line in log::unlisted(&node.log()?, &listed) {
                writeln!(alarms, "{}: {line}", node.address())?;
            }
        }
        ensure!(alarms.is_empty(), "alarms that this test does not list:\n{alarms}");
        self.nodes.iter_mut().for_each(Node::drop_disk);
        let directory = self.directory.take().context("a cluster ends once")?;
        directory.close().context("cannot remove the directory of the cluster")
    }

    /// What a person needs to see of a test that failed.
    fn report(&self) {
        for node in &self.nodes {
            let log = node.log().unwrap_or_else(|error| format!("no log: {error}"));
            eprintln!("--- {} ({}) ---", node.address(), node.log_path().display());
            eprintln!("{}", log::tail(&log, TAIL_LINES));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.drop_process();
            node.drop_disk();
        }
        if let Some(directory) = self.directory.take() {
            self.report();
            eprintln!("the directory of the cluster is kept: {}", directory.keep().display());
        }
    }
}

/// Waits until the nodes see what a test did to one of them.
pub fn settle<T>(what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
    wait::until_ok(what, Duration::from_secs(30), probe)
}
