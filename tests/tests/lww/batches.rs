//! Statements of one BATCH on one partition happen together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};

use super::{assert_shown, shown, three_nodes};

const LINES: &str = "CREATE TABLE app.lines (p int, c int, v text, PRIMARY KEY (p, c))";

#[test]
fn readers_of_one_copy_see_all_of_a_batch_or_nothing_of_it() -> Result<()> {
    let (cluster, [mut writer, mut reader, mut other]) = three_nodes("atomic", &[LINES])?;
    let is_over = AtomicBool::new(false);
    let select = "SELECT v FROM app.lines WHERE p = 1";
    thread::scope(|scope| {
        let mut watchers = Vec::new();
        for reader in [&mut reader, &mut other] {
            watchers.push(scope.spawn(|| -> Result<usize> {
                let mut seen = 0;
                while !is_over.load(Ordering::Acquire) {
                    let rows = shown(reader, select)?;
                    ensure!(rows.is_empty() || rows.len() == 5, "{rows:?}");
                    ensure!(
                        rows.iter().all(|row| *row == rows[0]),
                        "two batches at once: {rows:?}"
                    );
                    seen += rows.len();
                }
                Ok(seen)
            }));
        }
        let written = (0..200).try_for_each(|n| {
            let update = |c| format!("INSERT INTO app.lines (p, c, v) VALUES (1, {c}, '{n}');");
            let updates: String = (0..5).map(update).collect();
            writer.run(&format!("BEGIN BATCH {updates} APPLY BATCH"))
        });
        is_over.store(true, Ordering::Release);
        written?;
        for watcher in watchers {
            let seen = watcher.join().expect("a watcher does not panic")?;
            ensure!(seen > 0, "a watcher saw nothing");
        }
        Ok::<_, anyhow::Error>(())
    })?;
    cluster.finish()
}

#[test]
fn the_later_statement_of_a_batch_wins() -> Result<()> {
    let (cluster, mut clients) = three_nodes("order", &[LINES])?;
    for n in 0..50 {
        clients[n % 3].run(&format!(
            "BEGIN BATCH USING TIMESTAMP {} \
             UPDATE app.lines SET v = 'zzz' WHERE p = 1 AND c = 1; \
             UPDATE app.lines SET v = 'a {n}' WHERE p = 1 AND c = 1; APPLY BATCH",
            1_000 + n
        ))?;
        let wanted = format!("a {n}");
        assert_shown(&mut clients, "SELECT v FROM app.lines WHERE p = 1", &[wanted.as_str()])?;
    }
    cluster.finish()
}
