//! A line for each column of each row.

use std::fmt::Write as _;

use super::{Cell, Page, harmless};

/// The rows of a page, of which `before` were printed already.
pub(super) fn lines(page: &Page, before: u64) -> String {
    let names: Vec<_> = page.columns.iter().map(|column| harmless(&column.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (number, line) in (before + 1..).zip(&page.lines) {
        let mark = line.mark().map(|mark| format!(" ({mark})")).unwrap_or_default();
        writeln!(text, "@ row {number}{mark}").expect("a string takes everything");
        for (name, value) in names.iter().zip(line.cells.iter().map(Cell::plain)) {
            writeln!(text, " {name:width$} | {value}").expect("a string takes everything");
        }
    }
    text
}
