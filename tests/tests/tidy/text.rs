//! What every file must or must not say.

use super::{CRATES, Source, assert_none, files, has_extension, read, rust_files};

/// Files outside of the crates that people read.
const FILES: &[&str] = &["Cargo.toml", "Makefile", "clippy.toml", "deny.toml", ".ci/run"];

#[test]
fn every_module_says_what_it_is() {
    let sources = rust_files(CRATES);
    let silent = sources.iter().filter(|source| {
        let is_tests = source.path.file_name().is_some_and(|name| name == "tests.rs");
        !is_tests && !source.text.starts_with("//! ")
    });
    assert_none(
        &silent.map(|source| format!("{}: no //! head", source.path.display())).collect::<Vec<_>>(),
    );
}

#[test]
fn every_to_do_has_an_issue() {
    let word = ["TO", "DO"].concat();
    let own = ["rs", "toml", "py", "md"];
    let in_crates =
        files(CRATES).into_iter().filter(|path| own.iter().any(|it| has_extension(path, it)));
    let mut sources: Vec<_> = in_crates.map(read).collect();
    sources.extend(FILES.iter().map(|path| Source::read(path.as_ref())));
    let mut findings = Vec::new();
    for source in &sources {
        for (at, line) in source.text.lines().enumerate() {
            if line.contains(&word) && !names_issue(line, &word) {
                findings.push(format!("{}:{}: no issue", source.path.display(), at + 1));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn commands_of_the_readme_are_targets_of_make() {
    let readme = Source::read("README.md".as_ref());
    let makefile = Source::read("Makefile".as_ref());
    let commands = readme.text.lines().filter_map(|line| line.strip_prefix("make "));
    let commands: Vec<_> = commands.filter_map(|rest| rest.split_whitespace().next()).collect();
    let is_target =
        |name: &str| makefile.text.lines().any(|it| it.starts_with(&format!("{name}:")));
    let strange = commands.iter().filter(|name| !is_target(name));
    assert_none(&strange.map(|name| format!("README.md: make {name}")).collect::<Vec<_>>());
    assert_eq!(commands, ["playground", "test"], "one command runs it, one tests it");
}

/// Whether the word is followed by `(#7)`.
fn names_issue(line: &str, word: &str) -> bool {
    let after = line.split_once(word).map(|(_, after)| after);
    let number = after.and_then(|after| after.strip_prefix("(#")?.split(')').next());
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|it| it.is_ascii_digit()))
}

#[test]
fn an_issue_is_a_number_in_parentheses() {
    assert!(names_issue("// DONE(#12): x", "DONE"));
    assert!(!names_issue("// DONE: x", "DONE") && !names_issue("// DONE(#): x", "DONE"));
}
