//! Which crate may depend on which.

use toml::{Table, Value};

use super::{CRATES, Source, assert_none};

/// What each crate may import of ours.
const OURS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("ring", &["types"]),
    ("wire", &["types"]),
    ("sql", &["types"]),
    ("repair", &["ring", "types"]),
    ("server", &["ring", "repair", "wire", "sql", "types"]),
    ("driver", &["types"]),
    ("shell", &["driver", "sql", "types"]),
    ("starling", &["server", "shell"]),
    ("tests", &["driver", "repair", "ring", "sql", "types", "wire"]),
    ("tests/sim", &["ring", "server", "tests", "types"]),
];

/// What only some crates may import of others'.
const THEIRS: &[(&str, &[&str])] = &[
    ("rocksdb", &["server"]),
    ("chitchat", &["server"]),
    ("scylla", &["driver", "tests"]),
    ("tokio", &["server", "driver", "shell", "starling", "tests", "tests/sim"]),
    ("turmoil", &["tests/sim"]),
    ("rand", &["server"]),
    ("tracing", &["server", "starling"]),
    ("anyhow", &["server", "shell", "starling", "tests", "tests/sim"]),
];

/// A manifest.
fn manifest(folder: &str) -> Table {
    let name =
        if folder.is_empty() { "Cargo.toml".to_owned() } else { format!("{folder}/Cargo.toml") };
    Source::read(name.as_ref()).text.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The keys of a section.
fn keys(manifest: &Table, section: &str) -> Vec<String> {
    let table = manifest.get(section).and_then(Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn every_member_of_the_workspace_is_known_here() {
    let root = manifest("");
    let members = root["workspace"]["members"].as_array().unwrap();
    let mut members: Vec<_> = members.iter().map(|member| member.as_str().unwrap()).collect();
    let mut known = CRATES.to_vec();
    members.sort_unstable();
    known.sort_unstable();
    assert_eq!(members, known);
    assert_eq!(OURS.len(), CRATES.len());
}

#[test]
fn our_crates_import_each_other_in_one_direction() {
    let mut findings = Vec::new();
    for (krate, allowed) in OURS {
        let manifest = manifest(krate);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let ours =
                keys(&manifest, section).into_iter().filter(|key| CRATES.contains(&key.as_str()));
            findings.extend(
                ours.filter(|key| !allowed.contains(&key.as_str()))
                    .map(|key| format!("{krate} may not import {key} ([{section}])")),
            );
        }
    }
    assert_none(&findings);
}

#[test]
fn crates_with_side_effects_are_imported_where_they_belong() {
    let mut findings = Vec::new();
    for krate in CRATES {
        let imports = keys(&manifest(krate), "dependencies");
        for (theirs, users) in THEIRS {
            if imports.iter().any(|key| key == theirs) && !users.contains(krate) {
                findings.push(format!("{krate} may not import {theirs}"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn every_crate_takes_the_lints_and_the_versions_of_the_workspace() {
    let mut findings = Vec::new();
    for krate in CRATES {
        let manifest = manifest(krate);
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints != Some(&Value::Boolean(true)) {
            findings.push(format!("{krate} does not take the lints of the workspace"));
        }
        for section in ["dependencies", "dev-dependencies"] {
            for key in keys(&manifest, section) {
                if manifest[section][&key].get("workspace") != Some(&Value::Boolean(true)) {
                    findings.push(format!("{krate}: {key} has a version of its own"));
                }
            }
        }
    }
    assert_none(&findings);
}
