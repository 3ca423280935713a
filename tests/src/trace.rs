//! What a node asked the kernel for, in which order; read from the output of `strace`.
//!
//! The tracer stops a thread at the begin and at the end of each call and writes both down one
//! after another, so the order of its lines keeps every cause before its effect.
//!
//! ```text
//! client sends ---> read ends | .. fdatasync(log) begins .. ends .. | write begins ---> answer
//!                   arrived           a sync that counts              answered
//! ```
//!
//! Law checked: between arrival and answer of a write lies a whole sync of the log that began
//! after the arrival. A client has at most one request under way on a connection.
//!
//! Pure: takes the text of the trace.

use std::collections::BTreeMap;
use std::path::Path;

/// The tracer with its options; the output file and the command follow.
///
/// The node stays a direct child of the test (`-D`) and stops at the traced calls only.
pub const COMMAND: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "--seccomp-bpf",
    "-yy",
    "-s",
    "0",
    "-e",
    "trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg",
    "-o",
];

const READS: &[&str] = &["read", "readv", "recvfrom", "recvmsg"];
const WRITES: &[&str] = &["write", "writev", "sendto", "sendmsg"];
const SYNCS: &[&str] = &["fdatasync", "fsync"];

/// One call that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    name: String,
    /// The file or the connection, as the tracer names it.
    object: String,
    /// The line at which it began.
    begin: usize,
    /// The line at which it ended.
    end: usize,
    result: i64,
}

/// A request and its answer on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When the last byte of the request was read.
    pub arrived: usize,
    /// When the first byte of the answer was given to the kernel.
    pub answered: usize,
}

/// The calls of a trace that came to their end, in the order in which they began.
pub fn calls(trace: &str) -> Vec<Call> {
    let mut pending = BTreeMap::<&str, Call>::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let event = event.trim_start();
        if event.starts_with("<... ") {
            if let Some(call) = pending.remove(thread) {
                calls.push(Call { end: at, result: result(event), ..call });
            }
        } else if let Some(call) = begun(event, at) {
            if event.ends_with("<unfinished ...>") {
                pending.insert(thread, call);
            } else {
                calls.push(call);
            }
        }
    }
    calls.sort_by_key(|call| call.begin);
    calls
}

/// The exchanges on the connection whose other end has this port, in order.
pub fn exchanges(calls: &[Call], client_port: u16) -> Vec<Exchange> {
    let other_end = format!(":{client_port}]");
    let of_connection = calls.iter().filter(|call| call.object.ends_with(&other_end));
    let mut exchanges = Vec::new();
    let mut arrived = None;
    for call in of_connection.filter(|call| call.result > 0) {
        if READS.contains(&call.name.as_str()) {
            arrived = Some(call.end);
        } else if WRITES.contains(&call.name.as_str())
            && let Some(arrived) = arrived.take()
        {
            exchanges.push(Exchange { arrived, answered: call.begin });
        }
    }
    exchanges
}

/// How many times the log was synced.
pub fn sync_count(calls: &[Call]) -> usize {
    calls.iter().filter(|call| is_log_sync(call)).count()
}

/// The exchanges without a sync of the log that began after the arrival and ended before the answer.
pub fn unsynced(calls: &[Call], exchanges: &[Exchange]) -> Vec<Exchange> {
    let syncs: Vec<_> = calls.iter().filter(|call| is_log_sync(call)).collect();
    let is_synced = |exchange: &Exchange| {
        syncs.iter().any(|sync| sync.begin > exchange.arrived && sync.end < exchange.answered)
    };
    exchanges.iter().filter(|exchange| !is_synced(exchange)).copied().collect()
}

fn is_log_sync(call: &Call) -> bool {
    SYNCS.contains(&call.name.as_str()) && call.result == 0 && is_log(&call.object)
}

/// RocksDB's write-ahead log is the only file of a node that is called `NUMBER.log`.
fn is_log(object: &str) -> bool {
    Path::new(object).extension().is_some_and(|extension| extension == "log")
}

/// `name(3<object>, …` with or without its result.
fn begun(event: &str, at: usize) -> Option<Call> {
    let (name, arguments) = event.split_once('(')?;
    let (_, object) = arguments.split_once('<')?;
    let length = object.find("]>").map(|at| at + 1).or_else(|| object.find('>'))?;
    Some(Call {
        name: name.to_owned(),
        object: object[..length].to_owned(),
        begin: at,
        end: at,
        result: result(event),
    })
}

/// The number after the last `= `; an error of the kernel is -1.
fn result(event: &str) -> i64 {
    let number = event.rsplit_once("= ").map(|(_, result)| result.split(' ').next());
    number.flatten().and_then(|number| number.parse().ok()).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 5_000;

    fn judge(trace: &str) -> (usize, usize) {
        let calls = calls(trace);
        let exchanges = exchanges(&calls, PORT);
        (exchanges.len(), unsynced(&calls, &exchanges).len())
    }

    #[test]
    fn a_write_that_is_synced_before_its_answer_is_right() {
        let trace = "\
1 recvfrom(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8192, 0, NULL, NULL) = 19
2 write(6</d/000004.log>, \"\"..., 90) = 90
2 fdatasync(6</d/000004.log> <unfinished ...>
1 recvfrom(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, 0x7, 8192, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
2 <... fdatasync resumed>)          = 0
1 sendto(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 13, 0, NULL, 0) = 13
";
        assert_eq!(judge(trace), (1, 0));
        assert_eq!(sync_count(&calls(trace)), 1);
    }

    #[test]
    fn an_answer_before_the_sync_ends_is_wrong() {
        let trace = "\
1 recvfrom(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8192, 0, NULL, NULL) = 19
2 fdatasync(6</d/000004.log> <unfinished ...>
1 sendto(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 13, 0, NULL, 0) = 13
2 <... fdatasync resumed>)          = 0
";
        assert_eq!(judge(trace), (1, 1));
    }

    #[test]
    fn a_sync_that_began_before_the_arrival_does_not_count() {
        let trace = "\
2 fdatasync(6</d/000004.log> <unfinished ...>
1 recvfrom(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8192, 0, NULL, NULL) = 19
2 <... fdatasync resumed>)          = 0
1 sendto(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 13, 0, NULL, 0) = 13
";
        assert_eq!(judge(trace), (1, 1));
    }

    #[test]
    fn a_sync_of_another_file_or_one_that_failed_does_not_count() {
        for sync in ["fdatasync(7</d/000009.sst>) = 0", "fdatasync(6</d/000004.log>) = -1 EIO"] {
            let trace = format!(
                "1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8) = 8\n2 {sync}\n\
                 1 write(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8) = 8\n"
            );
            assert_eq!(judge(&trace), (1, 1), "{sync}");
        }
    }

    #[test]
    fn a_request_in_two_reads_and_an_answer_in_two_writes_are_one_exchange() {
        let trace = "\
1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8) = 8
2 fdatasync(6</d/000004.log>)       = 0
1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 8) = 8
1 write(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 9) = 9
1 write(9<TCP:[127.77.1.1:9042->127.0.0.1:5000]>, \"\"..., 4) = 4
";
        assert_eq!(judge(trace), (1, 1));
    }

    #[test]
    fn other_connections_are_not_looked_at() {
        let trace = "\
1 read(9<TCP:[127.77.1.1:9042->127.0.0.1:5001]>, \"\"..., 8) = 8
1 write(9<TCP:[127.77.1.1:9042->127.0.0.1:5001]>, \"\"..., 8) = 8
";
        assert_eq!(judge(trace), (0, 0));
    }
}
