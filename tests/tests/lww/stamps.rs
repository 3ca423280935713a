//! Which of two writes wins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use starling_tests::Client;
use starling_tests::cql::{Batch, BatchStatement};
use starling_tests::{Consistency, Reply};

use super::{INVALID, assert_shown, shown, three_nodes};

const TABLE: &str = "CREATE TABLE app.t (k int PRIMARY KEY, v text, w int)";

#[test]
fn each_cell_has_the_write_of_the_latest_timestamp_in_whatever_order_they_come() -> Result<()> {
    let (cluster, mut clients) = three_nodes("stamps", &[TABLE])?;
    let writes = [
        "INSERT INTO app.t (k, v, w) VALUES (1, 'old', 1) USING TIMESTAMP 10",
        "UPDATE app.t USING TIMESTAMP 30 SET v = 'new' WHERE k = 1",
        "UPDATE app.t USING TIMESTAMP 20 SET v = 'mid', w = 2 WHERE k = 1",
    ];
    for (order, key) in [([0, 1, 2], 1), ([2, 1, 0], 2), ([1, 0, 2], 3), ([1, 2, 0], 4)] {
        for (client, write) in clients.iter_mut().zip(order) {
            let text = writes[write].replace("(1,", &format!("({key},"));
            client.run(&text.replace("k = 1", &format!("k = {key}")))?;
        }
        let select = format!("SELECT v, w, writetime(v), writetime(w) FROM app.t WHERE k = {key}");
        assert_shown(&mut clients, &select, &["new | 2 | 30 | 20"])?;
    }
    cluster.finish()
}

#[test]
fn a_write_without_a_timestamp_is_later_than_what_its_writer_saw() -> Result<()> {
    let (cluster, mut clients) = three_nodes("clock", &[TABLE])?;
    for round in 0..60 {
        let client = &mut clients[round % 3];
        client.run(&format!("INSERT INTO app.t (k, v) VALUES (1, '{round}')"))?;
        assert_eq!(shown(client, "SELECT v FROM app.t WHERE k = 1")?, [round.to_string()]);
        client.run(&format!("UPDATE app.t SET v = 'again {round}' WHERE k = 1"))?;
        let wanted = [format!("again {round}")];
        assert_eq!(shown(client, "SELECT v FROM app.t WHERE k = 1")?, wanted);
    }
    cluster.finish()
}

#[test]
fn all_cells_of_one_statement_win_or_lose_together_under_equal_timestamps() -> Result<()> {
    let (cluster, mut clients) = three_nodes("together", &[TABLE])?;
    for key in 0..100 {
        for (writer, client) in clients.iter_mut().enumerate() {
            client.run(&format!(
                "INSERT INTO app.t (k, v, w) VALUES ({key}, '{writer}', {writer}) \
                 USING TIMESTAMP 5"
            ))?;
        }
        let select = format!("SELECT v, w FROM app.t WHERE k = {key}");
        let first = shown(&mut clients[0], &select)?;
        ensure!(["0 | 0", "1 | 1", "2 | 2"].contains(&first[0].as_str()), "{first:?}");
        assert_shown(&mut clients, &select, &[first[0].as_str()])?;
    }
    cluster.finish()
}

#[test]
fn a_tombstone_wins_against_values_of_its_own_timestamp() -> Result<()> {
    let (cluster, mut clients) = three_nodes("ties", &[TABLE])?;
    let insert = "INSERT INTO app.t (k, v) VALUES (K, 'x') USING TIMESTAMP 5";
    let delete = "DELETE FROM app.t USING TIMESTAMP 5 WHERE k = K";
    let later = "UPDATE app.t USING TIMESTAMP 6 SET w = 1 WHERE k = K";
    for (key, order) in [[insert, delete, later], [delete, later, insert], [later, insert, delete]]
        .into_iter()
        .enumerate()
    {
        for (client, statement) in clients.iter_mut().zip(order) {
            client.run(&statement.replace('K', &key.to_string()))?;
        }
        let select = format!("SELECT v, w FROM app.t WHERE k = {key}");
        assert_shown(&mut clients, &select, &["null | 1"])?;
    }
    cluster.finish()
}

#[expect(clippy::disallowed_methods, reason = "clients have clocks of their own")]
fn now_us() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Sends an INSERT with the client's own timestamp, as drivers do.
fn insert_at(client: &mut Client, key: i32, timestamp: i64) -> Result<Reply> {
    let text = format!("INSERT INTO app.t (k, v) VALUES ({key}, 'x')");
    client.batch(&Batch {
        kind: 0,
        statements: vec![(BatchStatement::Text(&text), vec![])],
        level: Consistency::Quorum,
        timestamp: Some(timestamp),
    })
}

#[test]
fn a_timestamp_from_the_far_future_is_refused_and_one_of_the_past_is_kept() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("future", &[TABLE])?;
    let minutes = |count: u64| i64::try_from(Duration::from_mins(count).as_micros());
    let far = now_us()? + minutes(11)?;
    let Reply::Refused(refusal) = insert_at(&mut client, 1, far)? else {
        anyhow::bail!("a write of the far future was taken")
    };
    ensure!(refusal.code == INVALID && refusal.message.contains("future_max"), "{refusal:?}");
    let stated = format!("INSERT INTO app.t (k) VALUES (1) USING TIMESTAMP {far}");
    assert_eq!(client.refusal(&stated)?.code, INVALID);

    let near = now_us()? + minutes(5)?;
    ensure!(insert_at(&mut client, 2, near)? == Reply::Void);
    client.run("UPDATE app.t SET v = 'later, by the server' WHERE k = 2")?;
    let select = "SELECT v, writetime(v) FROM app.t WHERE k = 2";
    assert_eq!(shown(&mut client, select)?, [format!("x | {near}")], "no clock was advanced");
    ensure!(insert_at(&mut client, 3, -7)? == Reply::Void);
    let select = "SELECT v, writetime(v) FROM app.t WHERE k = 3";
    assert_eq!(shown(&mut client, select)?, ["x | -7"]);
    cluster.finish()
}

#[test]
fn what_belongs_to_siblings_is_refused() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("refused", &[TABLE])?;
    for statement in [
        "INSERT INTO app.t (k) VALUES (1) USING CONTEXT 0x00",
        "DELETE FROM app.t WHERE k = 1 RETURNING *",
    ] {
        let refusal = client.refusal(statement)?;
        ensure!(refusal.code == INVALID && refusal.message.contains("lww"), "{refusal:?}");
    }
    cluster.finish()
}
