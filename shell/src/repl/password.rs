//! Asking for a password.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Config, Editor, Helper};

use super::line::as_io;
use crate::execute::ShellError;

/// The user with the password, out of the environment or from the person at the terminal.
pub(super) fn of(user: &str) -> Result<(String, String), ShellError> {
    let password = match std::env::var_os("STARLING_PASSWORD") {
        Some(password) => password.to_string_lossy().into_owned(),
        None if io::stdin().is_terminal() => ask(user).map_err(as_io)?,
        None => return Err(ShellError::NoPassword { user: user.to_owned() }),
    };
    Ok((user.to_owned(), password))
}

/// Asks without showing what is entered, and without remembering it.
fn ask(user: &str) -> rustyline::Result<String> {
    let config = Config::builder().color_mode(ColorMode::Forced).auto_add_history(false).build();
    let mut editor = Editor::<Masked, DefaultHistory>::with_config(config)?;
    editor.set_helper(Some(Masked));
    editor.readline(&format!("password of {user}: "))
}

/// Shows a space for each character.
struct Masked;

impl Highlighter for Masked {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(line.chars().count()))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

impl Helper for Masked {}

impl Validator for Masked {}

impl Hinter for Masked {
    type Hint = String;
}

impl Completer for Masked {
    type Candidate = String;
}
