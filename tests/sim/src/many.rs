//! Many seeds, each in a process of its own, as many at once as there are cores.
//!
//! Prints a line for each seed that found something, and one at the end. Without `--search` it
//! succeeds when no seed found anything; with it, when one found a broken promise, and it stops
//! there.

use std::ops::RangeInclusive;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::figures::Figures;
use crate::{Options, say};

/// What became of all seeds so far.
#[derive(Debug, Default)]
struct Outcomes {
    runs: u32,
    found: u32,
    sum: Figures,
    /// The dearest of all, and the one that took longest to settle.
    most: Duration,
    most_settled: Duration,
    most_mib: u64,
}

/// Runs the seeds, and says what they found.
pub(crate) fn run(seeds: RangeInclusive<u64>, options: &Options) -> ExitCode {
    let (next, last) = (AtomicU64::new(*seeds.start()), *seeds.end());
    let (outcomes, is_over) = (Mutex::new(Outcomes::default()), AtomicBool::new(false));
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return;
            }
            let line = run_one(seed, options);
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            let has_found = outcomes.note(&line, options.is_search);
            drop(outcomes);
            if has_found && !is_over.fetch_or(options.is_search, Ordering::Relaxed) {
                say(&line.unwrap_or_else(|error| format!("seed {seed}: {error:#}")), ());
            }
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let is_good = (outcomes.found > 0) == options.is_search;
    say(&outcomes.summary(), if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last line of a seed's process.
fn run_one(seed: u64, options: &Options) -> Result<String> {
    let mut program = Command::new(std::env::current_exe()?);
    program.args(["--seed", &seed.to_string()]);
    if options.planted != server::config::Planted::None {
        program.args(["--planted", options.planted.name()]);
    }
    let output = program.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().last().context("it ended without a word")?.to_owned())
}

impl Outcomes {
    /// Adds a run; whether it found something, in a search a broken promise.
    fn note(&mut self, line: &Result<String>, is_search: bool) -> bool {
        self.runs += 1;
        let line = line.as_deref().unwrap_or_default();
        let figures = line.starts_with("seed ").then(|| Figures::read(line)).flatten();
        let Some(run) = figures else {
            let has_found = !is_search || line.contains("promises broken");
            self.found += u32::from(has_found);
            return has_found;
        };
        self.most = self.most.max(run.cost);
        self.most_settled = self.most_settled.max(run.settled);
        self.most_mib = self.most_mib.max(run.memory_mib);
        self.sum.acknowledged += run.acknowledged;
        self.sum.statements += run.statements;
        self.sum.faults += run.faults;
        self.sum.simulated += run.simulated;
        self.sum.cost += run.cost;
        false
    }

    fn summary(&self) -> String {
        let Self { runs, found, sum, most, most_mib, most_settled } = self;
        let mean = sum.cost.checked_div(runs - found).unwrap_or_default();
        format!(
            "{runs} seeds, {found} found something: {} writes acknowledged, {} statements, {} faults, \
             {} s simulated, all equal within {} ms; a seed costs {} ms of CPU, {} at most, and {most_mib} MiB at most",
            sum.acknowledged,
            sum.statements,
            sum.faults,
            sum.simulated.as_secs(),
            most_settled.as_millis(),
            mean.as_millis(),
            most.as_millis(),
        )
    }
}
