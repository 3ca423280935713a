//! RETURNING answers with the row's versions after the write.

use anyhow::{Context as _, Result};
use starling_tests::Client;
use starling_tests::cql::blob_literal;

use super::{column, look, set, three_nodes};

/// The context that a statement answers with, once per version.
fn context(client: &mut Client, statement: &str, versions: usize) -> Result<String> {
    let rows = client.rows(statement)?;
    assert_eq!(rows.count(), versions, "{statement}");
    let first = column(&rows, 0)?.into_iter().next().flatten();
    Ok(blob_literal(&first.context("the context is null")?))
}

#[test]
fn a_write_can_answer_with_the_row_as_it_left_it() -> Result<()> {
    let (cluster, [mut alice, mut bob, _]) = three_nodes("returning")?;
    let rows = alice.rows("INSERT INTO app.t (k, v) VALUES (1, 'a') RETURNING *")?;
    assert_eq!((rows.int(0, "k")?, rows.texts("v")?), (1, vec!["a".to_owned()]));

    let rows = bob.rows("INSERT INTO app.t (k, v) VALUES (1, 'b') RETURNING *")?;
    assert_eq!(rows.texts("v")?, ["b", "a"], "newest first");
    let rows = bob.rows("UPDATE app.t SET v = 'c' WHERE k = 1 RETURNING *")?;
    assert_eq!(rows.texts("v")?, ["c", "b", "a"]);
    cluster.finish()
}

#[test]
fn a_chain_of_returned_contexts_needs_no_reads() -> Result<()> {
    let (cluster, [mut alice, mut bob, _]) = three_nodes("chain")?;
    let mut seen =
        context(&mut alice, "INSERT INTO app.t (k, v) VALUES (1, '0') RETURNING context()", 1)?;
    for step in 1..20 {
        let statement = format!(
            "INSERT INTO app.t (k, v) VALUES (1, '{step}') USING CONTEXT {seen} RETURNING context()"
        );
        seen = context(if step % 2 == 0 { &mut alice } else { &mut bob }, &statement, 1)?;
    }
    assert_eq!(look(&mut alice, 1)?.values, set(["19"]));
    cluster.finish()
}

#[test]
fn a_row_without_living_versions_still_answers_one_row() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("nothing-left")?;
    client.run("INSERT INTO app.t (k, v) VALUES (1, 'a')")?;
    let rows = client.rows("DELETE FROM app.t WHERE k = 1 RETURNING *")?;
    assert_eq!((rows.count(), rows.int(0, "k")?, rows.cell(0, "v")?), (1, 1, None));

    let seen = context(&mut client, "DELETE FROM app.t WHERE k = 1 RETURNING context()", 1)?;
    client.run(&format!("INSERT INTO app.t (k, v) VALUES (1, 'b') USING CONTEXT {seen}"))?;
    assert_eq!(look(&mut client, 1)?.values, set(["b"]));

    let rows = client.rows("SELECT context(), sibling_count(), k, v FROM app.t WHERE k = 99")?;
    assert_eq!((rows.count(), rows.integer_at(0, 1)?, rows.int(0, "k")?), (1, 0, 99));
    assert_eq!(rows.cell(0, "v")?, None);
    cluster.finish()
}
