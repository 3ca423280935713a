//! Whoever reads at QUORUM leaves a quorum with what was read.

use anyhow::{Result, ensure};
use starling_tests::{Consistency, admin};

use super::{cluster, values, wait_alive};

/// Two replicas have a row, the third was down and nobody kept a hint. A read at QUORUM through it
/// brings it up to date before it answers: the row is there when the two are gone.
#[test]
fn a_stale_replica_is_up_to_date_before_a_quorum_read_is_answered() -> Result<()> {
    let tables = [
        "CREATE TABLE app.latest (k int PRIMARY KEY, v text) WITH conflict = 'lww'",
        "CREATE TABLE app.flock (k int PRIMARY KEY, v text)",
        "CREATE TABLE app.parts (p int, k int, v text, PRIMARY KEY (p, k))",
        "CREATE TABLE app.cells (p int, k int, v text, PRIMARY KEY (p, k)) WITH conflict = 'lww'",
    ];
    let mut cluster =
        cluster("read-repair", 3, &["testing.forget_hints=true", "repair.interval=1h"], &tables)?;
    let mut client = cluster.node(0).client()?;
    client.run_at("INSERT INTO app.cells (p, k, v) VALUES (1, 99, 'old')", Consistency::All)?;
    cluster.node(2).kill()?;
    wait_alive(&cluster, 2)?;
    for key in 0..20 {
        for table in ["latest", "flock"] {
            let insert = format!("INSERT INTO app.{table} (k, v) VALUES ({key}, 'v{key}')");
            client.run_at(&insert, Consistency::Quorum)?;
        }
        for table in ["parts", "cells"] {
            let insert = format!("INSERT INTO app.{table} (p, k, v) VALUES (1, {key}, 'v{key}')");
            client.run_at(&insert, Consistency::Quorum)?;
        }
    }
    client.run_at("DELETE FROM app.cells WHERE p = 1 AND k > 50", Consistency::Quorum)?;
    cluster.node(2).start()?;
    cluster.wait_ready()?;
    wait_alive(&cluster, 3)?;

    let stale = cluster.nodes()[2].address();
    let mut client = cluster.node(2).client()?;
    for key in 0..20 {
        for table in ["latest", "flock"] {
            let read = values(&mut client, table, key, Consistency::Quorum)?;
            ensure!(read == [format!("v{key}")], "{table} {key}: {read:?}");
        }
    }
    for table in ["parts", "cells"] {
        let select = format!("SELECT v FROM app.{table} WHERE p = 1");
        ensure!(client.rows_at(&select, Consistency::Quorum)?.count() == 20, "{table}");
    }
    let repairs = admin::counter(stale, "starling_read_repairs_awaited_total")?;
    ensure!(repairs >= 42, "{repairs} repairs");
    let select = "SELECT v FROM app.flock WHERE k = 1";
    client.rows_at(select, Consistency::Quorum)?;
    let after = admin::counter(stale, "starling_read_repairs_awaited_total")?;
    ensure!(after == repairs, "what is equal needs no repair");

    cluster.node(0).kill()?;
    cluster.node(1).kill()?;
    wait_alive(&cluster, 1)?;
    for key in 0..20 {
        for table in ["latest", "flock"] {
            let read = values(&mut client, table, key, Consistency::One)?;
            ensure!(read == [format!("v{key}")], "{table} {key} alone: {read:?}");
        }
    }
    for table in ["parts", "cells"] {
        let select = format!("SELECT v FROM app.{table} WHERE p = 1");
        let alone = client.rows_at(&select, Consistency::One)?;
        ensure!(alone.count() == 20, "{table} alone: {:?}", alone.texts("v")?);
    }
    cluster.finish()
}
