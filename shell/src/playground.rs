//! `starling playground`: a real cluster on one machine, and a shell on it.
//!
//! The nodes are processes of this binary, one for each address 127.0.0.1, 127.0.0.2, …, in process
//! groups of their own, so that Ctrl-C at the terminal reaches the shell and not them. Law: however
//! the playground is left — the shell's end, an error, SIGTERM, SIGHUP — it takes its nodes along,
//! unless it was told to leave them running.
//!
//! Callers: the binary.

mod node;
mod place;
mod tour;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::Exit;
use crate::execute::{Options, Shell, ShellError};
use crate::print::Format;
use crate::repl::{CQL_PORT, Talk, ended, interruptible};
use crate::screen::{Screen, note};

use node::{Nodes, Plan};
use place::PlaceError;

/// `starling playground`.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaygroundArgs {
    /// How many nodes.
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Where the nodes keep everything; a directory of the user's own if it is not named.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Statements to carry out instead of opening a shell; may be repeated.
    #[arg(short, value_name = "STATEMENT")]
    execute: Vec<String>,
    /// Leave the nodes running and say how to stop them.
    #[arg(long)]
    detach: bool,
    /// What tables do with concurrent writes where they do not say.
    #[arg(long, value_enum, default_value = "siblings")]
    conflict: Conflict,
    /// How results are printed.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// What a table does with concurrent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Conflict {
    /// Keep them until somebody resolves them.
    Siblings,
    /// Keep the last.
    Lww,
}

/// Why there is no playground.
#[derive(Debug, thiserror::Error)]
enum PlaygroundError {
    /// There is no room for it.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A node ended before it was ready.
    #[error("{node} ended with {status}; the end of {log}:\n{tail}", log = log.display())]
    Ended {
        /// The node's address.
        node: String,
        /// How it ended.
        status: String,
        /// Where it logged.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The nodes are not ready in time.
    #[error("not ready within {limit:?}: {why}; logs are in {dir}", dir = dir.display())]
    NotReady {
        /// How long it took.
        limit: Duration,
        /// What the nodes say.
        why: String,
        /// Where the logs are.
        dir: PathBuf,
    },
    /// The shell failed.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// Processes or files failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How long the nodes may take to be ready, on a machine with a lot to do.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// How long to rest between two looks.
const REST: Duration = Duration::from_millis(100);

/// Runs `starling playground`; `version` is that of this program.
pub fn playground(args: &PlaygroundArgs, version: &str) -> Exit {
    match run(args, version) {
        Ok(()) => Exit::Done,
        Err(PlaygroundError::Shell(error)) => ended(Err(error)),
        Err(error) => {
            note(&error.to_string());
            Exit::Failed
        }
    }
}

fn run(args: &PlaygroundArgs, version: &str) -> Result<(), PlaygroundError> {
    let runtime = Runtime::new()?;
    let addresses = place::addresses(args.nodes);
    let dir = place::prepare(args.dir.as_deref(), args.nodes)?;
    place::check_ports(&addresses)?;
    note(&format!("the playground is in {}", dir.display()));
    let plan = Plan { dir, addresses, conflict: args.conflict };
    let nodes = Arc::new(Mutex::new(Nodes::default()));
    runtime.spawn(stop_on_signal(Arc::clone(&nodes)));
    locked(&nodes).start(&plan)?;
    runtime.block_on(interruptible(wait_ready(&nodes, &plan)))??;

    let hosts: Vec<_> = plan.addresses.iter().map(|it| format!("{it}:{CQL_PORT}")).collect();
    let options = Options { version: version.to_owned(), format: args.format, user: None };
    let mut shell = runtime.block_on(interruptible(Shell::connect(&hosts, options)))?;
    let mut talk = Talk { runtime: &runtime, shell: &mut shell };
    if args.detach {
        if !args.execute.is_empty() {
            talk.statements_or_input(&args.execute)?;
        }
        note(&locked(&nodes).detach(&plan));
        return Ok(());
    }
    if args.execute.is_empty() && Screen::new().is_terminal() {
        note(&tour::banner(args.nodes));
    }
    let outcome = talk.statements_or_input(&args.execute);
    locked(&nodes).stop();
    Ok(outcome?)
}

/// Waits until every node serves.
async fn wait_ready(
    nodes: &Mutex<Nodes>,
    plan: &Plan,
) -> Result<Result<(), PlaygroundError>, ShellError> {
    let progress = progress(plan.addresses.len());
    let agent = node::agent();
    let mut rested = Duration::ZERO;
    loop {
        if let Err(error) = locked(nodes).check(plan) {
            return Ok(Err(error));
        }
        let waiting = node::waiting(&agent, &plan.addresses);
        progress.set_position((plan.addresses.len() - waiting.len()) as u64);
        let Some(why) = waiting.first() else {
            progress.finish_and_clear();
            return Ok(Ok(()));
        };
        progress.set_message(why.clone());
        if rested >= READY_LIMIT {
            let (why, dir) = (why.clone(), plan.dir.clone());
            return Ok(Err(PlaygroundError::NotReady { limit: READY_LIMIT, why, dir }));
        }
        tokio::time::sleep(REST).await;
        rested += REST;
    }
}

/// A line on the terminal that says how far the nodes are; nothing where there is no terminal.
fn progress(nodes: usize) -> ProgressBar {
    let bar = ProgressBar::new(nodes as u64);
    let style = ProgressStyle::with_template("{spinner} {pos} of {len} nodes are ready  {msg}")
        .expect("the template is well formed");
    bar.set_style(style);
    bar.enable_steady_tick(REST);
    bar
}

/// Takes the nodes along when this process is told to end.
async fn stop_on_signal(nodes: Arc<Mutex<Nodes>>) -> io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        biased;
        _ = end.recv() => {}
        _ = hang_up.recv() => {}
    }
    locked(&nodes).stop();
    std::process::exit(Exit::Failed.code().into());
}

fn locked(nodes: &Mutex<Nodes>) -> MutexGuard<'_, Nodes> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}
