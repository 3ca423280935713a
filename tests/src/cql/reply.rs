//! What a node answers, read from the bytes of protocol v4.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use uuid::Uuid;

use super::{Frame, opcode};

/// Flag of a frame whose body begins with warnings.
const HAS_WARNINGS: u8 = 0x08;
/// Flags of the metadata of rows.
const GLOBAL_TABLE: i32 = 1;
const MORE_PAGES: i32 = 2;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To STARTUP.
    Ready,
    /// To OPTIONS.
    Supported,
    /// Done, and nothing to say.
    Void,
    /// Rows of a SELECT or of RETURNING.
    Rows(Rows),
    /// The keyspace in use.
    Keyspace(String),
    /// Prepared under this id.
    Prepared(Vec<u8>),
    /// The schema changed.
    SchemaChange,
    /// Not done.
    Refused(Refusal),
}

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the protocol, such as 0x2200 for an invalid statement.
    pub code: i32,
    /// What people read.
    pub message: String,
    /// For Unavailable: required and alive. For timeouts and failures: received and required.
    pub counts: Option<(i32, i32)>,
}

/// Rows as they came: cells are the bytes of the protocol, `None` for null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The types of the columns; of a collection or tuple, those within it as well.
    pub types: Vec<Vec<u16>>,
    /// Row by row, in the order of the columns.
    pub cells: Vec<Vec<Option<Vec<u8>>>>,
    /// Where the next page begins, if there is one.
    pub paging_state: Option<Vec<u8>>,
}

impl Rows {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.cells.len()
    }

    /// Each row as people read it, `1 | a | null`.
    pub fn shown(&self) -> Result<Vec<String>> {
        let shown = |(at, cell): (usize, &Option<Vec<u8>>)| {
            cell.as_ref().map_or(Ok("null".to_owned()), |bytes| show(&self.types[at], bytes))
        };
        let line = |row: &Vec<_>| {
            let cells = row.iter().enumerate().map(shown).collect::<Result<Vec<_>>>()?;
            Ok(cells.join(" | "))
        };
        self.cells.iter().map(line).collect()
    }

    /// The bytes of one cell.
    pub fn cell(&self, row: usize, column: &str) -> Result<Option<&[u8]>> {
        let at = self.columns.iter().position(|name| name == column);
        let at = at.with_context(|| format!("no column {column} in {:?}", self.columns))?;
        let row = self.cells.get(row).with_context(|| format!("no row {row}"))?;
        Ok(row[at].as_deref())
    }

    /// The bytes of one cell that must not be null.
    pub fn bytes(&self, row: usize, column: &str) -> Result<&[u8]> {
        self.cell(row, column)?.with_context(|| format!("{column} is null in row {row}"))
    }

    /// A text.
    pub fn text(&self, row: usize, column: &str) -> Result<&str> {
        Ok(std::str::from_utf8(self.bytes(row, column)?)?)
    }

    /// An int.
    pub fn int(&self, row: usize, column: &str) -> Result<i32> {
        Ok(i32::from_be_bytes(self.bytes(row, column)?.try_into()?))
    }

    /// A whole number of four or eight bytes in the column at this place, counted from 0.
    pub fn integer_at(&self, row: usize, column: usize) -> Result<i64> {
        let cell = self.cells.get(row).and_then(|row| row.get(column)).cloned().flatten();
        let bytes = cell.with_context(|| format!("no number in row {row}, column {column}"))?;
        match bytes.len() {
            4 => Ok(i32::from_be_bytes(bytes.as_slice().try_into()?).into()),
            8 => Ok(i64::from_be_bytes(bytes.as_slice().try_into()?)),
            other => bail!("a number of {other} bytes"),
        }
    }

    /// A uuid.
    pub fn uuid(&self, row: usize, column: &str) -> Result<Uuid> {
        Ok(Uuid::from_slice(self.bytes(row, column)?)?)
    }

    /// All values of a column of text, in the order of the rows; nulls are left out.
    pub fn texts(&self, column: &str) -> Result<Vec<String>> {
        let rows = (0..self.count()).filter_map(|row| self.cell(row, column).transpose());
        rows.map(|cell| Ok(String::from_utf8(cell?.to_vec())?)).collect()
    }

    /// A set<text>.
    pub fn text_set(&self, row: usize, column: &str) -> Result<Vec<String>> {
        let Some(bytes) = self.cell(row, column)? else { return Ok(Vec::new()) };
        let mut reader = Reader(bytes);
        let count = reader.int()?;
        (0..count).map(|_| Ok(String::from_utf8(reader.cell()?.unwrap_or_default())?)).collect()
    }
}

/// A value as people write it; a type that tests do not know yet shows its bytes.
fn show(types: &[u16], bytes: &[u8]) -> Result<String> {
    Ok(match types {
        [0x02 | 0x0B] => i64::from_be_bytes(bytes.try_into()?).to_string(),
        [0x04] => (bytes == [1]).to_string(),
        [0x09] => i32::from_be_bytes(bytes.try_into()?).to_string(),
        [0x0C] => Uuid::from_slice(bytes)?.to_string(),
        [0x0D] => std::str::from_utf8(bytes)?.to_owned(),
        [0x20 | 0x22, element @ ..] => {
            let mut reader = Reader(bytes);
            let elements =
                (0..reader.int()?).map(|_| show(element, &reader.cell()?.unwrap_or_default()));
            format!("{{{}}}", elements.collect::<Result<Vec<_>>>()?.join(", "))
        }
        _ => super::blob_literal(bytes),
    })
}

/// Reads an answer and the warnings that came with it.
pub fn read(frame: &Frame) -> Result<(Reply, Vec<String>)> {
    let mut reader = Reader(&frame.body);
    let has_warnings = frame.flags & HAS_WARNINGS != 0;
    let warnings = if has_warnings { reader.string_list()? } else { Vec::new() };
    let reply = match frame.opcode {
        opcode::ERROR => Reply::Refused(reader.refusal()?),
        opcode::READY => Reply::Ready,
        opcode::SUPPORTED => Reply::Supported,
        opcode::RESULT => reader.result()?,
        other => bail!("an answer with opcode {other:#04x}"),
    };
    Ok((reply, warnings))
}

/// An event in words.
pub(super) fn event(frame: &Frame) -> Result<String> {
    ensure!(frame.opcode == opcode::EVENT, "an event with opcode {:#04x}", frame.opcode);
    let mut reader = Reader(&frame.body);
    let mut words = vec![reader.string()?, reader.string()?];
    if words[0] == "SCHEMA_CHANGE" {
        while !reader.0.is_empty() {
            words.push(reader.string()?);
        }
    } else {
        words.push(reader.inet()?.to_string());
    }
    ensure!(reader.0.is_empty(), "{} bytes after the event", reader.0.len());
    Ok(words.join(" "))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the answer is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn short(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn short_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.short()?;
        self.take(length.into())
    }

    fn string(&mut self) -> Result<String> {
        Ok(String::from_utf8(self.short_bytes()?.to_vec())?)
    }

    fn string_list(&mut self) -> Result<Vec<String>> {
        (0..self.short()?).map(|_| self.string()).collect()
    }

    fn inet(&mut self) -> Result<SocketAddr> {
        let [length] = self.take(1)? else { bail!("one byte is one byte") };
        let address: IpAddr = match self.take((*length).into())? {
            [a, b, c, d] => [*a, *b, *c, *d].into(),
            long => <[u8; 16]>::try_from(long)?.into(),
        };
        Ok(SocketAddr::new(address, u16::try_from(self.int()?)?))
    }

    fn cell(&mut self) -> Result<Option<Vec<u8>>> {
        let length = self.int()?;
        if length < 0 {
            return Ok(None);
        }
        Ok(Some(self.take(usize::try_from(length)?)?.to_vec()))
    }

    fn refusal(&mut self) -> Result<Refusal> {
        let code = self.int()?;
        let message = self.string()?;
        let has_counts = matches!(code, 0x1000 | 0x1100 | 0x1200 | 0x1300 | 0x1500);
        let counts = if has_counts {
            self.short()?; // The level.
            Some((self.int()?, self.int()?))
        } else {
            None
        };
        Ok(Refusal { code, message, counts })
    }

    fn result(&mut self) -> Result<Reply> {
        Ok(match self.int()? {
            1 => Reply::Void,
            2 => Reply::Rows(self.rows()?),
            3 => Reply::Keyspace(self.string()?),
            4 => Reply::Prepared(self.short_bytes()?.to_vec()),
            5 => Reply::SchemaChange,
            other => bail!("a result of kind {other}"),
        })
    }

    fn rows(&mut self) -> Result<Rows> {
        let flags = self.int()?;
        let width = usize::try_from(self.int()?)?;
        let paging_state = if flags & MORE_PAGES == 0 { None } else { self.cell()? };
        if flags & GLOBAL_TABLE != 0 {
            self.string()?;
            self.string()?;
        }
        let (mut columns, mut types) = (Vec::new(), Vec::new());
        for _ in 0..width {
            if flags & GLOBAL_TABLE == 0 {
                self.string()?;
                self.string()?;
            }
            columns.push(self.string()?);
            let mut found = Vec::new();
            self.column_type(&mut found)?;
            types.push(found);
        }
        let height = usize::try_from(self.int()?)?;
        let mut cells = Vec::new();
        for _ in 0..height {
            cells.push((0..width).map(|_| self.cell()).collect::<Result<_>>()?);
        }
        ensure!(self.0.is_empty(), "{} bytes after the rows", self.0.len());
        Ok(Rows { columns, types, cells, paging_state })
    }

    /// Reads a type and, of a collection, those of its elements.
    fn column_type(&mut self, found: &mut Vec<u16>) -> Result<()> {
        let kind = self.short()?;
        found.push(kind);
        match kind {
            0x00 => drop(self.string()?), // A custom type has a name.
            0x20 | 0x22 => self.column_type(found)?,
            0x21 => {
                self.column_type(found)?;
                self.column_type(found)?;
            }
            0x31 => {
                for _ in 0..self.short()? {
                    self.column_type(found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, flags: u8, body: &[u8]) -> Frame {
        Frame { version: 0x84, flags, stream: 1, opcode, body: body.to_vec() }
    }

    #[test]
    fn unavailable_is_read_with_its_counts() {
        let body = b"\0\0\x10\0\0\x02no\0\x04\0\0\0\x03\0\0\0\x02";
        let (reply, _) = read(&frame(opcode::ERROR, 0, body)).unwrap();
        let refusal = Refusal { code: 0x1000, message: "no".to_owned(), counts: Some((3, 2)) };
        assert_eq!(reply, Reply::Refused(refusal));
    }

    #[test]
    fn events_are_read_in_words() {
        let down = b"\0\x0dSTATUS_CHANGE\0\x04DOWN\x04\x7f\0\0\x01\0\0\x23\x52";
        let down = event(&frame(opcode::EVENT, 0, down)).unwrap();
        assert_eq!(down, "STATUS_CHANGE DOWN 127.0.0.1:9042");
        let new = b"\0\x0dSCHEMA_CHANGE\0\x07CREATED\0\x05TABLE\0\x01k\0\x01t";
        let new = event(&frame(opcode::EVENT, 0, new)).unwrap();
        assert_eq!(new, "SCHEMA_CHANGE CREATED TABLE k t");
    }

    #[test]
    fn rows_are_read_after_warnings() {
        let mut body = b"\0\x01\0\x04many".to_vec();
        body.extend(b"\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\x01k\0\x01t");
        body.extend(b"\0\x01a\0\x09\0\x01s\0\x22\0\x0d");
        body.extend(b"\0\0\0\x01\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff");
        let (reply, warnings) = read(&frame(opcode::RESULT, HAS_WARNINGS, &body)).unwrap();
        let Reply::Rows(rows) = reply else { panic!("{reply:?}") };
        assert_eq!(warnings, ["many"]);
        assert_eq!((rows.int(0, "a").unwrap(), rows.cell(0, "s").unwrap()), (7, None));
        assert!(rows.text_set(0, "s").unwrap().is_empty());
        assert_eq!(rows.types, [vec![0x09], vec![0x22, 0x0D]]);
        assert_eq!(rows.shown().unwrap(), ["7 | null"]);
    }

    #[test]
    fn a_body_cut_short_is_an_error() {
        assert!(read(&frame(opcode::ERROR, 0, b"\0\0\x20\0\0\x09no")).is_err());
    }
}
