//! Collections whose elements are cells.

use anyhow::{Result, ensure};

use super::{INVALID, assert_shown, shown, three_nodes};

const BAGS: &str =
    "CREATE TABLE app.bags (k int PRIMARY KEY, s set<text>, m map<text, int>, l list<text>)";

#[test]
fn elements_that_two_writers_add_are_both_there() -> Result<()> {
    let (cluster, mut clients) = three_nodes("bags", &[BAGS])?;
    clients[0].run("INSERT INTO app.bags (k, s, m, l) VALUES (1, {'a'}, {'x': 1}, ['p'])")?;
    for statement in [
        "UPDATE app.bags SET s = s + {'c'}, m = m + {'z': 26}, l = l + ['q'] WHERE k = 1",
        "UPDATE app.bags SET s = s + {'b'}, m['y'] = 25, l = ['o'] + l WHERE k = 1",
        "UPDATE app.bags SET s = s - {'a'}, m = m - {'x'} WHERE k = 1",
    ]
    .into_iter()
    .zip(&mut clients)
    .map(|(statement, client)| client.run(statement))
    {
        statement?;
    }
    for client in &mut clients {
        let rows = client.rows("SELECT s, l FROM app.bags WHERE k = 1")?;
        assert_eq!(rows.text_set(0, "s")?, ["b", "c"]);
        assert_eq!(rows.text_set(0, "l")?, ["o", "p", "q"], "a list is shown as one");
        let rows = client.rows("SELECT m FROM app.bags WHERE k = 1")?;
        let wanted = b"\0\0\0\x02\0\0\0\x01y\0\0\0\x04\0\0\0\x19\0\0\0\x01z\0\0\0\x04\0\0\0\x1a";
        assert_eq!(rows.bytes(0, "m")?, wanted);
    }
    cluster.finish()
}

#[test]
fn an_overwrite_takes_away_what_was_there_before_it_and_nothing_after() -> Result<()> {
    let (cluster, mut clients) = three_nodes("overwrite", &[BAGS])?;
    let writes = [
        "UPDATE app.bags USING TIMESTAMP 10 SET s = s + {'early'} WHERE k = K",
        "UPDATE app.bags USING TIMESTAMP 20 SET s = {'over'} WHERE k = K",
        "UPDATE app.bags USING TIMESTAMP 30 SET s = s + {'late'} WHERE k = K",
    ];
    for (key, order) in [(1, [0, 1, 2]), (2, [2, 1, 0]), (3, [1, 2, 0])] {
        for (client, write) in clients.iter_mut().zip(order) {
            client.run(&writes[write].replace('K', &key.to_string()))?;
        }
        for client in &mut clients {
            let rows = client.rows(&format!("SELECT s FROM app.bags WHERE k = {key}"))?;
            assert_eq!(rows.text_set(0, "s")?, ["late", "over"]);
        }
    }
    clients[0].run("DELETE s FROM app.bags WHERE k = 1")?;
    assert_shown(&mut clients, "SELECT s FROM app.bags WHERE k = 1", &[])?;
    cluster.finish()
}

#[test]
fn places_of_a_list_are_those_that_a_read_shows() -> Result<()> {
    let (cluster, [mut client, mut other, _]) = three_nodes("lists", &[BAGS])?;
    client.run("UPDATE app.bags SET l = ['a', 'b', 'c', 'b'] WHERE k = 1")?;
    let list = "SELECT l FROM app.bags WHERE k = 1";
    other.run("UPDATE app.bags SET l[1] = 'x' WHERE k = 1")?;
    assert_eq!(client.rows(list)?.text_set(0, "l")?, ["a", "x", "c", "b"]);
    client.run("DELETE l[0] FROM app.bags WHERE k = 1")?;
    assert_eq!(other.rows(list)?.text_set(0, "l")?, ["x", "c", "b"]);
    other.run("UPDATE app.bags SET l = l - ['c', 'b'] WHERE k = 1")?;
    assert_eq!(client.rows(list)?.text_set(0, "l")?, ["x"]);
    let refusal = client.refusal("UPDATE app.bags SET l[1] = 'y' WHERE k = 1")?;
    ensure!(refusal.code == INVALID && refusal.message.contains("out of bound"), "{refusal:?}");
    client.run("UPDATE app.bags SET l = [] WHERE k = 1")?;
    ensure!(shown(&mut other, list)?.is_empty(), "an empty list is none");
    cluster.finish()
}
