//! Edge values of every type through drivers that nobody changed for us, there and back.
//!
//! Each value is written through a prepared statement and as a literal. What the driver reads back
//! must be what it wrote, and the bytes that the server sends must be those that the driver encodes.

mod scylla_driver;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use starling_tests::python::{self, Python};
use starling_tests::{Client, Cluster, Reply};

/// What stands behind CREATE TABLE, for each kind of table that there is.
const TABLES: &[&str] = &["", " WITH conflict = 'lww'"];

/// The bytes of the first cell of an answer.
fn cell(client: &mut Client, select: &str) -> Result<Option<Vec<u8>>> {
    match client.query(select)? {
        Reply::Rows(rows) => {
            ensure!(rows.count() == 1, "{select} has {} rows", rows.count());
            Ok(rows.cells[0][0].clone())
        }
        reply => anyhow::bail!("{select}: {reply:?}"),
    }
}

/// The bytes that two hexadecimal digits each stand for.
fn unhex(digits: &str) -> Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

/// The first bytes, for a message that people read.
fn shown(bytes: Option<&[u8]>) -> String {
    bytes.map_or("null".to_owned(), |bytes| {
        format!("{:02x?} ({} bytes)", &bytes[..bytes.len().min(40)], bytes.len())
    })
}

#[test]
fn the_python_driver_reads_back_every_type_as_it_encodes_it() -> Result<()> {
    let driver = Python::with(python::DRIVER)?;
    TABLES.iter().try_for_each(|options| python_reads_back(&driver, options))
}

fn python_reads_back(driver: &Python, options: &str) -> Result<()> {
    let cluster = Cluster::builder("types_python").nodes(1).seeds(0).start()?;
    let arguments = [cluster.addresses()[0].to_string(), options.to_owned()];
    let found = driver.run("values.py", &arguments, Duration::from_mins(4))?;
    let values = found["values"].as_array().context("values")?;
    ensure!(values.len() > 200, "only {} values", values.len());
    let mut client = cluster.nodes()[0].client()?;
    for value in values {
        let (column, key) = (value[0].as_str().context("a column")?, &value[1]);
        let theirs = match &value[2] {
            Value::Null => None,
            digits => Some(unhex(digits.as_str().context("digits")?)?),
        };
        let ours =
            cell(&mut client, &format!("SELECT {column} FROM python.things WHERE k = {key}"))?;
        let (sent, encoded) = (shown(ours.as_deref()), shown(theirs.as_deref()));
        ensure!(ours == theirs, "{column} of {key}: sent {sent}, the driver encodes {encoded}");
    }
    cluster.finish()
}
