//! The rules of the house that no lint knows; each test names the rule it keeps.

mod architecture;
mod crates;
mod purity;
mod rooms;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use starling_tests::place::repository;

/// The crates, as folders of the checkout.
const CRATES: &[&str] = &[
    "types",
    "wire",
    "sql",
    "ring",
    "repair",
    "server",
    "driver",
    "shell",
    "starling",
    "tests",
    "tests/sim",
];

/// A file of the checkout with its text.
struct Source {
    /// Relative to the checkout.
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(repository().join(path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), text }
    }

    /// Whether the file holds nothing but tests.
    fn is_test(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == "tests.rs")
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The lines of the program with their numbers: neither comments nor the tests at the end.
    fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        let code = lines.map(|line| line.split("//").next().unwrap_or_default());
        code.enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// Every Rust file of these folders.
fn rust_files(folders: &[&str]) -> Vec<Source> {
    files(folders).into_iter().filter(|path| has_extension(path, "rs")).map(read).collect()
}

/// Every file below these folders of the checkout, in order.
fn files(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&repository().join(folder), &mut found);
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("a folder that was opened can be read")) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let relative = path.strip_prefix(repository()).expect("it lies in the checkout");
            found.push(relative.to_owned());
        }
    }
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

#[expect(clippy::needless_pass_by_value, reason = "it ends a chain of owned paths")]
fn read(path: PathBuf) -> Source {
    Source::read(&path)
}

/// Fails with all findings at once, so that one run shows everything.
#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
