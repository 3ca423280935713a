//! A write reads nothing.

use anyhow::{Result, ensure};
use starling_tests::admin;

use super::{assert_shown, three_nodes};

#[test]
fn a_thousand_writes_read_no_row_on_any_node() -> Result<()> {
    let (cluster, mut clients) = three_nodes(
        "blind",
        &[
            "CREATE TABLE app.t (k int PRIMARY KEY, v text, s set<text>)",
            "CREATE TABLE app.lines (p int, c int, v text, PRIMARY KEY (p, c))",
        ],
    )?;
    let reads = || -> Result<u64> {
        let reads = |node| admin::counter(node, admin::STORE_READS);
        cluster.addresses().into_iter().map(reads).sum()
    };
    let mutations = || -> Result<u64> {
        let mutations = |node| admin::counter(node, admin::MUTATIONS);
        cluster.addresses().into_iter().map(mutations).sum()
    };
    let (reads_before, mutations_before) = (reads()?, mutations()?);
    for n in 0..1_000 {
        let (client, k) = (&mut clients[n % 3], n % 50);
        client.run(&match n % 6 {
            0 => format!("INSERT INTO app.t (k, v, s) VALUES ({k}, '{n}', {{'a', 'b'}})"),
            1 => format!("UPDATE app.t SET v = '{n}', s = s + {{'{n}'}} WHERE k = {k}"),
            2 => format!("DELETE FROM app.t WHERE k = {k}"),
            3 => format!("INSERT INTO app.lines (p, c, v) VALUES ({k}, {n}, 'x')"),
            4 => format!("DELETE FROM app.lines WHERE p = {k} AND c < {n}"),
            _ => format!(
                "BEGIN BATCH UPDATE app.t SET v = '{n}' WHERE k = {k}; \
                 DELETE FROM app.lines WHERE p = {k}; APPLY BATCH"
            ),
        })?;
    }
    let (reads, mutations) = (reads()? - reads_before, mutations()? - mutations_before);
    ensure!(mutations >= 2_000, "{mutations} mutations at QUORUM of three");
    assert_eq!(reads, 0, "rows were read before they were written");
    // The counter does count.
    assert_shown(&mut clients, "SELECT v FROM app.t WHERE k = 10000", &[])?;
    let after: u64 = cluster
        .addresses()
        .into_iter()
        .map(|node| admin::counter(node, admin::STORE_READS))
        .sum::<Result<_>>()?;
    ensure!(after > reads_before, "a read is not counted");
    cluster.finish()
}
