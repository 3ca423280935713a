//! Tombstones of cells, rows and ranges, before and after what they cover.

use anyhow::Result;

use super::{assert_shown, three_nodes};

const LINES: &str = "CREATE TABLE app.lines (p int, c int, v text, w text, PRIMARY KEY (p, c))";

#[test]
fn a_range_tombstone_covers_earlier_rows_and_no_later_ones_in_whatever_order_they_come()
-> Result<()> {
    let (cluster, mut clients) = three_nodes("ranges", &[LINES])?;
    let early = |p: i32, c: i32| {
        format!("INSERT INTO app.lines (p, c, v) VALUES ({p}, {c}, 'early') USING TIMESTAMP 10")
    };
    let late = |p: i32, c: i32| {
        format!("INSERT INTO app.lines (p, c, v) VALUES ({p}, {c}, 'late') USING TIMESTAMP 30")
    };
    let range = |p: i32| {
        format!("DELETE FROM app.lines USING TIMESTAMP 20 WHERE p = {p} AND c >= 2 AND c < 5")
    };
    for (p, is_range_first) in [(1, false), (2, true)] {
        if is_range_first {
            clients[0].run(&range(p))?;
        }
        for c in 0..6 {
            clients[1].run(&early(p, c))?;
        }
        clients[2].run(&late(p, 3))?;
        if !is_range_first {
            clients[0].run(&range(p))?;
        }
        let select = format!("SELECT c, v FROM app.lines WHERE p = {p}");
        let wanted = ["0 | early", "1 | early", "3 | late", "5 | early"];
        assert_shown(&mut clients, &select, &wanted)?;
        let select = format!("SELECT v FROM app.lines WHERE p = {p} AND c = 2");
        assert_shown(&mut clients, &select, &[])?;
        let select = format!("SELECT c FROM app.lines WHERE p = {p} ORDER BY c DESC LIMIT 2");
        assert_shown(&mut clients, &select, &["5", "3"])?;
    }
    cluster.finish()
}

#[test]
fn a_partition_goes_as_a_whole_and_may_come_back() -> Result<()> {
    let (cluster, mut clients) = three_nodes("partition", &[LINES])?;
    for c in 0..20 {
        clients[0].run(&format!("INSERT INTO app.lines (p, c, v) VALUES (1, {c}, 'x')"))?;
    }
    clients[1].run("DELETE FROM app.lines WHERE p = 1")?;
    assert_shown(&mut clients, "SELECT c FROM app.lines WHERE p = 1", &[])?;
    clients[1].run("INSERT INTO app.lines (p, c, v) VALUES (1, 7, 'new')")?;
    assert_shown(&mut clients, "SELECT c, v FROM app.lines WHERE p = 1", &["7 | new"])?;
    clients[1].run("DELETE FROM app.lines WHERE p IN (1, 2)")?;
    assert_shown(&mut clients, "SELECT c, v FROM app.lines WHERE p = 1", &[])?;
    cluster.finish()
}

#[test]
fn rows_live_by_their_marker_or_by_a_cell() -> Result<()> {
    let (cluster, mut clients) = three_nodes("markers", &[LINES])?;
    let select = "SELECT c, v, w FROM app.lines WHERE p = 1";
    clients[0].run("UPDATE app.lines SET v = 'x' WHERE p = 1 AND c = 1")?;
    clients[0].run("INSERT INTO app.lines (p, c, v) VALUES (1, 2, 'x')")?;
    assert_shown(&mut clients, select, &["1 | x | null", "2 | x | null"])?;
    clients[0].run("DELETE v FROM app.lines WHERE p = 1 AND c IN (1, 2)")?;
    assert_shown(&mut clients, select, &["2 | null | null"])?;
    clients[0].run("DELETE FROM app.lines WHERE p = 1 AND c = 2")?;
    assert_shown(&mut clients, select, &[])?;
    cluster.finish()
}
