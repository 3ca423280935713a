//! The admin HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::metrics::render;
use super::status::AdminState;
use crate::clock::{Clock, SystemClock};
use crate::metadata::Change;
use crate::register::Keeper;

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
        .route("/api/seed/replace", post(replace_seed))
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

/// Which store takes the place of which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaceSeed {
    old: String,
    new: String,
}

async fn replace_seed(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Json(asked): Json<ReplaceSeed>,
) -> Response {
    if !from.ip().is_loopback() {
        let why = "changes are taken from loopback only\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let (Ok(old), Ok(new)) = (asked.old.parse(), asked.new.parse()) else {
        let why = "old and new are store ids of 32 hexadecimal digits\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let deadline = SystemClock.now() + CHANGE_WAIT;
    match state.proposals.propose(Change::ReplaceAcceptor { old, new }, deadline).await {
        Ok(_) => Json(state.status()).into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}
