//! Results as text: a table for people, JSON or CSV for programs, a line a column for wide rows.
//!
//! A [`Printer`] is fed page by page and never holds more than one. Law: what is printed of a value
//! cannot command the terminal: control characters are shown, not sent.
//!
//! Callers: `execute`, `admin`. Pure: no I/O but the look at the terminal's width.

mod csv;
mod json;
mod table;
mod vertical;

use std::borrow::Cow;
use std::num::NonZeroU32;

use bytes::Bytes;
use driver::{Answer, Column, Row};
use types::{CqlType, Value};

pub(crate) use table::Table;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    Table,
    /// One object a row, one row a line.
    Json,
    /// Comma-separated values with a header, as RFC 4180 has them; null is nothing, an empty text "".
    Csv,
    /// One line a column.
    Vertical,
}

/// Rows that are to be printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) columns: Vec<Column>,
    pub(crate) lines: Vec<Line>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) cells: Vec<Cell>,
    /// Of a row with several versions, which one it is and how many there are.
    pub(crate) sibling: Option<(NonZeroU32, NonZeroU32)>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Value(Value),
    /// Bytes whose type is not known here, or that are no value of it.
    Raw(Bytes),
}

impl Page {
    /// The first `width` columns of all rows of an answer.
    pub(crate) fn of(answer: &Answer, width: usize) -> Self {
        let lines = answer.rows.iter().map(|row| Line::of(row, width, None)).collect();
        Self { columns: answer.columns.iter().take(width).cloned().collect(), lines }
    }

    fn has_siblings(&self) -> bool {
        self.lines.iter().any(|line| line.sibling.is_some())
    }
}

impl Line {
    /// The first `width` values of a row.
    pub(crate) fn of(row: &Row, width: usize, sibling: Option<(NonZeroU32, NonZeroU32)>) -> Self {
        Self { cells: (0..width).map(|place| Cell::of(row, place)).collect(), sibling }
    }

    /// `sibling 1 of 2`, of a row with several versions.
    fn mark(&self) -> Option<String> {
        self.sibling.map(|(number, count)| format!("sibling {number} of {count}"))
    }
}

impl Cell {
    fn of(row: &Row, place: usize) -> Self {
        match (row.value(place), row.raw(place)) {
            (Ok(Some(value)), _) => Self::Value(value),
            (Err(_), Some(bytes)) => Self::Raw(bytes.clone()),
            _ => Self::Null,
        }
    }

    /// The value as people read it, without anything that a terminal would obey.
    fn plain(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Value(value) => harmless(&value.plain().to_string()).into_owned(),
            Self::Raw(bytes) => Value::Blob(bytes.clone()).to_string(),
        }
    }
}

/// The text with its control characters spelt out: a line feed as `\n`, an escape as `\u{1b}`.
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let spell = |char: char| {
        if char.is_control() { char.escape_default().to_string() } else { char.to_string() }
    };
    Cow::Owned(text.chars().map(spell).collect())
}

/// Whether people read values of the column as numbers, which stand to the right.
fn is_number(column: &Column) -> bool {
    let is_one = |kind: &CqlType| {
        matches!(
            kind,
            CqlType::Tinyint
                | CqlType::Smallint
                | CqlType::Int
                | CqlType::Bigint
                | CqlType::Varint
                | CqlType::Float
                | CqlType::Double
                | CqlType::Decimal
        )
    };
    column.kind.as_ref().is_some_and(is_one)
}

/// Prints the pages of one result.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    /// Whether tables are made to fit the terminal.
    fits_screen: bool,
    /// How many pages are printed.
    pages: u64,
    /// How many rows are printed.
    rows: u64,
}

impl Printer {
    /// A printer that has printed nothing.
    pub(crate) fn new(format: Format, fits_screen: bool) -> Self {
        Self { format, fits_screen, pages: 0, rows: 0 }
    }

    /// The text of the next page, whole lines.
    pub(crate) fn page(&mut self, page: &Page) -> String {
        // Of an empty page after a full one there is nothing to tell.
        let is_told = self.pages == 0 || !page.lines.is_empty();
        let text = match self.format {
            Format::Table if is_told => table::rows(page, self.fits_screen),
            Format::Table => String::new(),
            Format::Json => json::lines(page),
            Format::Csv => csv::lines(page, self.pages == 0),
            Format::Vertical => vertical::lines(page, self.rows),
        };
        self.pages += 1;
        self.rows += page.lines.len() as u64;
        text
    }

    /// Whether there was a result to print.
    pub(crate) fn is_begun(&self) -> bool {
        self.pages > 0
    }

    /// How many rows were printed.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

#[cfg(test)]
mod tests;
