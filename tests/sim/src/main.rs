//! Whole nodes in one thread, on a simulated network, clock and disk, under one seed.
//!
//! ```text
//! main ─ many ──> a process a seed, on all cores
//!      └ run  ──> turmoil : a runtime a host, one clock        fabric: connections, traced, cut, meddled with
//!                 host    : server::node::run_on over store::memory
//!                 writer  : a client, through the CQL port       tables: what each table promises
//!                 chaos   : when something goes wrong            trouble: what, and how it is mended
//!                 plan    : what the seed is about
//!                 copies  : what is on the disks
//!                 ledger  : what the clients were promised; tests::promise says whether it was kept
//! ```
//!
//! A process is one seed, for randomness that is read behind our back (hash maps of the standard
//! library, chitchat's choices) has to follow the seed from the first number on; see `entropy`. Two
//! runs of one seed leave one trace, byte for byte. `tests/sim/tests/sim.rs` runs many.

mod chaos;
mod client;
mod copies;
mod entropy;
mod fabric;
mod figures;
mod host;
mod ledger;
mod many;
mod plan;
mod record;
mod run;
mod tables;
mod trouble;
mod writer;

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use server::config::Planted;

/// What the program is asked for.
#[derive(Debug, Clone)]
struct Options {
    /// Decides everything.
    seed: u64,
    /// Many seeds instead, each in a process of its own.
    seeds: Option<RangeInclusive<u64>>,
    /// Whether many seeds end with the first that finds something: the bug is planted.
    is_search: bool,
    /// What is wrong with the nodes.
    planted: Planted,
    /// Where the trace goes.
    trace: Option<PathBuf>,
    /// What nodes log, such as `debug`; errors are always looked for.
    log: Option<String>,
}

const USAGE: &str = "--seed N [--trace FILE] [--log FILTER] [--planted BUG] | \
                     --seeds FIRST-LAST [--search] [--planted BUG] | --bugs";

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (seeds, planted) = (None, Planted::None);
        let mut options =
            Self { seed: 1, seeds, is_search: false, planted, trace: None, log: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seed" => options.seed = value()?.parse()?,
                "--seeds" => options.seeds = Some(range(&value()?)?),
                "--search" => options.is_search = true,
                "--planted" => options.planted = planted_bug(&value()?)?,
                "--trace" => options.trace = Some(value()?.into()),
                "--log" => options.log = Some(value()?),
                _ => bail!("{word}: known are {USAGE}"),
            }
        }
        Ok(options)
    }
}

fn range(words: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = words.split_once('-').context("seeds are given as FIRST-LAST")?;
    Ok(first.parse()?..=last.parse()?)
}

fn planted_bug(name: &str) -> Result<Planted> {
    let found = Planted::ALL.into_iter().find(|bug| bug.name() == name);
    found.with_context(|| format!("{name} is none of {:?}", Planted::ALL.map(Planted::name)))
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "--bugs") {
        for bug in Planted::ALL {
            say(bug.name(), ());
        }
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => return say(&format!("sim: {error:#}"), ExitCode::from(2)),
    };
    match &options.seeds {
        Some(seeds) => many::run(seeds.clone(), &options),
        None => run_one(&options),
    }
}

fn run_one(options: &Options) -> ExitCode {
    let seed = options.seed;
    entropy::follow(seed);
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        shown(panic);
        // A task that panics would be forgotten otherwise.
        say(&format!("SEED={seed} make sim: a node panicked"), ());
        std::process::exit(1);
    }));
    match run::run(options) {
        Ok(figures) => say(&format!("seed {seed}: {figures}"), ExitCode::SUCCESS),
        Err(error) => say(&format!("SEED={seed} make sim: {error:#}"), ExitCode::FAILURE),
    }
}

/// Prints a line; whoever closed the output does not want it.
fn say<T>(line: &str, outcome: T) -> T {
    let _ = writeln!(std::io::stdout(), "{line}");
    outcome
}
