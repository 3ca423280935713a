//! Aligned columns.

use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table as Layout, TableStyle,
};

use super::{Cell, Page, harmless, is_number};

/// Bars between columns and a rule below the names.
///
/// ```text
///  k | v
/// ---+-----
///  1 | one
/// ```
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// Below this many characters a column is no longer readable, and better left to the terminal.
const COLUMN_WIDTH_MIN: usize = 12;

/// A table that is filled line by line.
pub(crate) struct Table(Layout);

impl Table {
    /// A table with these names above its columns.
    pub(crate) fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut layout = Layout::new();
        layout.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        let names: Vec<_> =
            names.into_iter().map(|it| harmless(it.as_ref()).into_owned()).collect();
        layout.set_header(names);
        Self(layout)
    }

    /// Puts a line below the others.
    pub(crate) fn line(&mut self, values: impl IntoIterator<Item = impl AsRef<str>>) {
        let values = values.into_iter().map(|it| harmless(it.as_ref()).into_owned());
        self.0.add_row(values.collect::<Vec<_>>());
    }

    /// Has the values of a column stand to the right.
    pub(crate) fn align_right(&mut self, column: usize) {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    /// Breaks values into lines where the terminal is too narrow for the table, but wide enough to
    /// leave something readable of each column.
    fn fit_screen(&mut self) {
        let width = self.0.width().map(usize::from);
        if width.is_some_and(|width| width >= COLUMN_WIDTH_MIN * self.0.column_count()) {
            self.0.set_content_arrangement(ContentArrangement::Dynamic);
        }
    }

    /// The text, whole lines.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.0.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The rows of a page under the names of its columns.
pub(super) fn rows(page: &Page, fits_screen: bool) -> String {
    let mark = page.has_siblings().then_some("");
    let names = page.columns.iter().map(|column| column.name.as_str()).chain(mark);
    let mut table = Table::new(names);
    for line in &page.lines {
        let mark = mark.map(|_| line.mark().unwrap_or_default());
        table.line(line.cells.iter().map(Cell::plain).chain(mark));
    }
    for (place, _) in page.columns.iter().enumerate().filter(|(_, column)| is_number(column)) {
        table.align_right(place);
    }
    if fits_screen {
        table.fit_screen();
    }
    table.text()
}
