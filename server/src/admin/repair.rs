//! Comparing replicas: asking for a round, watching it, and what each replica holds.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ring::Token;
use serde::Deserialize;
use serde_json::json;

use super::http::refuse_stranger;
use super::status::AdminState;
use crate::store::engine::{Batch, Durability, EngineError, Family, Order};
use crate::store::keys::{PartitionPrefix, TableLife};
use crate::upkeep::anti_entropy::{RoundRefusal, RoundRequest};

/// What this file answers.
pub(super) fn routes(state: &AdminState) -> Router<AdminState> {
    let routes =
        Router::new().route("/api/repair", get(show).post(ask)).route("/api/digests", get(digests));
    if state.forgets { routes.route("/api/testing/forget", post(forget)) } else { routes }
}

async fn show(State(state): State<AdminState>) -> Response {
    let all = &state.anti_entropy;
    Json(json!({ "round": all.last_round(), "exchanges": all.exchanges() })).into_response()
}

async fn digests(State(state): State<AdminState>) -> Response {
    Json(json!({ "tables": state.anti_entropy.roots().await })).into_response()
}

async fn ask(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(request): Json<RoundRequest>,
) -> Response {
    if let Some(refusal) = refuse_stranger(from) {
        return refusal;
    }
    match state.anti_entropy.ask_round(request) {
        Ok(round) => Json(json!({ "round": round })).into_response(),
        Err(refusal) => {
            let status = match refusal {
                RoundRefusal::NoTable { .. } => StatusCode::NOT_FOUND,
                RoundRefusal::Busy | RoundRefusal::Fenced => StatusCode::CONFLICT,
            };
            (status, format!("{refusal}\n")).into_response()
        }
    }
}

/// Which partitions of a table a test removes behind the node's back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forget {
    keyspace: String,
    table: String,
    /// Serialized partition keys, in hexadecimal digits.
    keys: Vec<String>,
    /// How many rows of each; the first ones.
    rows_each: usize,
}

async fn forget(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(asked): Json<Forget>,
) -> Response {
    if let Some(refusal) = refuse_stranger(from) {
        return refusal;
    }
    let snapshot = state.cluster.snapshot();
    let table = snapshot.as_ref().and_then(|it| it.table(&asked.keyspace, &asked.table));
    let keys: Option<Vec<_>> = asked.keys.iter().map(|digits| from_hex(digits)).collect();
    let (Some(table), Some(keys)) = (table, keys) else {
        return (StatusCode::BAD_REQUEST, "no such table, or no keys\n").into_response();
    };
    let life = TableLife { table: table.id.0, epoch: table.epoch };
    match remove(&state, life, &keys, asked.rows_each) {
        Ok(rows) => Json(json!({ "rows": rows })).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Takes partitions out of the engine itself, past the commit loop and its marks.
fn remove(
    state: &AdminState,
    life: TableLife,
    keys: &[Vec<u8>],
    rows_each: usize,
) -> Result<usize, EngineError> {
    let mut batch = Batch::default();
    for key in keys {
        let range = PartitionPrefix::new(life, Token::of_key(key), key).range();
        for (row, _) in state.engine.rows(Family::Rows, &range, Order::Forward, rows_each)? {
            batch.delete(Family::Rows, row);
        }
    }
    state.engine.commit(&batch, Durability::Synced)?;
    Ok(batch.len())
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}
