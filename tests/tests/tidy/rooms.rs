//! Inside the server, imports run one way.
//!
//! ```text
//! front ----> plan
//!   \-------> coord ---> peer
//!             upkeep --> replica --> commits --> store
//!             register -> commits, peer
//! ```
//!
//! `node` wires everything and `admin` reads everything; what lies below all rooms knows none.

use super::{Source, assert_none, rust_files};

/// Everybody may import these; they import each other only.
const BASE: &[&str] = &["clock", "cluster", "config", "metadata", "network"];

/// How keys and ranges of rows are called: formats without side effects, for everybody.
const WORDS: &[&str] = &["store::keys", "store::engine::KeyRange", "store::engine::Order"];

/// A room and the rooms that it may import, which all stand further down.
const ROOMS: &[(&str, &[&str])] = &[
    // The schema is changed by way of the register; how far the node has come refuses clients.
    ("front", &["plan", "coord", "register", "replica::RowCopy", "upkeep::membership::Phase"]),
    // What a plan asks of the coordinator, and the rows that come back.
    ("plan", &["coord::PartitionWrite", "coord::RowChange", "replica::RowCopy"]),
    ("coord", &["peer", "replica", "register"]),
    ("upkeep", &["peer", "replica", "register", "commits", "store"]),
    ("register", &["peer", "commits", "store"]),
    ("peer", &[]),
    ("replica", &["commits", "store"]),
    ("commits", &["store"]),
    ("store", &[]),
];

/// These may import every room.
const WIRING: &[&str] = &["lib", "node", "admin"];

/// The room of a file: the first name below `server/src`.
fn room(source: &Source) -> String {
    let below = source.path.strip_prefix("server/src").expect("it was found there");
    let first = below.components().next().expect("a file has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The paths that code names below its crate, with their places; groups are taken apart.
fn imports(code: &str) -> Vec<(usize, String)> {
    let starts = code.match_indices("crate::").map(|(at, found)| at + found.len());
    let mut found = Vec::new();
    for at in starts {
        let mut paths = Vec::new();
        read_path(&code[at..], "", &mut paths);
        found.extend(paths.into_iter().map(|path| (at, path)));
    }
    found
}

/// Reads `a::b` or `a::{b, c::d}` at the begin of the text; returns what follows.
fn read_path<'a>(text: &'a str, before: &str, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut members) = text.strip_prefix('{') {
        while !members.trim_start().starts_with('}') && !members.trim().is_empty() {
            members = read_path(members, before, found).trim_start();
            members = members.strip_prefix(',').unwrap_or(members);
        }
        return members.trim_start().strip_prefix('}').unwrap_or_default();
    }
    let end = text.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = if before.is_empty() { name.to_owned() } else { format!("{before}::{name}") };
    match rest.strip_prefix("::") {
        Some(below) if !below.starts_with('<') => read_path(below, &path, found),
        _ => {
            found.push(path);
            // A name that is no identifier ends the reading instead of standing still.
            rest.strip_prefix(['*', '#', '(']).unwrap_or(rest)
        }
    }
}

/// Whether `from` may import `path`.
fn may_import(from: &str, path: &str) -> bool {
    let is_below = |wanted: &&str| {
        path.strip_prefix(*wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let to = path.split("::").next().unwrap_or_default();
    let is_of_the_crate = to.starts_with(char::is_uppercase) || to.is_empty() || to == "version";
    let row = ROOMS.iter().find(|(room, _)| *room == from);
    is_of_the_crate
        || from == to
        || WIRING.contains(&from)
        || BASE.contains(&to)
        || (!BASE.contains(&from) && WORDS.iter().any(is_below))
        || row.is_some_and(|(_, rooms)| rooms.iter().any(is_below))
}

#[test]
fn imports_inside_the_server_run_one_way() {
    let mut findings = Vec::new();
    for source in rust_files(&["server/src"]).iter().filter(|source| !source.is_test()) {
        let from = room(source);
        let code = source.program().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        for (at, path) in imports(&code).into_iter().filter(|(_, path)| !may_import(&from, path)) {
            let line = code[..at].lines().count();
            findings
                .push(format!("{}:{line}: {from} may not import {path}", source.path.display()));
        }
    }
    assert_none(&findings);
}

#[test]
fn every_file_of_the_server_is_in_a_room() {
    let known = |room: &str| {
        let is_room = ROOMS.iter().any(|(name, _)| *name == room);
        is_room || BASE.contains(&room) || WIRING.contains(&room)
    };
    let sources = rust_files(&["server/src"]);
    let strays = sources.iter().filter(|source| !known(&room(source)));
    assert_none(&strays.map(|source| source.path.display().to_string()).collect::<Vec<_>>());
}

#[test]
fn a_room_stands_above_all_that_it_imports() {
    let place = |room: &str| ROOMS.iter().position(|(name, _)| *name == room);
    for (at, (room, imports)) in ROOMS.iter().enumerate() {
        for import in *imports {
            let import = import.split("::").next().and_then(place);
            assert!(import > Some(at), "{room} may not import upwards: {imports:?}");
        }
    }
}

#[test]
fn grouped_and_single_imports_are_read() {
    let read = |code| imports(code).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
    assert_eq!(read("use crate::store::Engine;"), ["store::Engine"]);
    let group = "use crate::{\n    clock,\n    store::{Engine, keys::{A, B}},\n};";
    assert_eq!(read(group), ["clock", "store::Engine", "store::keys::A", "store::keys::B"]);
    assert_eq!(read("crate::peer::send(crate::Node)"), ["peer::send", "Node"]);
    assert_eq!(read("use crate::plan::*;"), ["plan::"]);
}

#[test]
fn imports_run_down_and_not_up() {
    assert!(may_import("replica", "store::Engine") && !may_import("store", "replica"));
    assert!(may_import("peer", "config::Config") && !may_import("config", "peer"));
    assert!(may_import("plan", "store::keys::RowKey") && !may_import("plan", "store::keys_of"));
    assert!(may_import("coord", "store::engine::Order") && !may_import("coord", "store::engine"));
    assert!(!may_import("metadata", "store::keys"));
}
