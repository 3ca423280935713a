//! The only file that knows `rustyline`'s editor: lines from a person.

use rustyline::completion::Completer;
use rustyline::config::Builder;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Helper};

use std::io;

use crate::input::Pending;

/// An editor of statements that may span lines.
pub(super) struct Editor(rustyline::Editor<Whole, DefaultHistory>);

/// What a person entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Whole statements and commands.
    Lines(String),
    /// Nothing after all: Ctrl-C.
    Cancelled,
    /// The end: Ctrl-D.
    End,
}

impl Editor {
    /// An editor that remembers what was entered as long as it lives.
    pub(super) fn new() -> io::Result<Self> {
        let config: Config = Builder::new().auto_add_history(true).build();
        let mut editor = rustyline::Editor::with_config(config).map_err(as_io)?;
        editor.set_helper(Some(Whole));
        Ok(Self(editor))
    }

    /// Asks for the next lines.
    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Entry> {
        match self.0.readline(prompt) {
            Ok(lines) => Ok(Entry::Lines(lines)),
            Err(ReadlineError::Interrupted) => Ok(Entry::Cancelled),
            Err(ReadlineError::Eof) => Ok(Entry::End),
            Err(error) => Err(as_io(error)),
        }
    }
}

pub(super) fn as_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Eof => io::ErrorKind::UnexpectedEof.into(),
        ReadlineError::Interrupted => io::ErrorKind::Interrupted.into(),
        other => io::Error::other(other),
    }
}

/// Lets Enter begin a new line until everything that was entered is whole.
struct Whole;

impl Validator for Whole {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let mut pending = Pending::default();
        let is_whole = pending.push(context.input()).is_err() || pending.is_empty();
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Helper for Whole {}

impl Highlighter for Whole {}

impl Hinter for Whole {
    type Hint = String;
}

impl Completer for Whole {
    type Candidate = String;
}
