//! What a node tells its operators over HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ring::{HostId, Ring};
use serde_json::Value;
use uuid::Uuid;

use crate::place::ADMIN_PORT;

/// Counts the fsyncs of the log.
pub const LOG_SYNCS: &str = "starling_commit_log_syncs_total";
/// Counts the mutations that a store was handed.
pub const MUTATIONS: &str = "starling_commit_mutations_total";

/// Counts the rows that a store read by their key.
pub const STORE_READS: &str = "starling_store_reads_total";

/// Counts how often a node took another one for dead.
pub const DEATHS: &str = "starling_nodes_taken_for_dead_total";
/// Counts the connections between nodes that ended for corrupted bytes.
pub const CORRUPT: &str = "starling_peer_connections_corrupt_total";
/// Counts the connections between nodes that were open and silent.
pub const SILENT: &str = "starling_peer_connections_silent_total";
/// Counts the reads that asked one replica more because others were slow.
pub const SPARES: &str = "starling_speculative_reads_total";
/// Counts those of them that this has helped.
pub const SPARES_WON: &str = "starling_speculative_reads_won_total";

/// No answer of the admin port takes longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether the node says that it serves.
pub fn is_ready(node: IpAddr) -> bool {
    get(node, "/ready").is_ok_and(|(status, _)| status == 200)
}

/// The answer to `/ready`: its status and its text.
pub fn readiness(node: IpAddr) -> Result<(u16, String)> {
    get(node, "/ready")
}

/// The answer to `/api/…` as JSON.
pub fn api(node: IpAddr, path: &str) -> Result<Value> {
    let (status, body) = get(node, &format!("/api/{path}"))?;
    ensure!(status == 200, "{node} answered /api/{path} with {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("/api/{path} of {node} is no JSON: {body}"))
}

/// Asks for a change by `POST /api/…`; the answer as JSON.
pub fn change(node: IpAddr, path: &str, body: &Value) -> Result<Value> {
    let url = format!("http://{node}:{ADMIN_PORT}/api/{path}");
    let mut answer = agent().post(url).send_json(body)?;
    let (status, text) = (answer.status().as_u16(), answer.body_mut().read_to_string()?);
    ensure!(status == 200, "{node} answered /api/{path} with {status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("/api/{path} of {node} is no JSON: {text}"))
}

/// The sum of a counter over all its labels.
///
/// # Errors
/// If the node has no counter of this name, so that a misspelt one does not read as 0.
pub fn counter(node: IpAddr, name: &str) -> Result<u64> {
    let (status, body) = get(node, "/metrics")?;
    ensure!(status == 200, "{node} answered /metrics with {status}");
    sum(&body, name)?.with_context(|| format!("{node} has no counter {name}"))
}

/// A gauge, which is no sum of events.
///
/// # Errors
/// If the node has none of this name.
pub fn gauge(node: IpAddr, name: &str) -> Result<u64> {
    counter(node, name)
}

/// What a node says of itself and of what the cluster agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The node's name.
    pub host: Uuid,
    /// Minted when the cluster was formed.
    pub cluster: Uuid,
    /// The epoch of the metadata that the node serves from.
    pub epoch: u64,
    /// This life of the node's data directory.
    pub store: String,
    /// The stores that agree on the next metadata.
    pub acceptors: Vec<String>,
}

/// Asks a node for its status.
pub fn status(node: IpAddr) -> Result<Status> {
    let value = api(node, "status")?;
    let acceptors = list(&value, "acceptors")?.iter().map(as_text);
    Ok(Status {
        host: text(&value, "host_id")?.parse()?,
        cluster: text(&value, "cluster_id")?.parse()?,
        epoch: number(&value, "epoch")?,
        store: text(&value, "store_id")?,
        acceptors: acceptors.collect::<Result<_>>()?,
    })
}

/// What a node takes each member for, `up` or `down`, by host id.
pub fn states(node: IpAddr) -> Result<BTreeMap<Uuid, String>> {
    let value = api(node, "status")?;
    let members = list(&value, "members")?.iter();
    members.map(|member| Ok((text(member, "host_id")?.parse()?, text(member, "state")?))).collect()
}

/// The digest of each epoch's value, as a node learned them.
pub fn epochs(node: IpAddr) -> Result<BTreeMap<u64, String>> {
    let value = api(node, "epochs")?;
    let records = list(&value, "epochs")?.iter();
    records.map(|record| Ok((number(record, "epoch")?, text(record, "digest")?))).collect()
}

/// The ring that a node places keys by: its members and the owners of its partitions.
pub fn ring(node: IpAddr) -> Result<Ring> {
    let status = api(node, "status")?;
    let members = list(&status, "members")?.iter().map(|member| {
        let (datacenter, rack) = (text(member, "datacenter")?, text(member, "rack")?);
        Ok(ring::Node { host: HostId(text(member, "host_id")?.parse()?), datacenter, rack })
    });
    let value = api(node, "ring")?;
    let partitions = list(&value, "partitions")?;
    let owners = partitions.iter().map(|it| Ok(HostId(text(it, "owner")?.parse()?)));
    let epoch = number(&status, "epoch")?;
    let ring = Ring::new(epoch, members.collect::<Result<_>>()?, owners.collect::<Result<_>>()?)?;
    for (partition, shown) in ring.partitions().iter().zip(partitions) {
        let end = shown.get("end").and_then(Value::as_i64);
        ensure!(end == Some(ring.end_of(partition).value()), "{shown} ends elsewhere");
    }
    Ok(ring)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    let field = value.get(key).and_then(Value::as_array);
    field.with_context(|| format!("no list {key} in {value}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    as_text(value.get(key).with_context(|| format!("no {key} in {value}"))?)
}

fn as_text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"))
}

fn number(value: &Value, key: &str) -> Result<u64> {
    let field = value.get(key).and_then(Value::as_u64);
    field.with_context(|| format!("no number {key} in {value}"))
}

/// Lines read `name value` or `name{labels} value`.
fn sum(metrics: &str, name: &str) -> Result<Option<u64>> {
    let mut total = None;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        if series.split('{').next() == Some(name) {
            *total.get_or_insert(0) += value.parse::<u64>()?;
        }
    }
    Ok(total)
}

fn get(node: IpAddr, path: &str) -> Result<(u16, String)> {
    let mut answer = agent().get(format!("http://{node}:{ADMIN_PORT}{path}")).call()?;
    let status = answer.status().as_u16();
    Ok((status, answer.body_mut().read_to_string()?))
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(LIMIT));
    config.http_status_as_error(false).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text =
            "# TYPE writes counter\nwrites_total{t=\"a\"} 2\nwrites_total{t=\"b\"} 3\nwrites 9\n";
        assert_eq!(sum(text, "writes_total").unwrap(), Some(5));
        assert_eq!(sum(text, "nosuch").unwrap(), None);
    }
}
