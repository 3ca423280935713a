//! UPDATE: a new version out of its base and the columns that the statement sets.

use std::time::Duration;

use anyhow::{Result, ensure};
use starling_tests::cluster::settle;
use starling_tests::cql::blob_literal;
use starling_tests::{Client, Cluster};

use super::{INVALID, column, three_nodes};

fn wide(name: &str) -> Result<(Cluster, [Client; 3])> {
    let (cluster, clients) = three_nodes(name)?;
    cluster.define(&["CREATE TABLE app.wide (k int PRIMARY KEY, a text, b text)"])?;
    Ok((cluster, clients))
}

fn insert(client: &mut Client, a: &str, b: &str) -> Result<()> {
    client.run(&format!("INSERT INTO app.wide (k, a, b) VALUES (1, '{a}', '{b}')"))
}

/// The context of row 1, and `a` and `b` of its versions, newest first.
fn look(client: &mut Client) -> Result<(String, Vec<(String, String)>)> {
    let rows = client.rows("SELECT context(), a, b FROM app.wide WHERE k = 1")?;
    let context = column(&rows, 0)?.into_iter().next().flatten().unwrap_or_default();
    let text = |row, name| -> Result<String> {
        let cell = rows.cell(row, name)?.unwrap_or(b"-");
        Ok(String::from_utf8(cell.to_vec())?)
    };
    let versions = (0..rows.count()).map(|row| Ok((text(row, "a")?, text(row, "b")?)));
    Ok((blob_literal(&context), versions.collect::<Result<_>>()?))
}

fn version(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn an_update_with_a_context_replaces_its_base_and_keeps_the_other_columns() -> Result<()> {
    let (cluster, [mut client, ..]) = wide("base")?;
    insert(&mut client, "a1", "b1")?;
    let (context, _) = look(&mut client)?;
    client.run(&format!("UPDATE app.wide USING CONTEXT {context} SET a = 'a2' WHERE k = 1"))?;
    assert_eq!(look(&mut client)?.1, [version("a2", "b1")]);

    let (context, _) = look(&mut client)?;
    client.run(&format!("DELETE a FROM app.wide USING CONTEXT {context} WHERE k = 1"))?;
    assert_eq!(look(&mut client)?.1, [version("-", "b1")]);
    cluster.finish()
}

#[test]
fn columns_on_which_the_bases_differ_must_be_set() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = wide("differ")?;
    insert(&mut client, "a1", "b1")?;
    insert(&mut other, "a2", "b2")?;
    let (context, both) = look(&mut client)?;
    assert_eq!(both.len(), 2);
    let refusal = client
        .refusal(&format!("UPDATE app.wide USING CONTEXT {context} SET a = 'a3' WHERE k = 1"))?;
    ensure!(refusal.code == INVALID, "{refusal:?}");
    let named: Vec<_> = refusal.message.split(|it: char| !it.is_alphanumeric()).collect();
    ensure!(named.contains(&"b"), "the column to set is named: {refusal:?}");
    assert_eq!(look(&mut client)?.1.len(), 2, "nothing happened");

    client.run(&format!(
        "UPDATE app.wide USING CONTEXT {context} SET a = 'a3', b = 'b3' WHERE k = 1"
    ))?;
    assert_eq!(look(&mut client)?.1, [version("a3", "b3")]);
    cluster.finish()
}

#[test]
fn columns_on_which_the_bases_agree_are_kept() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = wide("agree")?;
    insert(&mut client, "a1", "same")?;
    insert(&mut other, "a2", "same")?;
    let (context, _) = look(&mut client)?;
    client.run(&format!("UPDATE app.wide USING CONTEXT {context} SET a = 'a3' WHERE k = 1"))?;
    assert_eq!(look(&mut client)?.1, [version("a3", "same")]);
    cluster.finish()
}

#[test]
fn an_update_without_a_context_is_a_sibling_of_its_base() -> Result<()> {
    let (cluster, [mut client, ..]) = wide("blind")?;
    client.run("UPDATE app.wide SET a = 'a1' WHERE k = 1")?;
    assert_eq!(look(&mut client)?.1, [version("a1", "-")], "an empty row is its base");
    client.run("UPDATE app.wide SET b = 'b2' WHERE k = 1")?;
    assert_eq!(look(&mut client)?.1, [version("a1", "b2"), version("a1", "-")]);
    cluster.finish()
}

/// Where all that the context covers was replaced since, the newest version is the base.
#[test]
fn an_update_with_an_overtaken_context_is_a_sibling_of_the_newest() -> Result<()> {
    let (cluster, [mut client, ..]) = wide("overtaken")?;
    insert(&mut client, "a1", "b1")?;
    let (old, _) = look(&mut client)?;
    client.run(&format!("UPDATE app.wide USING CONTEXT {old} SET b = 'b2' WHERE k = 1"))?;
    client.run(&format!("UPDATE app.wide USING CONTEXT {old} SET a = 'a3' WHERE k = 1"))?;
    assert_eq!(look(&mut client)?.1, [version("a3", "b2"), version("a1", "b2")]);
    cluster.finish()
}

#[test]
fn a_ttl_is_for_the_columns_that_the_statement_sets() -> Result<()> {
    let (cluster, [mut client, ..]) = wide("ttl")?;
    insert(&mut client, "a1", "b1")?;
    let (context, _) = look(&mut client)?;
    client.run(&format!(
        "UPDATE app.wide USING CONTEXT {context} AND TTL 2 SET a = 'a2' WHERE k = 1"
    ))?;
    assert_eq!(look(&mut client)?.1, [version("a2", "b1")]);
    std::thread::sleep(Duration::from_secs(2));
    settle("the column to expire", || {
        let (_, versions) = look(&mut client)?;
        ensure!(versions == [version("-", "b1")], "{versions:?}");
        Ok(())
    })?;
    cluster.finish()
}
