//! What a node tells its operators over HTTP.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::place::ADMIN_PORT;

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

/// The sum of a metric over all its labels.
///
/// # Errors
/// If the node has no metric of this name, so that a misspelt one does not read as 0.
pub fn metric(node: IpAddr, name: &str) -> Result<f64> {
    let (status, body) = get(node, "/metrics")?;
    ensure!(status == 200, "{node} answered /metrics with {status}");
    sum(&body, name)?.with_context(|| format!("{node} has no metric {name}"))
}

/// What a node says of itself and of what the cluster agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Minted when the cluster was formed.
    pub cluster: Uuid,
    /// The epoch of the metadata that the node serves from.
    pub epoch: u64,
    /// A hash of that metadata.
    pub digest: String,
    /// This life of the node's data directory.
    pub store: String,
    /// The stores that agree on the next metadata.
    pub acceptors: Vec<String>,
}

/// Asks a node for its status.
pub fn status(node: IpAddr) -> Result<Status> {
    let value = api(node, "status")?;
    let text = |key: &str| {
        let field = value.get(key).and_then(Value::as_str);
        field.map(str::to_owned).with_context(|| format!("status has no text {key}: {value}"))
    };
    let acceptors = value.get("acceptors").and_then(Value::as_array);
    let acceptors = acceptors.with_context(|| format!("status has no list acceptors: {value}"))?;
    let epoch = value.get("epoch").and_then(Value::as_u64);
    Ok(Status {
        cluster: text("cluster_id")?.parse()?,
        epoch: epoch.with_context(|| format!("status has no number epoch: {value}"))?,
        digest: text("digest")?,
        store: text("store_id")?,
        acceptors: acceptors.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// One partition of the ring as a keyspace uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The last token that belongs to the partition.
    pub end: i64,
    /// The host ids of the replicas, best first.
    pub replicas: Vec<Uuid>,
}

/// The partitions of a keyspace in the order of their tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring(pub Vec<Partition>);

/// Asks a node for its ring.
pub fn ring(node: IpAddr, keyspace: &str) -> Result<Ring> {
    let value = api(node, &format!("ring?keyspace={keyspace}"))?;
    let rows = value.get("partitions").and_then(Value::as_array);
    let rows = rows.with_context(|| format!("ring has no list partitions: {value}"))?;
    let mut partitions = rows.iter().map(partition).collect::<Result<Vec<_>>>()?;
    partitions.sort_by_key(|partition| partition.end);
    ensure!(!partitions.is_empty(), "the ring of {node} has no partitions");
    Ok(Ring(partitions))
}

impl Ring {
    /// The replicas of a token. The ring closes: past the last end comes the first partition.
    pub fn replicas(&self, token: i64) -> &[Uuid] {
        let after = self.0.iter().find(|partition| token <= partition.end);
        &after.unwrap_or(&self.0[0]).replicas
    }
}

fn partition(value: &Value) -> Result<Partition> {
    let end = value.get("end").and_then(Value::as_str);
    let replicas = value.get("replicas").and_then(Value::as_array);
    let ids = replicas.with_context(|| format!("no list replicas in {value}"))?.iter();
    Ok(Partition {
        end: end.with_context(|| format!("no text end in {value}"))?.parse()?,
        replicas: ids
            .map(|id| Ok(id.as_str().context("a replica is no text")?.parse()?))
            .collect::<Result<_>>()?,
    })
}

/// Lines read `name value` or `name{labels} value`.
fn sum(metrics: &str, name: &str) -> Result<Option<f64>> {
    let mut total = None;
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        if series.split('{').next() == Some(name) {
            *total.get_or_insert(0.0) += value.parse::<f64>()?;
        }
    }
    Ok(total)
}

fn get(node: IpAddr, path: &str) -> Result<(u16, String)> {
    let config = ureq::Agent::config_builder().timeout_global(Some(LIMIT));
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{node}:{ADMIN_PORT}{path}")).call()?;
    let status = answer.status().as_u16();
    Ok((status, answer.body_mut().read_to_string()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text =
            "# TYPE writes counter\nwrites_total{t=\"a\"} 2\nwrites_total{t=\"b\"} 3\nwrites 9\n";
        assert_eq!(sum(text, "writes_total").unwrap(), Some(5.0));
        assert_eq!(sum(text, "nosuch").unwrap(), None);
    }

    #[test]
    fn the_ring_closes() {
        let id = |n: u128| vec![Uuid::from_u128(n)];
        let ring = Ring(vec![
            Partition { end: -5, replicas: id(1) },
            Partition { end: 7, replicas: id(2) },
        ]);
        assert_eq!(ring.replicas(-5), id(1));
        assert_eq!(ring.replicas(-4), id(2));
        assert_eq!(ring.replicas(8), id(1));
    }
}
