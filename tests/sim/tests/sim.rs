//! Whole nodes in a simulation: a process a seed, partitions, crashes, power cuts and lost rows in each.
//!
//! The program is this package's own. What a seed finds it finds again: `SEED=7 make sim` shows the nodes'
//! logs and leaves the trace. `make sim SEEDS=1000` runs more of them, `make prove` ten thousand.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use server::config::Planted;
use tests::place::scratch;

/// How many seeds a run of the tests takes; more with `SIM_SEEDS`.
const SEEDS: u64 = 300;

/// Seeds that are run twice.
const TWICE: [u64; 3] = [3, 11, 42];

/// A planted bug must be found by one of so many seeds.
const SEARCHED: u64 = 500;

/// The bugs that seeds are known to find soon. The others are searched for by `make prove`.
const FOUND: [Planted; 7] = [
    Planted::AcknowledgeBeforeSync,
    Planted::AcknowledgeUnmade,
    Planted::ReuseDot,
    Planted::ReuseStoreId,
    Planted::CollapseEqual,
    Planted::SkipReadRepair,
    Planted::PurgeEarly,
];

/// The seeds that have found the planted bugs last. What a seed does changes with the code: where
/// one finds its bug no more the search begins anew, and says which seed to note here.
const RECORDED: &str = include_str!("../planted.txt");

/// What the program has printed, and whether it was content.
struct Outcome {
    text: String,
    is_good: bool,
}

impl Outcome {
    /// The line that sums up.
    fn last(&self) -> &str {
        self.text.lines().last().unwrap_or_default()
    }
}

fn sim(arguments: &[&str]) -> Result<Outcome> {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Outcome { text, is_good: output.status.success() })
}

#[expect(clippy::disallowed_methods, reason = "how long people want to wait is theirs to say")]
fn seeds_wanted() -> Result<u64> {
    match std::env::var("SIM_SEEDS") {
        Ok(count) => count.parse().with_context(|| format!("SIM_SEEDS={count} is no number")),
        Err(_) => Ok(SEEDS),
    }
}

#[test]
fn promises_outlive_all_that_goes_wrong() -> Result<()> {
    let outcome = sim(&["--seeds", &format!("1-{}", seeds_wanted()?)])?;
    ensure!(outcome.is_good, "{}", outcome.text);
    eprintln!("{}", outcome.last());
    Ok(())
}

#[test]
fn two_runs_of_a_seed_leave_one_trace() -> Result<()> {
    let home = scratch("sim")?;
    let trace = |seed: u64, name: &str| -> Result<String> {
        let path = home.path().join(name);
        let written = path.to_str().context("a path of ours is text")?;
        sim(&["--seed", &seed.to_string(), "--trace", written])?;
        read(&path)
    };
    for seed in TWICE {
        let (one, other) = (trace(seed, "one")?, trace(seed, "other")?);
        ensure!(one.lines().count() > 1_000, "the trace of seed {seed} is nearly empty");
        let first =
            one.lines().zip(other.lines()).enumerate().find(|(_, (one, other))| one != other);
        ensure!(one == other, "the runs of seed {seed} differ, from line {first:?}");
    }
    ensure!(trace(TWICE[0], "one")? != trace(TWICE[1], "other")?, "a seed decides nothing");
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("no trace in {}", path.display()))
}

#[test]
fn planted_bugs_are_found() -> Result<()> {
    let mut missed = Vec::new();
    for bug in FOUND {
        match find(bug)? {
            Some(line) => eprintln!("{}: {line}", bug.name()),
            None => missed.push(bug.name()),
        }
    }
    ensure!(missed.is_empty(), "no seed up to {SEARCHED} has found {missed:?}");
    Ok(())
}

/// How a planted bug was found: by its recorded seed, or by another.
fn find(bug: Planted) -> Result<Option<String>> {
    if let Some(seed) = recorded(bug)? {
        let outcome = sim(&["--seed", seed, "--planted", bug.name()])?;
        if !outcome.is_good && outcome.last().contains("promises broken") {
            return Ok(Some(outcome.last().to_owned()));
        }
    }
    let seeds = format!("1-{SEARCHED}");
    let outcome = sim(&["--seeds", &seeds, "--search", "--planted", bug.name()])?;
    let first = outcome.text.lines().next().unwrap_or_default();
    Ok(outcome.is_good.then(|| format!("(to be noted in tests/sim/planted.txt) {first}")))
}

fn recorded(bug: Planted) -> Result<Option<&'static str>> {
    let mut lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let line = lines.find_map(|line| line.strip_prefix(bug.name())?.strip_prefix(' '));
    let seed = line.map(str::trim);
    ensure!(seed.is_none_or(|seed| seed.parse::<u64>().is_ok()), "{bug:?} is recorded badly");
    Ok(seed)
}

#[test]
fn every_recorded_seed_is_of_a_bug_that_can_be_planted() {
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let is_of_line = |bug: &Planted| line.split(' ').next() == Some(bug.name());
        assert!(Planted::ALL.iter().any(is_of_line), "{line}");
    }
}
