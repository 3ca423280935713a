//! How many siblings a row may have: warned of at 25, refused above 100, never refused to resolve.

use anyhow::{Result, ensure};
use starling_tests::Client;

use super::{INVALID, insert, insert_after, look, set, three_nodes};

fn fill(client: &mut Client, key: i32, from: usize, to: usize) -> Result<()> {
    (from..to).try_for_each(|number| insert(client, key, &number.to_string()))
}

#[test]
fn the_25th_sibling_is_warned_of_and_the_101st_is_refused() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = three_nodes("limits")?;
    fill(&mut client, 1, 0, 24)?;
    ensure!(client.warnings().is_empty(), "{:?}", client.warnings());
    fill(&mut client, 1, 24, 25)?;
    let warnings = client.warnings();
    ensure!(warnings.len() == 1 && warnings[0].contains("25 siblings"), "{warnings:?}");

    fill(&mut client, 1, 25, 100)?;
    let phrase = "row has 100 siblings: read context(), then write USING CONTEXT";
    for statement in [
        "INSERT INTO app.t (k, v) VALUES (1, 'one too many')",
        "UPDATE app.t SET v = 'one too many' WHERE k = 1",
    ] {
        let refusal = other.refusal(statement)?;
        ensure!(refusal.code == INVALID && refusal.message.contains(phrase), "{refusal:?}");
    }
    assert_eq!(look(&mut other, 1)?.values.len(), 100);
    cluster.finish()
}

#[test]
fn a_full_row_is_resolved_and_deleted_like_any_other() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = three_nodes("full")?;
    fill(&mut client, 1, 0, 100)?;
    let context = look(&mut other, 1)?.context;
    insert_after(&mut other, 1, "resolved", &context)?;
    assert_eq!(look(&mut client, 1)?.values, set(["resolved"]));

    fill(&mut client, 2, 0, 100)?;
    other.run("DELETE FROM app.t WHERE k = 2")?;
    assert_eq!(look(&mut client, 2)?.values, set([]));
    cluster.finish()
}
