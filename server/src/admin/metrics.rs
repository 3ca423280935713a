//! Metrics in the text format of `OpenMetrics`, from the counters that the parts keep anyway.
//!
//! Each node object has its own registry, made for one answer: nothing here is global, so several
//! nodes in one process do not mix.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::status::AdminState;

/// All metrics of a node.
pub(super) fn render(state: &AdminState) -> String {
    let mut registry = Registry::with_prefix("starling");
    store(&mut registry, state);
    cluster(&mut registry, state);
    coordination(&mut registry, state);
    repair(&mut registry, state);
    clients(&mut registry, state);
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string does not fail");
    text
}

fn store(registry: &mut Registry, state: &AdminState) {
    let commits = state.commits.handle().counters();
    counter(registry, "commit_groups", "Groups that were committed", &commits.groups);
    counter(registry, "commit_mutations", "Changes of rows that were answered", &commits.mutations);
    counter(registry, "commit_log_syncs", "Fsyncs of the log by commits", &commits.log_syncs);
    counter(registry, "commit_bytes", "Bytes of keys and values committed", &commits.bytes);
    counter(registry, "commit_overloads", "Changes refused: too many waited", &commits.overloads);
    let full = &commits.refusals_for_space;
    counter(registry, "commit_refusals_for_space", "Changes refused: disk nearly full", full);
    counter(registry, "lease_renewals", "Leases of epochs renewed", &commits.lease_renewals);
    let engine = state.engine.stats();
    total(registry, "store_reads", "Rows read by their key", engine.reads);
    total(registry, "store_rows_read", "Rows shown by scans", engine.rows_read);
    total(registry, "store_operands_merged", "Operands joined into rows", engine.operands_merged);
    let unreadable = engine.unreadable_operands;
    total(registry, "store_unreadable_operands", "Times an operand was unreadable", unreadable);
    total(registry, "store_salvages", "Times the store was found damaged", engine.salvages);
    let replica = state.replica.counters();
    let dots = &replica.duplicate_dots;
    counter(registry, "duplicate_dots", "Dots that came twice with different contents", dots);
    counter(registry, "damaged_rows", "Times a row could not be read", &replica.damaged_rows);
    let mended = &replica.mended_rows;
    counter(registry, "mended_rows", "Rows that could not be read and were mended", mended);
    counter(registry, "long_vectors", "Rows written with over 64 actors", &replica.long_vectors);
}

fn cluster(registry: &mut Registry, state: &AdminState) {
    gauge(registry, "metadata_epoch", "Epoch of the metadata", state.cluster.epoch());
    let alive = state.cluster.alive().len() as u64;
    gauge(registry, "nodes_alive", "Nodes that answer, this one included", alive);
    let peers = &state.peers;
    let not_sent = "Requests about rows that no peer got";
    counter(registry, "peer_requests_not_sent", not_sent, &peers.not_sent);
    let lost = "Requests about rows whose connection broke before the answer";
    counter(registry, "peer_requests_lost", lost, &peers.lost);
    let corrupt = "Connections between nodes that ended for corrupted bytes";
    counter(registry, "peer_connections_corrupt", corrupt, &peers.corrupt);
    let silent = "Connections between nodes that were open and silent, and given up";
    counter(registry, "peer_connections_silent", silent, &peers.silent);
    let latencies = &state.latencies;
    let spares = "Reads that asked one replica more because others were slow";
    counter(registry, "speculative_reads", spares, &latencies.spares);
    let won = "Reads that such a replica has helped";
    counter(registry, "speculative_reads_won", won, &latencies.spares_won);
    let taken = "Times a node was taken for dead";
    total(registry, "nodes_taken_for_dead", taken, state.cluster.deaths());
    let ready = u64::from(state.unready_because().is_none());
    gauge(registry, "ready", "Whether clients are served", ready);
}

fn coordination(registry: &mut Registry, state: &AdminState) {
    let done = &state.coordination;
    let sloppy = "acknowledged with the help of stand-ins";
    counter(registry, "sloppy_writes", &format!("Writes {sloppy}"), &done.sloppy_writes);
    counter(registry, "sloppy_reads", &format!("Reads {sloppy}"), &done.sloppy_reads);
    let awaited = "Replicas brought up to date before a read was answered";
    counter(registry, "read_repairs_awaited", awaited, &done.repairs_awaited);
    let behind = "Replicas brought up to date behind a read's answer";
    counter(registry, "read_repairs_behind", behind, &done.repairs_behind);
    let forgone = "Writes of which no hint could be kept";
    counter(registry, "hints_forgone", forgone, &done.hints_forgone);
    let past = "Hints not kept: the replica is down for too long";
    counter(registry, "hints_past_window", past, &done.hints_past_window);
    let (delivered, bytes) = state.handoff.delivered();
    total(registry, "hints_delivered", "Hints delivered", delivered);
    total(registry, "hints_delivered_bytes", "Bytes of rows delivered for hints", bytes);
    let purged = &state.replica.counters().purged_rows;
    counter(registry, "purged_rows", "Removed rows whose last traces are gone", purged);
    counter(registry, "purge_rounds", "Rounds of purging", &state.purged.rounds);
    let waiting = state.purged.waiting.load(Ordering::Relaxed);
    gauge(registry, "purge_waiting", "Removed rows that are to be confirmed again", waiting);
    let blocked = state.purged.blocked.load(Ordering::Relaxed);
    gauge(registry, "purge_blocked", "Partitions that some member keeps from purging", blocked);
    let held = "Bytes of rows held in the place of other nodes";
    gauge(registry, "standin_bytes", held, state.replica.held().bytes());
}

fn repair(registry: &mut Registry, state: &AdminState) {
    let all = &state.anti_entropy;
    let counters = all.counters();
    counter(registry, "repair_rounds", "Rounds in which replicas were compared", &counters.rounds);
    let begun = &counters.exchanges;
    counter(registry, "repair_exchanges", "Exchanges with another replica begun", begun);
    counter(registry, "repair_failures", "Exchanges that were not complete", &counters.failures);
    let differences = &counters.differences;
    counter(registry, "repair_differences", "Rows that two replicas differed in", differences);
    let came = &counters.rows_received;
    counter(registry, "repair_rows_received", "Rows that exchanges brought", came);
    counter(registry, "repair_rows_sent", "Rows that exchanges sent", &counters.rows_sent);
    let bytes = &counters.bytes_received;
    counter(registry, "repair_bytes_received", "Bytes that exchanges received", bytes);
    counter(registry, "repair_bytes_sent", "Bytes that exchanges sent", &counters.bytes_sent);
    let exchanges = all.exchanges();
    let oldest = exchanges.iter().filter_map(|it| it.oldest_s).max().unwrap_or(0);
    let help = "Age of the oldest last complete exchange of any partition and peer";
    gauge(registry, "repair_last_complete_age_seconds", help, oldest);
    let never = exchanges.iter().filter(|it| it.oldest_s.is_none()).count() as u64;
    let help = "Tables and peers that were not exchanged completely since the start";
    gauge(registry, "repair_never_complete", help, never);
    gauge(
        registry,
        "repair_hurried",
        "Partitions to be compared first",
        all.hurry().waiting() as u64,
    );
    gauge(registry, "unreadable_rows", "Rows known that cannot be read", all.unreadable());
    gauge(registry, "fenced", "Whether the store is being filled", u64::from(all.fence().is_up()));
}

fn clients(registry: &mut Registry, state: &AdminState) {
    for (name, help, value) in state.clients.all() {
        registry.register(name, help, ConstCounter::new(value));
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: &AtomicU64) {
    total(registry, name, help, value.load(Ordering::Relaxed));
}

fn total(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)));
}
