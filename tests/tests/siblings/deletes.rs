//! Removal: what the context covers goes, what it does not cover stays.

use anyhow::Result;

use super::{insert, insert_after, look, set, three_nodes};

#[test]
fn a_delete_with_a_context_removes_what_the_context_covers() -> Result<()> {
    let (cluster, [mut alice, mut bob, mut reader]) = three_nodes("delete")?;
    insert(&mut alice, 1, "seen")?;
    let context = look(&mut reader, 1)?.context;
    insert(&mut bob, 1, "not seen")?;
    alice.run(&format!("DELETE FROM app.t USING CONTEXT {context} WHERE k = 1"))?;
    assert_eq!(look(&mut reader, 1)?.values, set(["not seen"]));

    let context = look(&mut reader, 1)?.context;
    alice.run(&format!("DELETE FROM app.t USING CONTEXT {context} WHERE k = 1"))?;
    assert_eq!(look(&mut reader, 1)?.values, set([]));
    assert_eq!(reader.rows("SELECT v FROM app.t WHERE k = 1")?.count(), 0);
    cluster.finish()
}

#[test]
fn a_delete_without_a_context_reads_first_and_removes_what_it_read() -> Result<()> {
    let (cluster, [mut alice, mut bob, mut reader]) = three_nodes("blind-delete")?;
    insert(&mut alice, 1, "a")?;
    insert(&mut bob, 1, "b")?;
    reader.run("DELETE FROM app.t WHERE k = 1")?;
    assert_eq!(look(&mut alice, 1)?.values, set([]));
    cluster.finish()
}

#[test]
fn a_deleted_row_can_be_made_again_and_old_contexts_do_not_touch_it() -> Result<()> {
    let (cluster, [mut alice, mut bob, mut reader]) = three_nodes("again")?;
    insert(&mut alice, 1, "first life")?;
    let old = look(&mut bob, 1)?.context;
    alice.run(&format!("DELETE FROM app.t USING CONTEXT {old} WHERE k = 1"))?;
    let removed = look(&mut bob, 1)?;
    assert_eq!(removed.values, set([]));

    insert(&mut bob, 1, "second life")?;
    assert_eq!(look(&mut reader, 1)?.values, set(["second life"]));
    for stale in [&old, &removed.context] {
        alice.run(&format!("DELETE FROM app.t USING CONTEXT {stale} WHERE k = 1"))?;
        assert_eq!(look(&mut reader, 1)?.values, set(["second life"]));
    }
    insert_after(&mut alice, 1, "from the first", &old)?;
    assert_eq!(look(&mut reader, 1)?.values, set(["from the first", "second life"]));
    cluster.finish()
}

#[test]
fn a_write_with_the_context_of_a_removal_replaces_nothing_and_lives_alone() -> Result<()> {
    let (cluster, [mut alice, mut bob, _]) = three_nodes("tombstone")?;
    insert(&mut alice, 1, "a")?;
    alice.run("DELETE FROM app.t WHERE k = 1")?;
    let context = look(&mut bob, 1)?.context;
    insert_after(&mut bob, 1, "b", &context)?;
    assert_eq!(look(&mut alice, 1)?.values, set(["b"]));
    cluster.finish()
}

/// A partition is removed row by row, each row with its own context.
#[test]
fn a_delete_of_a_partition_removes_its_rows_and_no_others() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = three_nodes("partition")?;
    cluster.define(&["CREATE TABLE app.lines (p int, c int, v text, PRIMARY KEY (p, c))"])?;
    for p in [1, 2] {
        for c in 0..10 {
            let insert = format!("INSERT INTO app.lines (p, c, v) VALUES ({p}, {c}, 'x')");
            client.run(&insert)?;
            other.run(&insert)?;
        }
    }
    client.run("DELETE FROM app.lines WHERE p = 1 AND c >= 5")?;
    assert_eq!(other.rows("SELECT c FROM app.lines WHERE p = 1")?.count(), 10, "5 rows, twice");
    client.run("DELETE FROM app.lines WHERE p = 1")?;
    assert_eq!(other.rows("SELECT c FROM app.lines WHERE p = 1")?.count(), 0);
    assert_eq!(other.rows("SELECT c FROM app.lines WHERE p = 2")?.count(), 20);
    cluster.finish()
}
