//! The map of the code shows what is there.

use std::path::Path;

use starling_tests::place::repository;

use super::{CRATES, Source, assert_none};

/// The paths that a text names as inline code: `ring/src/token.rs`, `coord/write.rs`, `conf/`.
fn paths(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    spans.filter(|span| is_path(span)).collect()
}

fn is_path(span: &str) -> bool {
    let is_plain = span.chars().all(|it| it.is_ascii_alphanumeric() || "_-./".contains(it));
    let is_built = ["target/", "/"].iter().any(|prefix| span.starts_with(prefix));
    is_plain && span.contains('/') && !is_built
}

/// Whether a path, or a module of that name, is one of the checkout or of a crate's sources.
fn exists(path: &str) -> bool {
    let at = |folder: &Path| {
        folder.join(path).exists() || folder.join(path).with_added_extension("rs").exists()
    };
    at(repository()) || CRATES.iter().any(|krate| at(&repository().join(krate).join("src")))
}

#[test]
fn paths_of_the_map_exist() {
    let map = Source::read("ARCHITECTURE.md".as_ref());
    let missing: Vec<_> = paths(&map.text).into_iter().filter(|path| !exists(path)).collect();
    assert_none(
        &missing.iter().map(|path| format!("ARCHITECTURE.md: no {path}")).collect::<Vec<_>>(),
    );
}

#[test]
fn only_inline_code_that_is_a_path_is_looked_for() {
    let text = "`a/b.rs` and `x::y`, `GET /ready`, `/live`\n```\n`no/path`\n```\nthen `conf/`";
    assert_eq!(paths(text), ["a/b.rs", "conf/"]);
    assert!(exists("clippy.toml") && !exists("nosuch/file.rs"));
}
