//! What the shell itself understands; everything else is for the server.

use types::{Consistency, UnknownConsistency};

/// A command to the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Show or set the level of statements.
    Consistency(Option<Consistency>),
    /// Show, or set, whether the shell keeps causality.
    Causal(Option<bool>),
    /// Say what there is.
    Help,
    /// Say who is talking to whom.
    ShowVersion,
    /// Leave.
    Exit,
}

/// Why a command is none after all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The level has no such name.
    #[error("{0}; there are {levels}", levels = levels())]
    Level(#[from] UnknownConsistency),
    /// The command is written otherwise.
    #[error("expected {form}")]
    Form {
        /// How it is written.
        form: &'static str,
    },
}

/// What HELP says.
pub(crate) const HELP: &str = "\
Statements end with a semicolon and may span lines. Commands stand on a line of their own:
  CONSISTENCY [level]   show or set the level of statements
  CAUSAL [ON|OFF]       whether writes carry the context of the row as it was last seen here
  SHOW VERSION          versions of the shell and the node
  HELP                  this
  EXIT, QUIT            leave; so does Ctrl-D
Clauses of our own: SELECT context(), sibling_count(); INSERT, UPDATE, DELETE … USING CONTEXT …,
… RETURNING *; any statement … USING CONSISTENCY level.
";

impl Command {
    /// The command that a text is, with or without a semicolon; `None` if it is a statement.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, CommandError>> {
        let text = text.trim().trim_end_matches(';');
        let words: Vec<String> = text.split_whitespace().map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let form = |form| Err(CommandError::Form { form });
        Some(match &words[..] {
            ["CONSISTENCY"] => Ok(Self::Consistency(None)),
            ["CONSISTENCY", level] => {
                level.parse().map(|level| Self::Consistency(Some(level))).map_err(Into::into)
            }
            ["CONSISTENCY", ..] => form("CONSISTENCY [level]"),
            ["CAUSAL"] => Ok(Self::Causal(None)),
            ["CAUSAL", "ON"] => Ok(Self::Causal(Some(true))),
            ["CAUSAL", "OFF"] => Ok(Self::Causal(Some(false))),
            ["CAUSAL", ..] => form("CAUSAL [ON|OFF]"),
            ["HELP", ..] => Ok(Self::Help),
            ["SHOW", "VERSION"] => Ok(Self::ShowVersion),
            ["SHOW", ..] => form("SHOW VERSION"),
            ["EXIT" | "QUIT"] => Ok(Self::Exit),
            ["EXIT" | "QUIT", ..] => form("EXIT or QUIT"),
            _ => return None,
        })
    }
}

/// The names of all levels that requests can have.
fn levels() -> String {
    let levels = Consistency::every().filter(|level| !level.is_serial());
    levels.map(Consistency::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case_with_or_without_semicolon() {
        for (text, command) in [
            ("consistency", Command::Consistency(None)),
            (" Consistency  Local_Quorum ; ", Command::Consistency(Some(Consistency::LocalQuorum))),
            ("CAUSAL OFF", Command::Causal(Some(false))),
            ("causal on;", Command::Causal(Some(true))),
            ("help", Command::Help),
            ("show version", Command::ShowVersion),
            ("quit", Command::Exit),
        ] {
            assert_eq!(Command::parse(text), Some(Ok(command)), "{text}");
        }
    }

    #[test]
    fn wrong_commands_say_what_was_expected() {
        let error = |text| Command::parse(text).unwrap().unwrap_err().to_string();
        assert_eq!(error("CAUSAL MAYBE"), "expected CAUSAL [ON|OFF]");
        assert_eq!(error("show tables"), "expected SHOW VERSION");
        let levels = error("CONSISTENCY most");
        assert!(
            levels.starts_with("unknown consistency level MOST; there are ANY, ONE"),
            "{levels}"
        );
        assert!(!levels.contains("SERIAL"), "{levels}");
    }

    #[test]
    fn statements_are_no_commands() {
        for text in ["", "SELECT 1", "USE k", "helpful", "DELETE FROM exit"] {
            assert_eq!(Command::parse(text), None, "{text}");
        }
    }
}
