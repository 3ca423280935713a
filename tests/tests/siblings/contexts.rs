//! A context is opaque: whole and from this row of this cluster, or refused.

use anyhow::{Context as _, Result, ensure};
use starling_tests::cql::blob_literal;
use starling_tests::{Client, Cluster, Consistency};

use super::{INVALID, column, insert, look, set, three_nodes, three_nodes_with};

/// The context of a row as bytes.
fn context_bytes(client: &mut Client, table: &str, key: i32) -> Result<Vec<u8>> {
    let rows = client.rows(&format!("SELECT context(), v FROM app.{table} WHERE k = {key}"))?;
    column(&rows, 0)?.into_iter().next().flatten().context("no context")
}

/// Every statement that takes a context refuses this one.
fn assert_refused(client: &mut Client, what: &str, context: &[u8]) -> Result<()> {
    let context = blob_literal(context);
    for statement in [
        format!("INSERT INTO app.t (k, v) VALUES (1, 'forged') USING CONTEXT {context}"),
        format!("UPDATE app.t USING CONTEXT {context} SET v = 'forged' WHERE k = 1"),
        format!("DELETE FROM app.t USING CONTEXT {context} WHERE k = 1"),
        format!("SELECT v FROM app.t WHERE k = 1 USING CONTEXT {context}"),
    ] {
        let refusal = client.refusal(&statement).with_context(|| what.to_owned())?;
        ensure!(refusal.code == INVALID, "{what}: {refusal:?}");
        ensure!(refusal.message.contains("context"), "{what}: {refusal:?}");
    }
    Ok(())
}

#[test]
fn a_context_that_was_changed_is_refused() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = three_nodes("forged")?;
    insert(&mut client, 1, "a")?;
    insert(&mut other, 1, "b")?;
    let whole = context_bytes(&mut client, "t", 1)?;
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_refused(&mut client, &format!("bit of byte {at} flipped"), &flipped)?;
    }
    for length in 1..whole.len() {
        assert_refused(&mut client, &format!("cut to {length} bytes"), &whole[..length])?;
    }
    assert_refused(&mut client, "one byte longer", &[whole.as_slice(), &[0]].concat())?;
    assert_refused(&mut client, "made up", b"let me in")?;
    assert_eq!(look(&mut other, 1)?.values, set(["a", "b"]), "nothing happened");
    cluster.finish()
}

#[test]
fn a_context_of_another_row_table_or_cluster_is_refused() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("foreign")?;
    cluster.define(&["CREATE TABLE app.u (k int PRIMARY KEY, v text)"])?;
    insert(&mut client, 1, "here")?;
    insert(&mut client, 2, "another row")?;
    client.run("INSERT INTO app.u (k, v) VALUES (1, 'another table')")?;
    for (what, table, key) in [("another row", "t", 2), ("another table", "u", 1)] {
        let foreign = context_bytes(&mut client, table, key)?;
        assert_refused(&mut client, what, &foreign)?;
    }
    let (abroad, [mut foreigner, ..]) = three_nodes("abroad")?;
    insert(&mut foreigner, 1, "another cluster")?;
    let foreign = context_bytes(&mut foreigner, "t", 1)?;
    abroad.finish()?;
    assert_refused(&mut client, "another cluster", &foreign)?;
    assert_eq!(look(&mut client, 1)?.values, set(["here"]), "nothing happened");
    cluster.finish()
}

/// Contexts are good for half of `gc.age`.
#[test]
fn an_old_context_is_refused_by_name() -> Result<()> {
    let builder = Cluster::builder("expired").set("gc.age=4s");
    let (cluster, [mut client, ..]) = three_nodes_with(builder)?;
    insert(&mut client, 1, "a")?;
    let context = look(&mut client, 1)?.context;
    std::thread::sleep(std::time::Duration::from_secs(3));
    let refusal = client
        .refusal(&format!("INSERT INTO app.t (k, v) VALUES (1, 'b') USING CONTEXT {context}"))?;
    assert_eq!(refusal.code, INVALID);
    let phrase = "expired context: read the row again";
    ensure!(refusal.message.contains(phrase), "{refusal:?}");
    cluster.finish()
}

/// At ONE, where a read may meet a replica that has not heard of the write yet.
#[test]
fn a_read_with_a_context_includes_what_the_context_names() -> Result<()> {
    let (cluster, [mut writer, _, mut reader]) = three_nodes("causal")?;
    for key in 0..200 {
        let insert = format!("INSERT INTO app.t (k, v) VALUES ({key}, 'mine') RETURNING context()");
        let written = writer.rows_at(&insert, Consistency::One)?;
        let context = column(&written, 0)?.into_iter().next().flatten().context("no context")?;
        let context = blob_literal(&context);
        let select = format!("SELECT v FROM app.t WHERE k = {key} USING CONTEXT {context}");
        let read = reader.rows_at(&select, Consistency::One)?;
        assert_eq!(read.texts("v")?, ["mine"], "row {key}");
    }
    cluster.finish()
}
