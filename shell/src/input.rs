//! Lines as they come in, cut into commands and statements.
//!
//! A statement ends with a semicolon, wherever that stands; a command ends with its line. The
//! grammar's own [`split`] decides which semicolons count.
//!
//! Callers: `repl` for the terminal, for files and for standard input. Pure.

use sql::split;

use crate::command::Command;

/// One thing to do: a command or a statement, as it was written, without its semicolon.
pub(crate) type Item = String;

/// The text that is no whole statement yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    text: String,
}

/// A statement that does not end within the length that any statement may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("statement longer than {} bytes", sql::STATEMENT_BYTES_MAX)]
pub(crate) struct TooLong;

impl Pending {
    /// Takes one line or several, and hands out what is whole by now.
    pub(crate) fn push(&mut self, lines: &str) -> Result<Vec<Item>, TooLong> {
        let is_begun = !self.is_empty();
        if is_begun {
            self.text.push('\n');
        }
        self.text.push_str(lines);
        if is_begun && !lines.contains(';') && self.text.len() <= sql::STATEMENT_BYTES_MAX {
            return Ok(Vec::new()); // Nothing ends here, so there is no need to look.
        }
        let text = std::mem::take(&mut self.text);
        let split = split(&text);
        let mut items: Vec<Item> =
            split.statements.iter().map(|fragment| fragment.text.to_owned()).collect();
        match split.rest {
            Some(rest) if is_command(rest.text) => items.push(rest.text.trim().to_owned()),
            Some(rest) if rest.text.len() > sql::STATEMENT_BYTES_MAX => return Err(TooLong),
            Some(rest) => rest.text.clone_into(&mut self.text),
            None => {}
        }
        Ok(items)
    }

    /// Whether nothing waits for its end.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Hands out what has no semicolon, at the end of a text that needs none.
    pub(crate) fn finish(self) -> Option<Item> {
        (!self.is_empty()).then_some(self.text)
    }
}

/// Whether a text without semicolon is a command of one line.
fn is_command(text: &str) -> bool {
    !text.trim_end().contains('\n') && Command::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out line by line, and what is left.
    fn cut(lines: &[&str]) -> (Vec<Item>, String) {
        let mut pending = Pending::default();
        let items = lines.iter().flat_map(|line| pending.push(line).unwrap()).collect();
        (items, pending.finish().unwrap_or_default())
    }

    #[test]
    fn statements_span_lines_and_share_them() {
        let lines = ["SELECT *", "FROM t; USE k; SELECT ';", "' ;", "  -- done"];
        let items = ["SELECT *\nFROM t", "USE k", "SELECT ';\n'"].map(str::to_owned);
        assert_eq!(cut(&lines), (items.to_vec(), String::new()));
    }

    #[test]
    fn commands_end_with_their_line_or_a_semicolon() {
        let lines =
            ["CONSISTENCY ALL", "CAUSAL OFF; SELECT 1; causal on; USE k;", "SELECT 1; EXIT"];
        let items =
            ["CONSISTENCY ALL", "CAUSAL OFF", "SELECT 1", "causal on", "USE k", "SELECT 1", "EXIT"];
        assert_eq!(cut(&lines), (items.map(str::to_owned).to_vec(), String::new()));
    }

    #[test]
    fn a_word_of_a_statement_is_no_command() {
        let (items, rest) = cut(&["SELECT", "help", "FROM t"]);
        assert_eq!((items, rest.as_str()), (vec![], "SELECT\nhelp\nFROM t"));
    }

    #[test]
    fn what_has_no_end_is_bounded() {
        let mut pending = Pending::default();
        let line = "x".repeat(sql::STATEMENT_BYTES_MAX / 2);
        assert_eq!(pending.push(&line), Ok(vec![]));
        assert_eq!(pending.push(&line), Err(TooLong));
        assert!(pending.is_empty());
    }
}
