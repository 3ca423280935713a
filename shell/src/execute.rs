//! One command or statement at a time: sent, shown, remembered.

use std::io;
use std::num::NonZeroU16;

use driver::{Answer, ConnectError, ExecuteError, Request, ServerErrorKind, Session};
use sql::{Batch, Qualified, Statement};
use types::Value;

use crate::Exit;
use crate::catalog::Catalog;
use crate::causal::{
    CONTEXTS_MAX, Contexts, Read, Reading, Recall, Seen, Writing, add_context, table_in_batch,
};
use crate::command::{Command, CommandError, HELP};
use crate::input::TooLong;
use crate::print::{Format, Line, Page, Printer};
use crate::screen::{Screen, data, note};

/// How many rows are asked for at a time.
const PAGE_ROWS: NonZeroU16 = NonZeroU16::new(1_000).expect("it is not 0");

/// A shell that is connected to a cluster.
#[derive(Debug)]
pub(crate) struct Shell {
    session: Session,
    /// The version of this program.
    version: String,
    format: Format,
    screen: Screen,
    is_causal: bool,
    catalog: Catalog,
    contexts: Contexts,
}

/// What a shell is made of.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The version of this program.
    pub(crate) version: String,
    /// How results are printed.
    pub(crate) format: Format,
    /// Who asks.
    pub(crate) user: Option<(String, String)>,
}

/// Why something that the shell was told was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    /// No cluster was reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster did not do it.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A command is written otherwise.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A statement does not end.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// A script ends in the middle of a statement.
    #[error("the last statement has no semicolon: {begin}")]
    Unfinished {
        /// How it begins.
        begin: String,
    },
    /// The person would not wait.
    #[error("interrupted; what was sent may be carried out nevertheless")]
    Interrupted,
    /// A script cannot be read.
    #[error("{name}: {error}")]
    Script {
        /// Its name.
        name: String,
        /// Why not.
        error: io::Error,
    },
    /// A user was named, but there is nobody to ask for the password.
    #[error("no password for {user}: there is no terminal to ask on, nor STARLING_PASSWORD")]
    NoPassword {
        /// The user.
        user: String,
    },
    /// Nothing can be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ShellError {
    /// How a command ends that ends by this.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) if error.is_unreachable() => Exit::Unreachable,
            Self::Execute(ExecuteError::NotConnected { .. }) => Exit::Unreachable,
            Self::NoPassword { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// Whether whoever read the results is gone, so that there is no use in going on.
    pub(crate) fn is_end_of_output(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Whether to go on after something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    Leave,
}

impl Shell {
    /// Connects to the cluster of these nodes, named `host:port`.
    pub(crate) async fn connect(hosts: &[String], options: Options) -> Result<Self, ShellError> {
        let builder = hosts.iter().fold(Session::builder(), driver::Builder::contact);
        let builder = match options.user {
            Some((name, password)) => builder.user(name, password),
            None => builder,
        };
        Ok(Self {
            session: builder.connect().await?,
            version: options.version,
            format: options.format,
            screen: Screen::new(),
            is_causal: true,
            catalog: Catalog::default(),
            contexts: Contexts::new(CONTEXTS_MAX),
        })
    }

    /// What to say to a person at the beginning.
    pub(crate) fn greeting(&self) -> String {
        let (cluster, level) = (self.session.cluster_name(), self.session.consistency());
        format!("starling {}, cluster {cluster}, consistency {level}. HELP helps.", self.version)
    }

    /// What to ask a person with.
    pub(crate) fn prompt(&self) -> String {
        match self.session.keyspace() {
            Some(keyspace) => format!("starling:{keyspace}> "),
            None => "starling> ".to_owned(),
        }
    }

    /// Does one thing.
    pub(crate) async fn run(&mut self, item: &str) -> Result<Next, ShellError> {
        match Command::parse(item) {
            Some(command) => self.command(command?).await,
            None => self.statement(item).await.map(|()| Next::Go),
        }
    }

    async fn command(&mut self, command: Command) -> Result<Next, ShellError> {
        match command {
            Command::Consistency(level) => {
                if let Some(level) = level {
                    self.session.set_consistency(level);
                }
                self.screen.say(&format!("consistency is {}", self.session.consistency()))?;
            }
            Command::Causal(on) => {
                self.is_causal = on.unwrap_or(self.is_causal);
                self.screen.say(if self.is_causal {
                    "causality is on: writes carry the context of the row as it was last seen here"
                } else {
                    "causality is off: a write is concurrent with everything that it does not name"
                })?;
            }
            Command::Help => self.screen.say(HELP.trim_end())?,
            Command::ShowVersion => self.show_version().await?,
            Command::Exit => return Ok(Next::Leave),
        }
        Ok(Next::Go)
    }

    async fn show_version(&mut self) -> Result<(), ShellError> {
        let answer = self.session.execute("SELECT * FROM system.local").await?;
        data(&format!("starling shell {}\n", self.version))?;
        for column in
            ["starling_version", "release_version", "cql_version", "native_protocol_version"]
        {
            let value = answer.rows.first().and_then(|row| row.find(column).ok()?);
            if let Some(Value::Text(version)) = value {
                data(&format!("{column} {version}\n"))?;
            }
        }
        Ok(())
    }

    async fn statement(&mut self, text: &str) -> Result<(), ShellError> {
        // What is no statement here is none for the server either, which says so better.
        let Ok(statement) = sql::parse(text) else { return self.send(text.into()).await };
        if let (Statement::Batch(batch), true) = (&statement, self.is_causal) {
            return self.batch(batch.clone()).await;
        }
        let table = match table_of(&statement) {
            Some(table) if self.is_causal => {
                self.catalog.siblings_table(&self.session, table).await?
            }
            _ => None,
        };
        match (&statement, table) {
            (Statement::Select(select), Some(table)) => match Reading::of(select, &table) {
                Some(reading) => self.read(text, &reading).await,
                None => self.send(Request::from(text).idempotent()).await,
            },
            (Statement::Select(_), None) => self.send(Request::from(text).idempotent()).await,
            (_, Some(table)) => match Writing::of(&statement, &table) {
                Some(writing) => self.write(&writing).await,
                None => self.send(text.into()).await,
            },
            (_, None) => {
                let sent = self.send(text.into()).await;
                self.follow(&statement, sent.is_ok());
                sent
            }
        }
    }

    /// Forgets what a change of the schema makes untrue.
    fn follow(&mut self, statement: &Statement, is_done: bool) {
        let is_data = table_of(statement).is_some()
            || matches!(statement, Statement::Use(_) | Statement::Batch(_));
        if !is_data {
            self.catalog.clear();
        }
        let ends_rows = matches!(
            statement,
            Statement::DropKeyspace(_) | Statement::DropTable(_) | Statement::Truncate(_)
        );
        if is_done && ends_rows {
            self.contexts.clear();
        }
    }

    /// Sends a statement as it is and shows what comes back.
    async fn send(&mut self, request: Request) -> Result<(), ShellError> {
        let mut pages = self.session.pages(request.page_rows(PAGE_ROWS));
        let mut printer = Printer::new(self.format, self.screen.is_terminal());
        while let Some(answer) = pages.next().await? {
            warn(&answer);
            if answer.is_rows {
                let page = Page::of(&answer, answer.columns.len());
                data(&printer.page(&page))?;
            }
        }
        self.count(&printer)
    }

    /// Sends a SELECT that also asks for contexts, and shows what the person asked for.
    async fn read(&mut self, text: &str, reading: &Reading) -> Result<(), ShellError> {
        let request = Request::from(reading.text.as_str()).page_rows(PAGE_ROWS).idempotent();
        let mut pages = self.session.pages(request);
        let mut printer = Printer::new(self.format, self.screen.is_terminal());
        loop {
            let answer = match pages.next().await {
                Ok(Some(answer)) => answer,
                Ok(None) => return self.count(&printer),
                // The table may be another than it was. As it is written, the statement is answered
                // or refused in words that fit it.
                Err(error) if is_invalid(&error) && printer.rows() == 0 => {
                    self.catalog.clear();
                    return self.send(Request::from(text).idempotent()).await;
                }
                Err(error) => return Err(error.into()),
            };
            warn(&answer);
            let shown = reading.observe(&answer, &mut self.contexts);
            let page = cut(&answer, &shown, reading.appended);
            data(&printer.page(&page))?;
        }
    }

    /// Sends a write of one row with the context that is remembered, and says what became of it.
    async fn write(&mut self, writing: &Writing) -> Result<(), ShellError> {
        let used = self.recalled(writing);
        let sent = writing.text(used.as_ref().map(|seen| &seen.context));
        let answer = match self.session.execute(sent).await {
            Ok(answer) => answer,
            Err(error) => {
                if is_invalid(&error) {
                    self.contexts.forget(&writing.row);
                    self.catalog.clear();
                }
                return Err(error.into());
            }
        };
        warn(&answer);
        if writing.is_shown {
            let mut printer = Printer::new(self.format, self.screen.is_terminal());
            let page = cut(&answer, &Writing::shown(&answer), Writing::APPENDED);
            data(&printer.page(&page))?;
            self.count(&printer)?;
        }
        let written = writing.observe(&answer, used.as_ref(), &mut self.contexts).to_string();
        if written.is_empty() { Ok(()) } else { Ok(self.screen.say(&written)?) }
    }

    /// Sends a batch each of whose statements carries the context of its row, if it is remembered.
    ///
    /// What becomes of the rows is not answered, so nothing is known of them any more.
    async fn batch(&mut self, mut batch: Batch) -> Result<(), ShellError> {
        let mut rows = Vec::new();
        for statement in &mut batch.statements {
            let table = table_in_batch(statement);
            let table = self.catalog.siblings_table(&self.session, table).await?;
            let Some(writing) = table.and_then(|it| Writing::in_batch(statement, &it)) else {
                continue;
            };
            if let Some(seen) = self.recalled(&writing) {
                add_context(statement, &seen.context);
            }
            rows.push(writing.row);
        }
        let sent = self.send(Statement::Batch(batch).to_string().as_str().into()).await;
        for row in &rows {
            self.contexts.forget(row);
        }
        if let Err(ShellError::Execute(error)) = &sent
            && is_invalid(error)
        {
            self.catalog.clear();
        }
        sent
    }

    /// The context to send with a write, if one is remembered.
    fn recalled(&mut self, writing: &Writing) -> Option<Seen> {
        if !writing.takes_context {
            return None;
        }
        match self.contexts.recall(&writing.row) {
            Recall::Known(seen) => Some(seen),
            Recall::Unknown => None,
            Recall::Forgotten => {
                note(&format!(
                    "the context of this row is forgotten, for {CONTEXTS_MAX} others were seen \
                     since: the write is sent without it"
                ));
                None
            }
        }
    }

    /// Tells a person how many rows there were.
    fn count(&self, printer: &Printer) -> Result<(), ShellError> {
        if self.screen.is_terminal() && printer.is_begun() && self.format == Format::Table {
            let rows = printer.rows();
            data(&format!("({rows} row{})\n", if rows == 1 { "" } else { "s" }))?;
        }
        Ok(())
    }
}

/// The table that a statement reads or writes.
fn table_of(statement: &Statement) -> Option<&Qualified> {
    match statement {
        Statement::Select(select) => Some(&select.table),
        Statement::Insert(insert) => Some(&insert.table),
        Statement::Update(update) => Some(&update.table),
        Statement::Delete(delete) => Some(&delete.table),
        _ => None,
    }
}

/// The rows to be shown without the columns that were appended.
fn cut(answer: &Answer, shown: &[Read], appended: usize) -> Page {
    let width = answer.columns.len().saturating_sub(appended);
    let line = |read: &Read| Line::of(&answer.rows[read.place], width, read.sibling);
    Page {
        columns: answer.columns.iter().take(width).cloned().collect(),
        lines: shown.iter().map(line).collect(),
    }
}

fn is_invalid(error: &ExecuteError) -> bool {
    matches!(error, ExecuteError::Server(error) if error.kind == ServerErrorKind::Invalid)
}

fn warn(answer: &Answer) {
    answer.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
}
