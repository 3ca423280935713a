//! What a node asked the kernel for, in which order; read from the output of `strace`.
//!
//! The tracer stops a thread at the begin and at the end of each call and writes both down one
//! after another, so the order of its lines keeps every cause before its effect. A client marks
//! each write with a text of its own, which is in the request and in the record of the log.
//!
//! ```text
//! read(socket, mark) ends | write(log, mark) ends | fdatasync(log) begins .. ends | write(socket)
//!       arrived                  logged                      synced                  answered
//! ```
//!
//! Law checked: of every write these four happen in this order. A client has at most one request
//! under way on a connection.
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
    "65536",
    "-e",
    "trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg",
    "-o",
];

const READS: &[&str] = &["read", "readv", "recvfrom", "recvmsg"];
const WRITES: &[&str] = &["write", "writev", "pwrite64", "sendto", "sendmsg"];
const SYNCS: &[&str] = &["fdatasync", "fsync"];

/// One call that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    name: String,
    /// The file or the connection, as the tracer names it.
    object: String,
    /// Everything that the tracer says of it, the bytes that were moved included.
    text: String,
    /// The line at which it began.
    begin: usize,
    /// The line at which it ended.
    end: usize,
    result: i64,
}

/// A request and its answer on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The bytes of the request, as the tracer writes them.
    request: String,
    /// When the last byte of the request was read.
    arrived: usize,
    /// When the first byte of the answer was given to the kernel.
    answered: usize,
}

/// The calls of a trace that came to their end, in the order in which they began.
pub fn calls(trace: &str) -> Vec<Call> {
    let mut pending = BTreeMap::<&str, Call>::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let event = event.trim_start();
        if event.starts_with("<... ") {
            if let Some(mut call) = pending.remove(thread) {
                call.text.push_str(event);
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
    let mut request = String::new();
    for call in of_connection.filter(|call| call.result > 0) {
        if READS.contains(&call.name.as_str()) {
            arrived = Some(call.end);
            request.push_str(&call.text);
        } else if WRITES.contains(&call.name.as_str())
            && let Some(arrived) = arrived.take()
        {
            let request = std::mem::take(&mut request);
            exchanges.push(Exchange { request, arrived, answered: call.begin });
        }
    }
    exchanges
}

/// How many times the log was synced.
pub fn sync_count(calls: &[Call]) -> usize {
    calls.iter().filter(|call| is_log_sync(call)).count()
}

/// Whether the request with this mark was logged and then synced between arrival and answer.
///
/// `None` if no exchange has the mark.
pub fn is_synced(calls: &[Call], exchanges: &[Exchange], mark: &str) -> Option<bool> {
    let exchange = exchanges.iter().find(|exchange| exchange.request.contains(mark))?;
    let is_log_write = |call: &&Call| WRITES.contains(&call.name.as_str()) && is_log(&call.object);
    let mut logged = calls.iter().filter(is_log_write).filter(|call| {
        call.result > 0 && call.begin > exchange.arrived && call.text.contains(mark)
    });
    let is_followed = |write: &Call| {
        let mut syncs = calls.iter().filter(|call| is_log_sync(call));
        syncs.any(|sync| sync.begin > write.end && sync.end < exchange.answered)
    };
    Some(logged.any(is_followed))
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
    let is_connection = object.starts_with("TCP:[");
    let length = if is_connection { object.find("]>").map(|at| at + 1) } else { object.find('>') }?;
    Some(Call {
        name: name.to_owned(),
        object: object[..length].to_owned(),
        text: event.to_owned(),
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
mod tests;
