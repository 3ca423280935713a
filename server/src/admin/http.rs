//! The admin HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ring::StoreId;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::metrics::render;
use super::status::AdminState;
use crate::clock::{Clock, SystemClock};
use crate::metadata::Change;
use crate::register::{Keeper, ProposeFailure, Proposed};

/// How long a change of the acceptors may take.
const CHANGE_WAIT: Duration = Duration::from_secs(10);

/// Serves the admin port until the task is dropped.
pub async fn serve(listener: TcpListener, state: AdminState) -> std::io::Result<()> {
    let router = Router::new()
        .route("/live", get(async || "alive\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/status", get(async |State(state): State<AdminState>| Json(state.status())))
        .route("/api/ring", get(ring))
        .route("/api/epochs", get(epochs))
        .route("/api/hints", get(hints))
        .route("/api/seed/replace", post(replace_seed))
        .route("/api/seed/reform", post(reform_seeds))
        .merge(super::repair::routes(&state))
        .with_state(state);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn ready(State(state): State<AdminState>) -> Response {
    if let Some(why) = state.unready_because() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    }
    let snapshot = state.cluster.snapshot();
    match state.remark(snapshot.as_deref()) {
        Some(remark) => format!("ready: {remark}\n").into_response(),
        None => "ready\n".into_response(),
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    let kind = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (kind, render(&state)).into_response()
}

async fn ring(State(state): State<AdminState>) -> Response {
    Json(json!({ "partitions": state.ring() })).into_response()
}

async fn epochs(State(state): State<AdminState>) -> Response {
    match Keeper::history(state.engine.as_ref()) {
        Ok(records) => Json(json!({ "epochs": records })).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn hints(State(state): State<AdminState>) -> Response {
    match state.hints() {
        Ok(hints) => Json(hints).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Which store takes the place of which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaceSeed {
    old: String,
    new: String,
}

/// Who agrees on the metadata from now on, by force.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReformSeeds {
    stores: Vec<String>,
}

async fn replace_seed(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(asked): Json<ReplaceSeed>,
) -> Response {
    if let Some(refusal) = refuse_stranger(from) {
        return refusal;
    }
    let (Ok(old), Ok(new)) = (asked.old.parse(), asked.new.parse()) else {
        return malformed();
    };
    let deadline = SystemClock.now() + CHANGE_WAIT;
    changed(&state, state.proposals.propose(Change::ReplaceAcceptor { old, new }, deadline).await)
}

async fn reform_seeds(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(asked): Json<ReformSeeds>,
) -> Response {
    if let Some(refusal) = refuse_stranger(from) {
        return refusal;
    }
    let stores: Result<Vec<StoreId>, _> = asked.stores.iter().map(|store| store.parse()).collect();
    let Ok(stores) = stores else {
        return malformed();
    };
    tracing::warn!(?stores, "an operator forces a new generation of the metadata");
    let deadline = SystemClock.now() + CHANGE_WAIT;
    changed(&state, state.proposals.reform(&stores, deadline).await)
}

/// Changes are taken from this machine only.
pub(super) fn refuse_stranger(from: SocketAddr) -> Option<Response> {
    let is_local = from.ip().to_canonical().is_loopback();
    let why = "changes are taken from loopback only\n";
    (!is_local).then(|| (StatusCode::FORBIDDEN, why).into_response())
}

fn malformed() -> Response {
    let why = "a store id has 32 hexadecimal digits\n";
    (StatusCode::BAD_REQUEST, why).into_response()
}

fn changed(state: &AdminState, outcome: Result<Proposed, ProposeFailure>) -> Response {
    match outcome {
        Ok(_) => Json(state.status()).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_taken_from_loopback_in_every_spelling_and_from_nowhere_else() {
        for local in ["127.0.0.1:9", "127.3.2.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
            assert!(refuse_stranger(local.parse().unwrap()).is_none(), "{local}");
        }
        for strange in ["10.0.0.1:9", "[::ffff:10.0.0.1]:9", "[fe80::1]:9", "0.0.0.0:9"] {
            assert!(refuse_stranger(strange.parse().unwrap()).is_some(), "{strange}");
        }
    }
}
