//! An acknowledgement leaves after an fdatasync of the log that began after the write was in it.
//!
//! The page cache outlives SIGKILL, so kills alone cannot show this; the kernel's view can.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::{Client, Cluster, place, trace, wait};

const CLIENTS: usize = 16;
const WRITES: usize = 25;
/// Makes the node acknowledge before it syncs. Only this test sets it.
const PLANTED_BUG: &str = "testing.planted=acknowledge_before_sync";

/// What a traced run showed.
struct Judgement {
    writes: usize,
    syncs: usize,
    /// Writes that were acknowledged without a sync of their own.
    unsynced: usize,
}

#[test]
fn no_acknowledgement_leaves_before_its_fdatasync() -> Result<()> {
    let found = traced_run(Cluster::builder("sync"))?;
    eprintln!("{} writes, {} fdatasyncs of the log", found.writes, found.syncs);
    assert_eq!(found.unsynced, 0, "{} of {} writes", found.unsynced, found.writes);
    Ok(())
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() -> Result<()> {
    let found =
        traced_run(Cluster::builder("sync-bug").set(PLANTED_BUG).listed(&["testing.planted"]))?;
    ensure!(found.unsynced > 0, "the planted bug was not seen in {} writes", found.writes);
    Ok(())
}

fn traced_run(builder: starling_tests::cluster::Builder) -> Result<Judgement> {
    let directory = place::scratch("trace")?;
    let output = directory.path().join("calls");
    let output = output.to_str().context("the directory has a plain name")?;
    let command = [trace::COMMAND, &[output]].concat();
    let mut cluster = builder.nodes(1).seeds(0).under(&command).start()?;
    cluster.define(&[
        "CREATE KEYSPACE app WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE app.marks (mark text PRIMARY KEY, again text)",
    ])?;
    let clients = (0..CLIENTS).map(|_| cluster.nodes()[0].client()).collect::<Result<Vec<_>>>()?;
    let ports = clients.iter().map(|client| Ok(client.local_address()?.port()));
    let ports = ports.collect::<Result<Vec<_>>>()?;
    write_all(clients)?;
    let process = cluster.node(0).process_id()?;
    cluster.node(0).stop()?;
    wait_written(output.as_ref(), process)?;
    cluster.finish()?;
    judge(&fs::read_to_string(output)?, &ports)
}

/// Each client has one write under way at a time.
fn write_all(clients: Vec<Client>) -> Result<()> {
    thread::scope(|scope| {
        let writers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(writer, mut client)| {
                scope.spawn(move || {
                    (0..WRITES).try_for_each(|n| {
                        let mark = mark(writer, n);
                        client.run(&format!(
                            "INSERT INTO app.marks (mark, again) VALUES ('{mark}', '{mark}')"
                        ))
                    })
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })
}

/// The tracer writes the end of the process last.
fn wait_written(output: &Path, process: u32) -> Result<()> {
    let process = process.to_string();
    let is_end = |line: &str| {
        let event = line.strip_prefix(&process).map(str::trim_start);
        event.is_some_and(|event| event.starts_with("+++ exited"))
    };
    wait::until("the end of the trace", Duration::from_secs(30), || {
        Ok(fs::read_to_string(output)?.lines().any(is_end).then_some(()))
    })
}

/// What one write is known by, in its request and in the log.
///
/// A row holds it twice: the log is cut into blocks of 32 KiB, each with a header, and a cut
/// through one of the two leaves the other whole.
fn mark(writer: usize, n: usize) -> String {
    format!("mark_{writer:02}_{n:03}_")
}

fn judge(text: &str, ports: &[u16]) -> Result<Judgement> {
    let calls = trace::calls(text);
    let mut judgement = Judgement { writes: 0, syncs: trace::sync_count(&calls), unsynced: 0 };
    for (writer, port) in ports.iter().enumerate() {
        let exchanges = trace::exchanges(&calls, *port);
        for mark in (0..WRITES).map(|n| mark(writer, n)) {
            let is_synced = trace::is_synced(&calls, &exchanges, &mark);
            let is_synced = is_synced.with_context(|| format!("{mark} is not in the trace"))?;
            judgement.writes += 1;
            judgement.unsynced += usize::from(!is_synced);
        }
    }
    Ok(judgement)
}
