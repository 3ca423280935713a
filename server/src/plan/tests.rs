//! Statements and schemas in, plans and refusals out.

mod batches;
mod cases;
mod cells;
mod lww;
mod pages;
mod reads;
mod refusals;
mod stretches;
mod walks;
mod writes;

use super::*;

#[test]
fn a_prepared_statement_has_its_id_for_ever() {
    let id = prepared_id(Some("app"), "SELECT v FROM t WHERE k = ?");
    assert_eq!(uuid::Uuid::from_bytes(id).simple().to_string(), GOLDEN_ID);
}

#[test]
fn ids_tell_keyspaces_and_texts_apart() {
    let ids = [
        prepared_id(None, "ab"),
        prepared_id(Some(""), "ab"),
        prepared_id(Some("a"), "b"),
        prepared_id(Some("ab"), ""),
        prepared_id(Some("b"), "a"),
        prepared_id(None, "ab "),
    ];
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "{at}");
    }
}

const GOLDEN_ID: &str = "92cdd713dea9a971afed4d3f7f1c178a";
