//! Pages, limits and siblings.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use starling_tests::cql::Ask;
use starling_tests::{Client, Cluster, Consistency};

use super::three_nodes;

const ROWS: i32 = 20;
const VERSIONS: usize = 3;

fn lines(name: &str) -> Result<(Cluster, [Client; 3])> {
    let (cluster, mut clients) = three_nodes(name)?;
    cluster.define(&["CREATE TABLE app.lines (p int, c int, v text, PRIMARY KEY (p, c))"])?;
    for c in 0..ROWS {
        for client in &mut clients {
            client.run(&format!("INSERT INTO app.lines (p, c, v) VALUES (1, {c}, 'x')"))?;
        }
    }
    Ok((cluster, clients))
}

/// Each page is asked of another node: a paging state is good everywhere.
#[test]
fn versions_of_one_row_are_never_split_between_two_pages() -> Result<()> {
    let (cluster, mut clients) = lines("pages")?;
    for page_rows in [1, 2, 4, 7, 100] {
        let mut pages: Vec<BTreeMap<i32, usize>> = Vec::new();
        let mut state: Option<Vec<u8>> = None;
        loop {
            let client = &mut clients[pages.len() % 3];
            let ask = Ask {
                level: Consistency::Quorum,
                page_rows: Some(page_rows),
                paging_state: state.as_deref(),
            };
            let rows = client.rows_asked("SELECT c FROM app.lines WHERE p = 1", &ask)?;
            let mut page = BTreeMap::new();
            for row in 0..rows.count() {
                *page.entry(rows.int(row, "c")?).or_default() += 1;
            }
            pages.push(page);
            ensure!(pages.len() <= 100, "pages without end");
            state = rows.paging_state;
            if state.is_none() {
                break;
            }
        }
        let seen: Vec<_> = pages.iter().flatten().map(|(c, count)| (*c, *count)).collect();
        let wanted: Vec<_> = (0..ROWS).map(|c| (c, VERSIONS)).collect();
        assert_eq!(seen, wanted, "pages of {page_rows}: {pages:?}");
    }
    cluster.finish()
}

#[test]
fn a_limit_counts_versions() -> Result<()> {
    let (cluster, [mut client, ..]) = lines("limit")?;
    for limit in [1, 3, 5, 60, 100] {
        let rows = client.rows(&format!("SELECT c FROM app.lines WHERE p = 1 LIMIT {limit}"))?;
        assert_eq!(rows.count(), limit.min(60));
    }
    cluster.finish()
}

#[test]
fn a_paging_state_that_was_changed_is_refused() -> Result<()> {
    let (cluster, [mut client, ..]) = lines("paging-state")?;
    let statement = "SELECT c FROM app.lines WHERE p = 1";
    let first = Ask { page_rows: Some(5), ..Ask::at(Consistency::Quorum) };
    let state = client.rows_asked(statement, &first)?.paging_state.unwrap_or_default();
    ensure!(!state.is_empty(), "there is a second page");
    for at in 0..state.len() {
        let mut flipped = state.clone();
        flipped[at] ^= 1 << (at % 8);
        let ask = Ask { paging_state: Some(&flipped), ..first };
        let reply = client.ask(statement, &ask)?;
        let starling_tests::Reply::Refused(refusal) = reply else {
            anyhow::bail!("byte {at} flipped: {reply:?}")
        };
        ensure!(matches!(refusal.code, 0x000A | 0x2200), "{refusal:?}");
    }
    cluster.finish()
}
