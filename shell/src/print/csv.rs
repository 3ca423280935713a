//! Comma-separated values.

use std::borrow::Cow;

use types::Value;

use super::{Cell, Page};

/// The rows of a page, below the names of the columns if they are asked for.
pub(super) fn lines(page: &Page, with_names: bool) -> String {
    let names = page.columns.iter().map(|column| quoted(&column.name).into_owned());
    let names = with_names.then(|| record(names));
    let rows = page.lines.iter().map(|line| record(line.cells.iter().map(field)));
    names.into_iter().chain(rows).collect()
}

fn record(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",") + "\n"
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Value(value) => quoted(&value.plain().to_string()).into_owned(),
        Cell::Raw(bytes) => Value::Blob(bytes.clone()).to_string(),
    }
}

/// The field in quotes where it needs them: an empty one too, which is not null.
fn quoted(field: &str) -> Cow<'_, str> {
    if field.is_empty() || field.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}
