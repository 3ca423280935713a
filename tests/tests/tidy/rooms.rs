//! Inside the server, imports run one way.
//!
//! ```text
//! front ----> plan
//!   \-------> coord --> peer
//!             upkeep -> replica --> store
//! ```
//!
//! `node` wires everything and `admin` reads everything; what lies below all rooms knows none.

use super::{Source, assert_none, rust_files};

/// Everybody may import these; they import each other only.
const BASE: &[&str] = &["clock", "config", "metadata"];

/// A room and the rooms that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("front", &["plan", "coord"]),
    ("plan", &[]),
    ("coord", &["peer", "replica"]),
    ("upkeep", &["peer", "replica"]),
    ("peer", &[]),
    ("replica", &["store"]),
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

/// The names that code imports from its crate, as `crate::name` or in a group, with their places.
fn imports(code: &str) -> Vec<(usize, &str)> {
    let starts = code.match_indices("crate::").map(|(at, found)| at + found.len());
    starts.flat_map(|at| members(code, at)).map(|at| (at, name(&code[at..]))).collect()
}

/// Where the members of the group that begins at `at` begin; without a group, `at` itself.
fn members(code: &str, at: usize) -> Vec<usize> {
    if !code[at..].starts_with('{') {
        return vec![at];
    }
    let mut depth = 0;
    let mut found = Vec::new();
    for (offset, character) in code[at..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => {}
            _ => continue,
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && character != '}' {
            let rest = &code[at + offset + 1..];
            found.push(at + offset + 1 + (rest.len() - rest.trim_start().len()));
        }
    }
    found
}

/// The identifier at the begin of the text, empty where there is none.
fn name(text: &str) -> &str {
    let end = text.find(|it: char| !it.is_alphanumeric() && it != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Whether `from` may import `to`.
fn may_import(from: &str, to: &str) -> bool {
    let is_type = to.starts_with(char::is_uppercase) || to.is_empty();
    let is_allowed = || {
        let row = ROOMS.iter().find(|(room, _)| *room == from);
        row.is_some_and(|(_, rooms)| rooms.contains(&to))
    };
    is_type || from == to || WIRING.contains(&from) || BASE.contains(&to) || is_allowed()
}

#[test]
fn imports_inside_the_server_run_one_way() {
    let mut findings = Vec::new();
    for source in rust_files(&["server/src"]).iter().filter(|source| !source.is_test()) {
        let from = room(source);
        let code = source.program().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        for (at, to) in imports(&code).into_iter().filter(|(_, to)| !may_import(&from, to)) {
            let line = code[..at].lines().count();
            findings.push(format!("{}:{line}: {from} may not import {to}", source.path.display()));
        }
    }
    assert_none(&findings);
}

#[test]
fn every_file_of_the_server_is_in_a_room() {
    let known = |room: &str| {
        BASE.contains(&room)
            || WIRING.contains(&room)
            || ROOMS.iter().any(|(name, _)| *name == room)
    };
    let sources = rust_files(&["server/src"]);
    let strays = sources.iter().filter(|source| !known(&room(source)));
    assert_none(&strays.map(|source| source.path.display().to_string()).collect::<Vec<_>>());
}

#[test]
fn grouped_and_single_imports_are_read() {
    let read = |code| imports(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(read("use crate::store::Engine;"), ["store"]);
    assert_eq!(
        read("use crate::{\n    clock,\n    store::{Engine, keys},\n};"),
        ["clock", "store", ""]
    );
    assert_eq!(read("let x = crate::peer::send(crate::Node);"), ["peer", "Node"]);
    assert!(!may_import("store", "replica") && may_import("replica", "store"));
    assert!(may_import("peer", "config") && !may_import("config", "peer"));
}
