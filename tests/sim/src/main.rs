//! Whole nodes in one thread, on a simulated network, clock and disk, under one seed.
//!
//! ```text
//! main --> run --> turmoil: a runtime a host, one clock     fabric: connections that are cut and traced
//!                  host   : server::node::run_on over store::memory
//!                  writer : a client, through the CQL port
//!                  chaos  : partitions, crashes, slow links and disks
//!                  tests::promise: what the clients were promised, and whether it was kept
//! ```
//!
//! A process is one seed, for randomness that is read behind our back (hash maps of the standard
//! library, chitchat's choices) has to follow the seed from the first number on; see `entropy`. Two
//! runs of one seed leave one trace, byte for byte. `tests/sim/tests/sim.rs` runs many.

mod chaos;
mod client;
mod entropy;
mod fabric;
mod host;
mod record;
mod run;
mod writer;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

/// What a run is asked for.
#[derive(Debug, Clone)]
struct Options {
    /// Decides everything.
    seed: u64,
    /// Nodes acknowledge before they sync: a run that finds nothing then proves nothing.
    is_planted: bool,
    /// Where the trace goes.
    trace: Option<PathBuf>,
    /// What nodes log, such as `debug`; errors are always looked for.
    log: Option<String>,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { seed: 1, is_planted: false, trace: None, log: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seed" => options.seed = value()?.parse()?,
                "--trace" => options.trace = Some(value()?.into()),
                "--log" => options.log = Some(value()?),
                "--planted" => options.is_planted = true,
                _ => bail!("{word}: known are --seed N, --trace FILE, --log FILTER, --planted"),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => return say(&format!("sim: {error:#}"), ExitCode::from(2)),
    };
    let seed = options.seed;
    entropy::follow(seed);
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        shown(panic);
        // A task that panics would be forgotten otherwise.
        say(&format!("SEED={seed} make sim: a node panicked"), ());
        std::process::exit(1);
    }));
    match run::run(&options) {
        Ok(summary) => say(&format!("seed {seed}: {summary}"), ExitCode::SUCCESS),
        Err(error) => say(&format!("SEED={seed} make sim: {error:#}"), ExitCode::FAILURE),
    }
}

/// Prints a line; whoever closed the output does not want it.
fn say<T>(line: &str, outcome: T) -> T {
    let _ = writeln!(std::io::stdout(), "{line}");
    outcome
}
