//! One JSON object a row.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value as Json};
use types::Value;

use super::{Cell, Page};

/// The rows of a page, a line each. Of columns of one name the last stays, as in any object.
pub(super) fn lines(page: &Page) -> String {
    let object = |cells: &[Cell]| {
        let names = page.columns.iter().map(|column| column.name.clone());
        Json::Object(names.zip(cells.iter().map(cell)).collect::<Map<_, _>>())
    };
    let mut text = String::new();
    for line in &page.lines {
        writeln!(text, "{}", object(&line.cells)).expect("a string takes everything");
    }
    text
}

fn cell(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Value(value) => json(value),
        Cell::Raw(bytes) => json(&Value::Blob(bytes.clone())),
    }
}

/// Numbers and booleans as such, collections and tuples as arrays and objects, everything else as
/// text. What is no number to JSON, such as NaN, is text too, and so are numbers of any size, of which
/// readers of JSON would keep some digits only.
fn json(value: &Value) -> Json {
    match value {
        Value::Boolean(claim) => Json::Bool(*claim),
        Value::Tinyint(number) => Json::from(*number),
        Value::Smallint(number) => Json::from(*number),
        Value::Tuple(fields) => {
            Json::Array(fields.iter().map(|it| it.as_ref().map_or(Json::Null, json)).collect())
        }
        Value::Int(number) => Json::from(*number),
        Value::Bigint(number) => Json::from(*number),
        Value::Double(number) => {
            Number::from_f64(*number).map_or_else(|| text(value), Json::Number)
        }
        // By way of its own shortest digits, so that 0.1 does not become 0.10000000149011612.
        Value::Float(number) => {
            let shortest = number.to_string().parse().ok().and_then(Number::from_f64);
            shortest.map_or_else(|| text(value), Json::Number)
        }
        Value::List(values) | Value::Set(values) => Json::Array(values.iter().map(json).collect()),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (key.plain().to_string(), json(value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        _ => text(value),
    }
}

fn text(value: &Value) -> Json {
    Json::String(value.plain().to_string())
}
