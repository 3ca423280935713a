//! What the columns of a result are called and hold.
//!
//! [`Columns`] is encoded once per statement and copied into every reply after that. Callers: the
//! planner makes it, [`crate::ReplyWriter`] sends it with prepared statements and rows. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use types::CqlType;

use crate::notation::put_string;

/// One column of a result, or one marker of a prepared statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSpec<'a> {
    /// The keyspace of its table.
    pub keyspace: &'a str,
    /// Its table.
    pub table: &'a str,
    /// Its name; for a result, as the statement calls it.
    pub name: &'a str,
    /// What it holds.
    pub ty: &'a CqlType,
}

/// The columns of a result or the markers of a statement, encoded. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    count: usize,
    is_of_one_table: bool,
    specs: Bytes,
}

impl Columns {
    /// Encodes `columns`, in this order; a table that all of them share is named only once.
    pub fn new(columns: &[ColumnSpec<'_>]) -> Self {
        let Some(first) = columns.first() else {
            return Self::default();
        };
        let is_of_one_table = columns
            .iter()
            .all(|column| column.keyspace == first.keyspace && column.table == first.table);
        let mut specs = BytesMut::new();
        if is_of_one_table {
            put_table(&mut specs, first);
        }
        for column in columns {
            if !is_of_one_table {
                put_table(&mut specs, column);
            }
            put_string(&mut specs, column.name);
            put_type(&mut specs, column.ty);
        }
        Self { count: columns.len(), is_of_one_table, specs: specs.freeze() }
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the table stands before the columns instead of in each of them.
    pub(crate) fn is_of_one_table(&self) -> bool {
        self.is_of_one_table
    }

    /// The table, if shared, and the columns as the protocol wants them.
    pub(crate) fn specs(&self) -> &[u8] {
        &self.specs
    }
}

fn put_table(out: &mut BytesMut, column: &ColumnSpec<'_>) {
    put_string(out, column.keyspace);
    put_string(out, column.table);
}

/// Appends an `[option]` that names a type (native protocol v4, §4.2.5.2).
fn put_type(out: &mut BytesMut, ty: &CqlType) {
    match ty {
        CqlType::Ascii => out.put_u16(0x01),
        CqlType::Bigint => out.put_u16(0x02),
        CqlType::Blob => out.put_u16(0x03),
        CqlType::Boolean => out.put_u16(0x04),
        CqlType::Double => out.put_u16(0x07),
        CqlType::Float => out.put_u16(0x08),
        CqlType::Int => out.put_u16(0x09),
        CqlType::Timestamp => out.put_u16(0x0B),
        CqlType::Uuid => out.put_u16(0x0C),
        CqlType::Text => out.put_u16(0x0D),
        CqlType::Timeuuid => out.put_u16(0x0F),
        CqlType::Inet => out.put_u16(0x10),
        CqlType::List(of) => {
            out.put_u16(0x20);
            put_type(out, of);
        }
        CqlType::Map(key, value) => {
            out.put_u16(0x21);
            put_type(out, key);
            put_type(out, value);
        }
        CqlType::Set(of) => {
            out.put_u16(0x22);
            put_type(out, of);
        }
        CqlType::Frozen(inner) => put_type(out, inner),
        CqlType::Decimal => out.put_u16(0x06),
        CqlType::Varint => out.put_u16(0x0E),
        CqlType::Date => out.put_u16(0x11),
        CqlType::Time => out.put_u16(0x12),
        CqlType::Smallint => out.put_u16(0x13),
        CqlType::Tinyint => out.put_u16(0x14),
        // A number of v5, but clients know it in v4 too.
        CqlType::Duration => out.put_u16(0x15),
        CqlType::Tuple(of) => {
            out.put_u16(0x31);
            let count = u16::try_from(of.len()).expect("a tuple has at most 1 024 fields");
            out.put_u16(count);
            for of in of {
                put_type(out, of);
            }
        }
    }
}
