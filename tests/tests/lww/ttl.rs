//! What has a time to live is gone on all nodes at one instant.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::{Client, Consistency, wait};

use super::{INVALID, assert_shown, shown, three_nodes};

const TABLE: &str = "CREATE TABLE app.t (k int PRIMARY KEY, v text, w text)";

/// Whether a row is to be seen through a node, read from whichever one copy it asks.
fn is_seen(client: &mut Client, key: i32) -> Result<bool> {
    let select = format!("SELECT v FROM app.t WHERE k = {key}");
    Ok(client.rows_at(&select, Consistency::One)?.count() > 0)
}

#[test]
fn a_row_with_a_ttl_goes_on_all_nodes_at_one_instant() -> Result<()> {
    let (cluster, mut clients) = three_nodes("ttl", &[TABLE])?;
    let written = wait::now();
    clients[0].run_at("INSERT INTO app.t (k, v) VALUES (1, 'x') USING TTL 4", Consistency::All)?;
    let acknowledged = wait::now();
    let mut gone = [None; 3];
    while gone.iter().any(Option::is_none) {
        ensure!(written.elapsed() < Duration::from_secs(20), "the row stays: {gone:?}");
        for (gone, client) in gone.iter_mut().zip(&mut clients) {
            let before = wait::now();
            let is_seen = is_seen(client, 1)?;
            ensure!(!is_seen || gone.is_none(), "a row came back");
            // A row that is seen was there when the question was asked.
            let too_late = acknowledged + Duration::from_millis(4_500);
            ensure!(!is_seen || before < too_late, "a row outlives its time");
            if !is_seen && gone.is_none() {
                *gone = Some(wait::now());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for instant in gone {
        let lived = instant.context("gone")?.duration_since(written);
        ensure!(lived >= Duration::from_secs(4), "gone after {lived:?}");
    }
    cluster.finish()
}

#[test]
fn the_cells_of_an_update_go_and_those_of_others_stay() -> Result<()> {
    let (cluster, mut clients) = three_nodes("cells-ttl", &[TABLE])?;
    clients[0].run("INSERT INTO app.t (k, v, w) VALUES (1, 'v', 'w')")?;
    clients[1].run("UPDATE app.t USING TTL 2 SET v = 'short' WHERE k = 1")?;
    let rows = clients[2].rows("SELECT ttl(v), ttl(w) FROM app.t WHERE k = 1")?;
    ensure!((0..=2).contains(&rows.integer_at(0, 0)?), "{rows:?}");
    ensure!(rows.cells[0][1].is_none(), "{rows:?}");
    wait::until("the cell to go", Duration::from_secs(10), || {
        let rows = shown(&mut clients[0], "SELECT v, w FROM app.t WHERE k = 1")?;
        Ok((rows == ["null | w"]).then_some(()))
    })?;
    assert_shown(&mut clients, "SELECT v, w FROM app.t WHERE k = 1", &["null | w"])?;
    cluster.finish()
}

#[test]
fn a_ttl_lies_between_none_and_twenty_years() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("ttl-bounds", &[TABLE])?;
    client.run("INSERT INTO app.t (k, v) VALUES (1, 'x') USING TTL 0")?;
    client.run("INSERT INTO app.t (k, v) VALUES (2, 'x') USING TTL 630720000")?;
    let rows = client.rows("SELECT ttl(v) FROM app.t WHERE k = 1")?;
    ensure!(rows.cells[0][0].is_none(), "0 is none: {rows:?}");
    for ttl in ["-1", "630720001", "2147483647"] {
        let text = format!("INSERT INTO app.t (k, v) VALUES (3, 'x') USING TTL {ttl}");
        assert_eq!(client.refusal(&text)?.code, INVALID, "{ttl}");
    }
    cluster.finish()
}
