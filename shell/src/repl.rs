//! The statement shell: where items come from, and what happens when one fails.
//!
//! At a terminal a person goes on after an error; a script ends at its first one, for what follows
//! may rest on what failed.
//!
//! `rustyline` blocks, so the shell runs on a thread of its own choice and enters the runtime for
//! each item; what the driver does in between runs on the runtime's threads.

mod line;
mod password;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;
use std::{iter, thread};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::Exit;
use crate::execute::{Next, Options, Shell, ShellError};
use crate::host::Host;
use crate::input::Pending;
use crate::print::Format;
use crate::screen::note;

use line::{Editor, Entry};

/// The port of the drivers.
pub(crate) const CQL_PORT: u16 = 9042;

/// How many lines of standard input are read ahead.
const LINES_MAX: usize = 64;

/// `starling shell`.
#[derive(Debug, Clone, clap::Args)]
pub struct ShellArgs {
    /// The node to begin with; the others are learnt from it.
    #[arg(value_name = "HOST[:PORT]", default_value = "127.0.0.1")]
    host: Host,
    /// Statements to carry out instead of asking for some; may be repeated.
    #[arg(short, value_name = "STATEMENT")]
    execute: Vec<String>,
    /// A file of statements to carry out; ends at the first that fails.
    #[arg(short, value_name = "FILE", conflicts_with = "execute")]
    file: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Who asks; the password is asked for, or taken from the environment (`STARLING_PASSWORD`).
    #[arg(short, value_name = "USER")]
    user: Option<String>,
}

/// Runs `starling shell`; `version` is that of this program.
pub fn shell(args: &ShellArgs, version: &str) -> Exit {
    ended(run(args, version))
}

fn run(args: &ShellArgs, version: &str) -> Result<(), ShellError> {
    let runtime = Runtime::new()?;
    let user = args.user.as_ref().map(|user| password::of(user)).transpose()?;
    let options = Options { version: version.to_owned(), format: args.format, user };
    let hosts = [args.host.at(CQL_PORT)];
    let mut shell = runtime.block_on(interruptible(Shell::connect(&hosts, options)))?;
    let mut talk = Talk { runtime: &runtime, shell: &mut shell };
    match &args.file {
        Some(path) => talk.file(path),
        None => talk.statements_or_input(&args.execute),
    }
}

/// Says why a command failed, and how it ended by that.
pub(crate) fn ended(outcome: Result<(), ShellError>) -> Exit {
    match outcome {
        Ok(()) => Exit::Done,
        Err(error) => {
            if !error.is_end_of_output() {
                note(&error.to_string());
            }
            error.exit()
        }
    }
}

/// A shell and what it is run with.
pub(crate) struct Talk<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) shell: &'a mut Shell,
}

impl Talk<'_> {
    /// Carries out statements of the command line, or without any those of standard input.
    pub(crate) fn statements_or_input(&mut self, statements: &[String]) -> Result<(), ShellError> {
        if !statements.is_empty() {
            return self.statements(statements);
        }
        if io::stdin().is_terminal() {
            return self.terminal();
        }
        let lines = input(self.runtime)?;
        self.script("standard input", lines)
    }

    fn statements(&mut self, statements: &[String]) -> Result<(), ShellError> {
        for text in statements {
            let mut pending = Pending::default();
            let mut items = pending.push(text)?;
            items.extend(pending.finish()); // The last one needs no semicolon.
            if self.items(items)? == Next::Leave {
                break;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &PathBuf) -> Result<(), ShellError> {
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|error| ShellError::Script { name: name.clone(), error })?;
        self.script(&name, BufReader::new(file).lines().map(Ok))
    }

    /// Carries out the statements of these lines; the outer error is no fault of theirs.
    fn script(
        &mut self,
        name: &str,
        lines: impl Iterator<Item = Result<io::Result<String>, ShellError>>,
    ) -> Result<(), ShellError> {
        let mut pending = Pending::default();
        for line in lines {
            let line =
                line?.map_err(|error| ShellError::Script { name: name.to_owned(), error })?;
            let items = pending.push(&line)?;
            if self.items(items)? == Next::Leave {
                return Ok(());
            }
        }
        match pending.finish() {
            None => Ok(()),
            Some(item) => Err(ShellError::Unfinished { begin: item.chars().take(60).collect() }),
        }
    }

    /// Asks a person, until that person leaves.
    fn terminal(&mut self) -> Result<(), ShellError> {
        let mut editor = Editor::new()?;
        note(&self.shell.greeting());
        loop {
            let lines = match editor.read(&self.shell.prompt())? {
                Entry::Lines(lines) => lines,
                Entry::Cancelled => continue,
                Entry::End => return Ok(()),
            };
            let items = match Pending::default().push(&lines) {
                Ok(items) => items,
                Err(error) => {
                    note(&error.to_string());
                    continue;
                }
            };
            match self.items(items) {
                Ok(Next::Go) => {}
                Ok(Next::Leave) => return Ok(()),
                Err(error) if error.is_end_of_output() => return Err(error),
                Err(error) => note(&error.to_string()),
            }
        }
    }

    fn items(&mut self, items: Vec<String>) -> Result<Next, ShellError> {
        for item in items {
            let done = self.runtime.block_on(interruptible(self.shell.run(&item)))?;
            if done == Next::Leave {
                return Ok(Next::Leave);
            }
        }
        Ok(Next::Go)
    }
}

/// The lines of standard input, waited for until the person presses Ctrl-C.
///
/// A thread of its own reads them, for reading cannot be interrupted; it ends with the process.
fn input(
    runtime: &Runtime,
) -> io::Result<impl Iterator<Item = Result<io::Result<String>, ShellError>>> {
    let (sender, mut lines) = mpsc::channel(LINES_MAX);
    let read = move || {
        // An error of the channel means that nobody wants more lines.
        let _ = io::stdin().lines().try_for_each(|line| sender.blocking_send(line));
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
    let next = move || {
        let line = async { Ok::<_, ShellError>(lines.recv().await) };
        runtime.block_on(interruptible(line)).transpose()
    };
    Ok(iter::from_fn(next))
}

/// Waits for something until the person presses Ctrl-C.
pub(crate) async fn interruptible<T, E>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, ShellError>
where
    ShellError: From<E>,
{
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => {
            signal?;
            Err(ShellError::Interrupted)
        }
        done = work => Ok(done?),
    }
}
