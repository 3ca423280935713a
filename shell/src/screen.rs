//! Where the shell writes to: data to standard output, everything else to whoever watches.

use std::io::{self, IsTerminal as _, Write as _};

/// Who watches standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    is_terminal: bool,
}

impl Screen {
    /// The screen of this process.
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal() }
    }

    /// Whether a person watches standard output.
    pub(crate) fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// Says something that is no data: where a program reads standard output, it does not see it.
    pub(crate) fn say(self, line: &str) -> io::Result<()> {
        if self.is_terminal {
            return data(&format!("{line}\n"));
        }
        note(line);
        Ok(())
    }
}

/// Writes what was asked for.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Says something on standard error, where it does not matter if nobody listens.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
