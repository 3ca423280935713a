//! Tells the program its version and the commit that it is built from.
//!
//! The commit comes from `STARLING_COMMIT` where that is set, else from git where there is one;
//! without either the version stands alone.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=STARLING_COMMIT");
    let version = env!("CARGO_PKG_VERSION");
    match commit() {
        Some(commit) => println!("cargo::rustc-env=STARLING_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=STARLING_VERSION={version}"),
    }
}

fn commit() -> Option<String> {
    if let Some(named) = std::env::var_os("STARLING_COMMIT") {
        return named.into_string().ok().filter(|commit| !commit.is_empty());
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD".to_owned(), "packed-refs".to_owned()].into_iter().chain(branch) {
        watch(&name);
    }
    git(&["rev-parse", "--short=10", "HEAD"])
}

/// Has cargo run this again when the file of git's changes.
fn watch(name: &str) {
    // A path that does not exist would count as changed each time.
    if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|it| Path::new(it).exists())
    {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// What git answers, if it is there and answers.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
