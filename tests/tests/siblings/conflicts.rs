//! How siblings come and go.

use anyhow::{Result, ensure};

use super::{insert, insert_after, look, set, three_nodes};

#[test]
fn writes_without_context_are_siblings_until_a_write_has_seen_them() -> Result<()> {
    let (cluster, [mut alice, mut bob, mut reader]) = three_nodes("conflict")?;
    insert(&mut alice, 1, "milk")?;
    insert(&mut bob, 1, "bread")?;
    let both = look(&mut reader, 1)?;
    assert_eq!(both.values, set(["bread", "milk"]));

    insert_after(&mut alice, 1, "milk and bread", &both.context)?;
    assert_eq!(look(&mut reader, 1)?.values, set(["milk and bread"]));

    insert_after(&mut bob, 1, "butter", &both.context)?;
    assert_eq!(look(&mut reader, 1)?.values, set(["butter", "milk and bread"]));
    cluster.finish()
}

#[test]
fn writes_of_equal_content_are_siblings_too() -> Result<()> {
    let (cluster, [mut alice, mut bob, mut reader]) = three_nodes("equal")?;
    insert(&mut alice, 1, "same")?;
    insert(&mut bob, 1, "same")?;
    let rows = reader.rows("SELECT v FROM app.t WHERE k = 1")?;
    assert_eq!(rows.texts("v")?, ["same", "same"]);
    cluster.finish()
}

/// Each of two clients writes with what it read last and reads again; they never wait for each
/// other, so each writes without having seen the other's last write.
#[test]
fn a_thousand_rounds_of_read_modify_write_never_grow_past_two_siblings() -> Result<()> {
    let (cluster, [mut alice, mut bob, _]) = three_nodes("rounds")?;
    insert(&mut alice, 1, "start")?;
    let mut contexts = [look(&mut alice, 1)?.context, look(&mut bob, 1)?.context];
    let mut most = 0;
    for round in 0..1_000 {
        for (client, context) in [&mut alice, &mut bob].into_iter().zip(&mut contexts) {
            let name = client.local_address()?.port();
            insert_after(client, 1, &format!("{name} {round}"), context)?;
            let seen = look(client, 1)?;
            ensure!(seen.values.len() <= 2, "round {round}: {:?}", seen.values);
            most = most.max(seen.values.len());
            *context = seen.context;
        }
    }
    assert_eq!(most, 2, "the clients did conflict");
    let last = look(&mut alice, 1)?;
    ensure!(last.values.iter().all(|value| value.ends_with(" 999")), "{:?}", last.values);
    cluster.finish()
}

/// Newest first, and every version of a row carries the same context.
#[test]
fn siblings_are_shown_newest_first() -> Result<()> {
    let (cluster, [mut client, ..]) = three_nodes("order")?;
    for value in ["first", "second", "third"] {
        insert(&mut client, 1, value)?;
    }
    let rows = client.rows("SELECT v, writetime(v) FROM app.t WHERE k = 1")?;
    assert_eq!(rows.texts("v")?, ["third", "second", "first"]);
    let times: Vec<_> = (0..3).map(|row| rows.integer_at(row, 1)).collect::<Result<_>>()?;
    ensure!(times.is_sorted_by(|later, earlier| later > earlier), "{times:?}");
    cluster.finish()
}
