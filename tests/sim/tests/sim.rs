//! Whole nodes in a simulation: a process a seed, partitions, crashes and power cuts in each.
//!
//! The program is this package's own. What a seed finds it finds again: `SEED=7 make sim` shows the nodes'
//! logs and leaves the trace. `make sim SEEDS=1000` runs more of them.

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use tests::place::scratch;

/// How many seeds a run of the tests takes; more with `SIM_SEEDS`.
const SEEDS: u64 = 20;

/// Seeds that are run twice.
const TWICE: [u64; 2] = [3, 11];

/// Seeds that look for the planted bug. One is not enough: what it does changes with the code.
const PLANTED: RangeInclusive<u64> = 1..=10;

/// What a run printed last, and whether it found nothing wrong.
struct Outcome {
    line: String,
    is_clean: bool,
}

/// Runs one seed in a process of its own.
fn run(seed: u64, options: &[&str]) -> Result<Outcome> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sim"));
    let output = program.args(["--seed", &seed.to_string()]).args(options).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().with_context(|| format!("seed {seed} ended without a word"))?;
    Ok(Outcome { line: line.to_owned(), is_clean: output.status.success() })
}

/// Runs many seeds, as many at once as there are cores; the outcomes come in their order.
fn run_all(seeds: RangeInclusive<u64>, options: &[&str]) -> Result<Vec<Outcome>> {
    let (next, last) = (AtomicU64::new(*seeds.start()), *seeds.end());
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return;
            }
            let outcome = run(seed, options);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((seed, outcome));
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[expect(clippy::disallowed_methods, reason = "how long people want to wait is theirs to say")]
fn seeds_wanted() -> Result<u64> {
    match std::env::var("SIM_SEEDS") {
        Ok(count) => count.parse().with_context(|| format!("SIM_SEEDS={count} is no number")),
        Err(_) => Ok(SEEDS),
    }
}

#[test]
fn promises_outlive_partitions_crashes_and_power_cuts() -> Result<()> {
    let outcomes = run_all(1..=seeds_wanted()?, &[])?;
    for outcome in &outcomes {
        eprintln!("{}", outcome.line);
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_clean).collect();
    let lines: Vec<_> = failed.iter().map(|outcome| outcome.line.as_str()).collect();
    ensure!(
        failed.is_empty(),
        "{} of {} seeds:\n{}",
        failed.len(),
        outcomes.len(),
        lines.join("\n")
    );
    Ok(())
}

#[test]
fn two_runs_of_a_seed_leave_one_trace() -> Result<()> {
    let home = scratch("sim")?;
    let trace = |seed, name: &str| -> Result<String> {
        let path = home.path().join(name);
        run(seed, &["--trace", path.to_str().context("a path of ours is text")?])?;
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
fn an_answer_before_the_fsync_is_found() -> Result<()> {
    let outcomes = run_all(PLANTED, &["--planted"])?;
    let found = outcomes.iter().filter(|outcome| {
        !outcome.is_clean
            && outcome.line.contains("promises broken")
            && outcome.line.contains("lost")
    });
    ensure!(found.count() > 0, "no seed of {PLANTED:?} found the planted bug");
    Ok(())
}
