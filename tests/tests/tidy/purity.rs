//! What the pure parts may not name: clocks, randomness, I/O, async, and maps without an order.
//!
//! Clippy bans the calls; this bans the words, so that no type brings them in by another name.

use super::{Source, assert_none, rust_files};

/// Crates without side effects.
const PURE_CRATES: &[&str] = &["types/src", "ring/src", "repair/src", "wire/src", "sql/src"];
/// The pure rooms of the server. `coord/drive` is the one part of `coord` that runs things.
const PURE_ROOMS: &[&str] = &["server/src/plan", "server/src/coord"];
const DRIVER_OF_COORD: &str = "server/src/coord/drive";

const BANNED: &[&str] = &[
    "HashMap",
    "HashSet",
    "SystemTime",
    "async",
    "await",
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "tokio::",
    "rand::",
    "println!",
];
/// Where `now` is a number of microseconds, not an instant of this machine.
const BANNED_IN_CRATES: &[&str] = &["Instant"];

/// Whether a line names a word, and not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let is_part = |found: Option<char>| found.is_some_and(|it| it.is_alphanumeric() || it == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_open = word.ends_with([':', '!']);
        !is_part(before) && (ends_open || !is_part(after))
    })
}

fn findings(sources: &[Source], banned: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        for (number, line) in source.program() {
            for word in banned.iter().filter(|word| names(line, word)) {
                findings.push(format!("{}:{number}: names {word}", source.path.display()));
            }
        }
    }
    findings
}

#[test]
fn pure_crates_name_no_side_effects() {
    let sources = rust_files(PURE_CRATES);
    assert_none(&findings(&sources, &[BANNED, BANNED_IN_CRATES].concat()));
}

#[test]
fn pure_rooms_of_the_server_name_no_side_effects() {
    let mut sources = rust_files(PURE_ROOMS);
    sources.retain(|source| !source.path.to_string_lossy().starts_with(DRIVER_OF_COORD));
    assert_none(&findings(&sources, BANNED));
}

#[test]
fn a_word_is_found_only_as_a_whole() {
    assert!(names("use std::collections::HashMap;", "HashMap"));
    assert!(!names("struct HashMapLike;", "HashMap"));
    assert!(names("let x = rand::rng();", "rand::"));
    assert!(!names("operand::new()", "rand::"));
    assert!(names("x.await?", "await") && !names("awaited", "await"));
}
