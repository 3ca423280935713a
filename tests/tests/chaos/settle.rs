//! After the chaos: all replicas become equal by themselves, and hold what was promised.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::{Cluster, admin, wait};

use super::load::{Load, lock, siblings};

/// All replicas are equal within this after everything has healed.
const EQUAL_WITHIN: Duration = Duration::from_secs(30);

/// Waits until all replicas of every partition hold the same rows, byte for byte.
pub(crate) fn wait_equal(cluster: &Cluster) -> Result<()> {
    wait::until_ok("all replicas to be equal", EQUAL_WITHIN, || {
        let mut roots = BTreeMap::new();
        for node in cluster.nodes() {
            let digests = admin::api(node.address(), "digests")?;
            let tables = digests["tables"].as_object().context("tables")?;
            for (table, partitions) in tables {
                for (partition, root) in partitions.as_object().context("partitions")? {
                    let of_node = (node.address(), root.clone());
                    let place = (table.clone(), partition.clone());
                    roots.entry(place).or_insert_with(Vec::new).push(of_node);
                }
            }
        }
        ensure!(!roots.is_empty(), "nobody holds anything");
        for (place, roots) in &roots {
            let is_one = roots.iter().all(|(_, root)| *root == roots[0].1);
            ensure!(is_one && roots.len() == 3, "{place:?} differs: {roots:?}");
        }
        Ok(())
    })
}

/// Compares what every node reads at QUORUM with what was promised.
pub(crate) fn check(cluster: &Cluster, load: &Load) -> Result<()> {
    let mut wrong = Vec::new();
    for node in cluster.nodes() {
        let mut client = node.client()?;
        for table in &load.siblings {
            for (key, row) in table.rows.iter().enumerate() {
                let select = format!("SELECT context(), v FROM app.{} WHERE k = {key}", table.name);
                let (found, _) = siblings(&client.rows(&select)?)?;
                let of_row = lock(row).check_settled(&found);
                wrong.extend(of_row.iter().map(|it| format!("app.{} {key}: {it}", table.name)));
            }
        }
        for (key, row) in load.latest.iter().enumerate() {
            let found = client.rows(&format!("SELECT v FROM app.latest WHERE k = {key}"))?;
            let of_row = lock(row).check_settled(found.texts("v")?.first().map(String::as_str));
            wrong.extend(of_row.iter().map(|it| format!("app.latest {key}: {it}")));
        }
    }
    ensure!(wrong.is_empty(), "after healing: {wrong:#?}");
    Ok(())
}
