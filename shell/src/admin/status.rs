//! `starling status`: who belongs to the cluster, and how it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::http::Answer;
use super::{AdminArgs, ended};
use crate::Exit;
use crate::print::Table;

/// `starling status`.
#[derive(Debug, Clone, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs `starling status`.
pub fn status(args: &StatusArgs) -> Exit {
    let answer = Answer::get(&args.admin, "/api/status");
    ended(answer.and_then(|answer| answer.text(&args.admin, |status: Status| status.text())))
}

/// What a node says of itself and its cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Status {
    /// The cluster's name.
    cluster: String,
    /// Minted when the cluster was formed.
    cluster_id: Option<String>,
    /// The epoch of the metadata that the node serves from.
    epoch: u64,
    /// Whether the cluster was formed.
    formed: bool,
    /// Whether the node serves.
    ready: bool,
    /// Why it does not, or what else an operator should know; may be empty.
    #[serde(default)]
    reason: Option<String>,
    version: String,
    host_id: String,
    /// This life of its data directory.
    #[serde(default)]
    store_id: Option<String>,
    members: Vec<Member>,
    /// The store ids of those that agree on the next metadata.
    acceptors: Vec<String>,
    /// By how much the clock of each peer is ahead.
    #[serde(default)]
    clock_skew_ms: BTreeMap<String, f64>,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Member {
    host_id: String,
    store_id: String,
    address: String,
    cql: String,
    datacenter: String,
    rack: String,
    /// `up` or `down`, as the asked node sees it.
    state: String,
    partitions: u32,
    /// `replica` or `coordinator`.
    role: String,
}

impl Status {
    fn text(&self) -> String {
        let id = self.cluster_id.as_deref().unwrap_or("none");
        let formed = if self.formed { "formed" } else { "not formed yet" };
        let ready = if self.ready { "ready" } else { "not ready" };
        let reason = self.reason.as_deref().filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let store = self.store_id.as_deref().unwrap_or("unknown");
        let mut text = String::new();
        let head = [
            ("cluster", format!("{}, id {id}, epoch {}, {formed}", self.cluster, self.epoch)),
            ("seeds", self.acceptors.join(", ")),
            ("asked", format!("{}, store {store}, version {}", self.host_id, self.version)),
            ("", format!("{ready}{reason}")),
        ];
        for (name, value) in head {
            writeln!(text, "{name:8} {value}").expect("a string takes everything");
        }
        text.push('\n');
        text.push_str(&self.members());
        text
    }

    fn members(&self) -> String {
        let mut table = Table::new([
            "state",
            "address",
            "cql",
            "datacenter",
            "rack",
            "partitions",
            "role",
            "seed",
            "clock ms",
            "host id",
            "store id",
        ]);
        for member in &self.members {
            let is_seed = self.acceptors.contains(&member.store_id);
            // To a tenth, and a zero without the minus that rounding may leave.
            let skew = self.clock_skew_ms.get(&member.host_id);
            let skew = skew.map(|skew| (skew * 10.0).round() / 10.0 + 0.0);
            table.line([
                member.state.as_str(),
                &member.address,
                &member.cql,
                &member.datacenter,
                &member.rack,
                &member.partitions.to_string(),
                &member.role,
                if is_seed { "yes" } else { "" },
                &skew.map(|skew| format!("{skew:+.1}")).unwrap_or_default(),
                &member.host_id,
                &member.store_id,
            ]);
        }
        for numbers in [5, 8] {
            table.align_right(numbers);
        }
        table.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{
        "cluster": "starling", "cluster_id": "c1", "epoch": 12, "formed": true, "ready": true,
        "reason": null, "version": "0.1.0", "host_id": "h1", "store_id": "s1",
        "digest": "unknown to the shell",
        "members": [
            {"host_id": "h1", "store_id": "s1", "address": "127.0.0.1:7000",
             "cql": "127.0.0.1:9042", "datacenter": "datacenter1", "rack": "rack1",
             "state": "up", "partitions": 128, "role": "replica"},
            {"host_id": "h2", "store_id": "s2", "address": "127.0.0.2:7000",
             "cql": "127.0.0.2:9042", "datacenter": "datacenter1", "rack": "rack1",
             "state": "down", "partitions": 0, "role": "coordinator"}],
        "acceptors": ["s1"], "clock_skew_ms": {"h1": -0.01, "h2": -3.24}
    }"#;

    #[test]
    fn members_are_listed_with_what_an_operator_needs() {
        let status: Status = serde_json::from_str(ANSWER).unwrap();
        let expected = "\
cluster  starling, id c1, epoch 12, formed
seeds    s1
asked    h1, store s1, version 0.1.0
         ready

 state | address        | cql            | datacenter  | rack  | partitions | role        | seed | clock ms | host id | store id
-------+----------------+----------------+-------------+-------+------------+-------------+------+----------+---------+----------
 up    | 127.0.0.1:7000 | 127.0.0.1:9042 | datacenter1 | rack1 |        128 | replica     | yes  |     +0.0 | h1      | s1
 down  | 127.0.0.2:7000 | 127.0.0.2:9042 | datacenter1 | rack1 |          0 | coordinator |      |     -3.2 | h2      | s2
";
        assert_eq!(status.text(), expected);
    }

    #[test]
    fn a_node_that_is_not_ready_says_why() {
        let mut status: Status = serde_json::from_str(ANSWER).unwrap();
        status.ready = false;
        status.formed = false;
        status.cluster_id = None;
        status.reason = Some("waiting for 2 seeds".to_owned());
        let text = status.text();
        assert!(text.contains("starling, id none, epoch 12, not formed yet\n"), "{text}");
        assert!(text.contains("not ready: waiting for 2 seeds\n"), "{text}");
    }
}
