//! Writers of a last-write-wins table: few rows, many clients, timestamps that meet.

use std::collections::BTreeMap;

use anyhow::Result;
use starling_tests::cells::{Act, CellHistory, Found, Row, Write};
use starling_tests::{Chance, Client, Reply, Rows, wait};

use super::writers::read_back;

/// The table that they write to.
pub(crate) const TABLE: &str = "CREATE TABLE app.cells \
     (k int, c int, a text, b text, PRIMARY KEY (k, c)) WITH conflict = 'lww'";

/// Writers share this many partitions, and so their rows.
const PARTITIONS: usize = 8;

/// So many statements of one writer in a row go to one row.
const STATEMENTS_A_ROW: i32 = 4;

/// What a writer does; a row is removed now and then.
const ACTS: [Act; 10] = [
    Act::SetBoth,
    Act::SetBoth,
    Act::SetBoth,
    Act::SetBoth,
    Act::SetA,
    Act::SetA,
    Act::SetB,
    Act::SetB,
    Act::SetB,
    Act::Delete,
];

/// One client of the table.
pub(crate) struct CellWriter {
    writer: usize,
    begun_us: i64,
    chance: Chance,
}

impl CellWriter {
    pub(crate) fn new(writer: usize) -> Self {
        // All writers of one second count from one instant, so that their timestamps meet.
        let begun_us = wait::wall_us() / 1_000_000 * 1_000_000;
        Self { writer, begun_us, chance: Chance::of(writer as u64) }
    }

    /// Carries out the `n`-th statement and notes what became of it.
    pub(crate) fn write(
        &mut self,
        client: &mut Client,
        n: i32,
        history: &mut CellHistory,
    ) -> Result<Reply> {
        let row = (i32::try_from(self.writer / 2 % PARTITIONS)?, n / STATEMENTS_A_ROW);
        let mut write = Write {
            name: format!("{}/{n}", self.writer),
            act: *self.chance.of_these(&ACTS),
            timestamp: self.begun_us + i64::from(n),
            is_acknowledged: false,
        };
        let answer = client.query(&statement(row, &write));
        write.is_acknowledged = matches!(answer, Ok(Reply::Void));
        history.note(row, write);
        answer
    }
}

fn statement((k, c): Row, write: &Write) -> String {
    let Write { name, act, timestamp, .. } = write;
    let set = match act {
        Act::SetBoth => format!("a = '{name}', b = '{name}'"),
        Act::SetA => format!("a = '{name}'"),
        Act::SetB => format!("b = '{name}'"),
        Act::Delete => {
            return format!(
                "DELETE FROM app.cells USING TIMESTAMP {timestamp} WHERE k = {k} AND c = {c}"
            );
        }
    };
    format!("UPDATE app.cells USING TIMESTAMP {timestamp} SET {set} WHERE k = {k} AND c = {c}")
}

/// All rows of the table, as a client reads them at QUORUM.
pub(crate) fn found(client: &mut Client) -> Result<BTreeMap<Row, [Found; 2]>> {
    let mut found = BTreeMap::new();
    for k in 0..i32::try_from(PARTITIONS)? {
        let select =
            format!("SELECT c, a, writetime(a), b, writetime(b) FROM app.cells WHERE k = {k}");
        read_back(client, &select, |rows, row| {
            let cells = [cell(rows, row, 1)?, cell(rows, row, 3)?];
            found.insert((k, rows.int(row, "c")?), cells);
            Ok(())
        })?;
    }
    Ok(found)
}

/// The value in this column, and its timestamp in the next one.
fn cell(rows: &Rows, row: usize, column: usize) -> Result<Found> {
    let Some(value) = &rows.cells[row][column] else { return Ok(None) };
    let name = String::from_utf8(value.clone())?;
    Ok(Some((name, rows.integer_at(row, column + 1)?)))
}
