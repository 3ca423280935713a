//! Places in a text.

use std::fmt;

/// A place in a text: lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// Where every text begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Where a text ends that begins here.
    #[must_use]
    pub fn after(self, text: &str) -> Self {
        text.chars().fold(self, |at, char| match char {
            '\n' => Self { line: at.line.saturating_add(1), column: 1 },
            _ => Self { column: at.column.saturating_add(1), ..at },
        })
    }

    /// Where a place in a text is in a greater text, of which the first is the part that begins here.
    #[must_use]
    pub fn outward(self, inner: Self) -> Self {
        let line = self.line.saturating_add(inner.line.saturating_sub(1));
        if inner.line > 1 {
            return Self { line, column: inner.column };
        }
        Self { line, column: self.column.saturating_add(inner.column.saturating_sub(1)) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a node of a tree stood in its text; `None` in a node that was made by hand.
///
/// Any two are equal, so that trees are equal when they say the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct At(pub Option<Position>);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for At {}

impl From<Position> for At {
    fn from(position: Position) -> Self {
        Self(Some(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let at = |line, column| Position { line, column };
        assert_eq!(Position::START.after(""), at(1, 1));
        assert_eq!(Position::START.after("é𝄞"), at(1, 3));
        assert_eq!(at(3, 9).after("a\r\nb"), at(4, 2));
    }

    #[test]
    fn inner_places_are_found_in_the_greater_text() {
        let at = |line, column| Position { line, column };
        assert_eq!(at(3, 9).outward(at(1, 1)), at(3, 9));
        assert_eq!(at(3, 9).outward(at(1, 4)), at(3, 12));
        assert_eq!(at(3, 9).outward(at(2, 4)), at(4, 4));
    }
}
