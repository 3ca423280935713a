//! A session with a cluster: statements in, answers out, page by page.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session as Theirs;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ExecutionError, RequestAttemptError, RequestError};
use scylla::observability::history::{AttemptId, HistoryListener, RequestId, SpeculativeId};
use scylla::policies::retry::RetryDecision;
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared::Statement;
use types::Consistency;

use crate::request::{Values, What, theirs};
use crate::retry::Retry;
use crate::{Answer, ConnectError, ExecuteError, Prepared, Request, Table};

/// How long a client waits for an answer unless told otherwise: longer than any node does.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How often a node is asked for a sign of life, and how long it may take to give one: together the
/// time after which a node that accepts connections but does not answer counts as gone.
const SIGN_INTERVAL: Duration = Duration::from_secs(3);
const SIGN_LIMIT: Duration = Duration::from_secs(7);
/// How long all nodes may take to show a change of the schema.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(10);

/// What a session is made of.
#[must_use]
#[derive(Debug, Clone)]
pub struct Builder {
    contacts: Vec<String>,
    level: Consistency,
    user: Option<(String, String)>,
    keyspace: Option<String>,
    request_limit: Duration,
}

impl Builder {
    /// A node to begin with, as `host` or `host:port`; the others are learnt from it.
    pub fn contact(mut self, host: impl Into<String>) -> Self {
        self.contacts.push(host.into());
        self
    }

    /// The level of requests that name none; QUORUM unless told otherwise.
    pub fn consistency(self, level: Consistency) -> Self {
        Self { level, ..self }
    }

    /// Who asks, for a cluster that wants to know.
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some((name.into(), password.into())), ..self }
    }

    /// The keyspace of tables that are named without one.
    pub fn keyspace(self, name: impl Into<String>) -> Self {
        Self { keyspace: Some(name.into()), ..self }
    }

    /// How long to wait for an answer.
    pub fn request_limit(self, limit: Duration) -> Self {
        Self { request_limit: limit, ..self }
    }

    /// Connects to the cluster.
    pub async fn connect(self) -> Result<Session, ConnectError> {
        let profile = ExecutionProfile::builder()
            .request_timeout(Some(self.request_limit))
            .retry_policy(Arc::new(Retry))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&self.contacts)
            .connection_timeout(CONNECT_LIMIT)
            .keepalive_interval(SIGN_INTERVAL)
            .keepalive_timeout(SIGN_LIMIT)
            .schema_agreement_timeout(AGREEMENT_LIMIT)
            .default_execution_profile_handle(profile.into_handle());
        if let Some((name, password)) = self.user {
            builder = builder.user(name, password);
        }
        if let Some(keyspace) = self.keyspace {
            builder = builder.use_keyspace(keyspace, true);
        }
        let session = builder.build().await;
        let session = session.map_err(|error| ConnectError::new(&self.contacts, error))?;
        Ok(Session { theirs: session, level: AtomicU16::new(self.level.code()) })
    }
}

/// A session with a cluster. Any number of tasks may use one at a time.
#[derive(Debug)]
pub struct Session {
    theirs: Theirs,
    /// The code of the level of requests that name none.
    level: AtomicU16,
}

impl Session {
    /// A session to be described.
    pub fn builder() -> Builder {
        Builder {
            contacts: Vec::new(),
            level: Consistency::Quorum,
            user: None,
            keyspace: None,
            request_limit: REQUEST_LIMIT,
        }
    }

    /// Carries out a statement and takes all its rows; [`Session::pages`] takes them by the page.
    ///
    /// A text without bind markers is sent as it is, a prepared statement with its values. After
    /// `USE` the whole session uses that keyspace.
    pub async fn execute(&self, request: impl Into<Request>) -> Result<Answer, ExecuteError> {
        let mut pages = self.pages(request);
        let mut answer = pages.fetch().await?;
        while let Some(page) = pages.next().await? {
            answer.append(page);
        }
        Ok(answer)
    }

    /// Carries out a statement whose rows are taken page by page.
    pub fn pages(&self, request: impl Into<Request>) -> Pages<'_> {
        let request = request.into();
        let level = request.level.unwrap_or_else(|| self.consistency());
        let asked = Arc::new(Asked::default());
        let statement = match request.what {
            What::Text(text) => {
                let mut statement = Statement::new(text);
                statement.set_page_size(request.page_rows.get().into());
                statement.set_consistency(theirs(level));
                statement.set_is_idempotent(request.is_idempotent);
                statement.set_history_listener(Arc::<Asked>::clone(&asked));
                Planned::Text(statement)
            }
            What::Prepared(mut statement, values) => {
                statement.set_page_size(request.page_rows.get().into());
                statement.set_consistency(theirs(level));
                statement.set_is_idempotent(request.is_idempotent);
                statement.set_history_listener(Arc::<Asked>::clone(&asked));
                Planned::Prepared(statement, values)
            }
        };
        Pages { session: &self.theirs, statement, asked, place: Some(PagingState::start()) }
    }

    /// Has the nodes parse a statement once, to be carried out many times with other values.
    pub async fn prepare(&self, text: &str) -> Result<Prepared, ExecuteError> {
        let prepared = self.theirs.prepare(text).await;
        prepared.map(Prepared::new).map_err(|error| ExecuteError::preparation(None, error))
    }

    /// The level of requests that name none.
    pub fn consistency(&self) -> Consistency {
        let code = self.level.load(Ordering::Relaxed);
        Consistency::from_code(code).expect("only codes of levels are stored")
    }

    /// Sets the level of requests that name none.
    pub fn set_consistency(&self, level: Consistency) {
        self.level.store(level.code(), Ordering::Relaxed);
    }

    /// The keyspace of tables that are named without one.
    pub fn keyspace(&self) -> Option<String> {
        self.theirs.get_keyspace().map(|name| name.to_string())
    }

    /// The key of a table as the session knows it: `None` for a table that it does not know (yet),
    /// or whose key has a column of a type that is not known here.
    pub fn table(&self, keyspace: &str, table: &str) -> Option<Table> {
        let state = self.theirs.get_cluster_state();
        Table::new(state.get_keyspace(keyspace)?.tables.get(table)?)
    }

    /// Learns the schema and the members anew, as the session also does by itself now and then and
    /// after each change of its own.
    pub async fn refresh(&self) -> Result<(), ExecuteError> {
        let refreshed = self.theirs.refresh_metadata().await;
        refreshed.map_err(|error| ExecuteError::NotConnected { why: error.to_string() })
    }

    /// The name of the cluster.
    pub fn cluster_name(&self) -> String {
        self.theirs.get_cluster_state().cluster_name().to_owned()
    }
}

/// The answer to a statement, page by page.
pub struct Pages<'a> {
    session: &'a Theirs,
    statement: Planned,
    asked: Arc<Asked>,
    /// Where the next page begins; none after the last one.
    place: Option<PagingState>,
}

/// A statement with everything set that it is carried out with.
enum Planned {
    Text(Statement),
    Prepared(Box<PreparedStatement>, Values),
}

impl Pages<'_> {
    /// The next page, `None` after the last one. The first call carries the statement out.
    pub async fn next(&mut self) -> Result<Option<Answer>, ExecuteError> {
        if self.place.is_none() { Ok(None) } else { self.fetch().await.map(Some) }
    }

    async fn fetch(&mut self) -> Result<Answer, ExecuteError> {
        let place = self.place.take().unwrap_or_else(PagingState::start);
        let answered = match &self.statement {
            Planned::Text(statement) => {
                self.session.query_single_page(statement.clone(), (), place).await
            }
            Planned::Prepared(statement, values) => {
                self.session.execute_single_page(statement, values, place).await
            }
        };
        let (answer, next) = answered.map_err(|error| self.asked.explain(error))?;
        self.place = match next.into_paging_control_flow() {
            ControlFlow::Continue(place) => Some(place),
            ControlFlow::Break(()) => None,
        };
        Answer::read(answer)
    }
}

/// Remembers which node was asked last and what it said, for the error that may follow.
#[derive(Debug, Default)]
struct Asked(Mutex<Attempt>);

#[derive(Debug, Default)]
struct Attempt {
    node: Option<SocketAddr>,
    error: Option<RequestAttemptError>,
}

impl Asked {
    fn last(&self) -> MutexGuard<'_, Attempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error in our words. What a node said goes before that no other node was there to ask.
    fn explain(&self, error: ExecutionError) -> ExecuteError {
        let last = self.last();
        match (&error, &last.error) {
            (ExecutionError::ConnectionPoolError(_), Some(said)) => {
                ExecuteError::new(last.node, ExecutionError::LastAttemptError(said.clone()))
            }
            _ => ExecuteError::new(last.node, error),
        }
    }
}

impl HistoryListener for Asked {
    fn log_request_start(&self) -> RequestId {
        RequestId(0)
    }

    fn log_request_success(&self, _: RequestId) {}

    fn log_request_error(&self, _: RequestId, _: &RequestError) {}

    fn log_new_speculative_fiber(&self, _: RequestId) -> SpeculativeId {
        SpeculativeId(0)
    }

    fn log_attempt_start(
        &self,
        _: RequestId,
        _: Option<SpeculativeId>,
        node: SocketAddr,
    ) -> AttemptId {
        *self.last() = Attempt { node: Some(node), error: None };
        AttemptId(0)
    }

    fn log_attempt_success(&self, _: AttemptId) {}

    fn log_attempt_error(&self, _: AttemptId, error: &RequestAttemptError, _: &RetryDecision) {
        self.last().error = Some(error.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use scylla::errors::{ConnectionPoolError, DbError};

    use super::*;
    use crate::ServerErrorKind;

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_unreachable() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Session::builder().contact(free.to_string()).connect().await.unwrap_err();
        assert!(error.is_unreachable(), "{error:?}");
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("cannot reach {free}: ")), "{shown}");
    }

    #[test]
    fn what_a_node_said_is_told_even_if_no_other_could_be_asked() {
        let asked = Asked::default();
        let node = "127.0.0.1:9042".parse().unwrap();
        let attempt = asked.log_attempt_start(RequestId(0), None, node);
        let said = RequestAttemptError::DbError(DbError::IsBootstrapping, "wait".to_owned());
        asked.log_attempt_error(attempt, &said, &RetryDecision::RetryNextTarget(None));
        let none = ExecutionError::ConnectionPoolError(ConnectionPoolError::Initializing);
        let ExecuteError::Server(error) = asked.explain(none) else { panic!() };
        assert_eq!((error.node, error.kind), (Some(node), ServerErrorKind::Bootstrapping));
    }

    #[tokio::test]
    async fn a_session_needs_a_contact() {
        assert_eq!(Session::builder().connect().await.unwrap_err(), ConnectError::NoContact);
    }
}
