//! What is wrong with a text.

use crate::Position;

/// Why a text is not one statement: where, what should stand there, and what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}:{column}: expected {expected}, found {found}")]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1 in characters.
    pub column: u32,
    /// What the grammar asks for.
    pub expected: String,
    /// What stands there, or its beginning.
    pub found: String,
}

impl SyntaxError {
    /// The error as one of a greater text, of which the faulty one begins at `start`.
    #[must_use]
    pub fn within(self, start: Position) -> Self {
        let Position { line, column } = start.outward(self.position());
        Self { line, column, ..self }
    }

    /// Where the text stops making sense.
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    pub(crate) fn new(at: Position, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { line: at.line, column: at.column, expected: expected.into(), found: found.into() }
    }
}
