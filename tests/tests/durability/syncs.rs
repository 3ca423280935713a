//! An acknowledgement leaves after an fdatasync of the log that began after the write arrived.
//!
//! The page cache outlives SIGKILL, so kills alone cannot show this; the kernel's view can.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use starling_tests::{Client, Cluster, place, trace, wait};

use super::writers::define;

const CLIENTS: usize = 16;
const WRITES: usize = 25;
/// Makes the node acknowledge before it syncs. Only this test sets it.
const PLANTED_BUG: &str = "testing.promise=before_sync";

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
        traced_run(Cluster::builder("sync-bug").set(PLANTED_BUG).listed(&["testing.promise"]))?;
    ensure!(found.unsynced > 0, "the planted bug was not seen in {} writes", found.writes);
    Ok(())
}

fn traced_run(builder: starling_tests::cluster::Builder) -> Result<Judgement> {
    let directory = place::scratch("trace")?;
    let output = directory.path().join("calls");
    let output = output.to_str().context("the directory has a plain name")?;
    let command = [trace::COMMAND, &[output]].concat();
    let mut cluster = builder.nodes(1).seeds(0).under(&command).start()?;
    define(&cluster, 1)?;
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
                        client.run(&format!("INSERT INTO app.t (writer, n) VALUES ({writer}, {n})"))
                    })
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })
}

/// The tracer writes the end of the process last.
fn wait_written(output: &Path, process: u32) -> Result<()> {
    let end = format!("{process} +++ exited");
    wait::until("the end of the trace", Duration::from_secs(30), || {
        let trace = fs::read_to_string(output)?;
        Ok(trace.lines().rev().any(|line| line.starts_with(&end)).then_some(()))
    })
}

fn judge(text: &str, ports: &[u16]) -> Result<Judgement> {
    let calls = trace::calls(text);
    let mut judgement = Judgement { writes: 0, syncs: trace::sync_count(&calls), unsynced: 0 };
    for port in ports {
        let exchanges = trace::exchanges(&calls, *port);
        ensure!(exchanges.len() == 1 + WRITES, "{} exchanges on port {port}", exchanges.len());
        let writes = &exchanges[1..]; // The first is STARTUP.
        judgement.writes += writes.len();
        judgement.unsynced += trace::unsynced(&calls, writes).len();
    }
    Ok(judgement)
}
