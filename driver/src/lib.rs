//! What a Rust application talks to a cluster with, and what the shell stands on.
//!
//! A [`Session`] stands on one of the `scylla` crate, which pools connections, routes by token,
//! prepares and pages. This crate speaks the words of the house: [`types::Value`] and
//! [`types::CqlType`] for data, [`types::Consistency`] for levels, errors that say which node was
//! asked, how many replicas answered, and whether a write may live on although it failed.
//!
//! ```no_run
//! # use starling_driver as driver;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use types::{Consistency, Value};
//!
//! let session = driver::Session::builder().contact("127.0.0.1").connect().await?;
//! let read = session.prepare("SELECT context(), v FROM k.t WHERE k = ?").await?;
//! let answer = session.execute(read.bind(&[Some(Value::Int(1))])?.at(Consistency::All)).await?;
//! for row in &answer.rows {
//!     println!("{:?} under {:?}", row.find("v")?, row.find("context()")?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Callers: applications, the shell, the tests.

mod answer;
mod error;
mod kind;
mod request;
mod retry;
mod schema;
mod session;

pub use answer::{Answer, Column, Coordinator, ReadError, Row};
pub use error::{BindError, ConnectError, ExecuteError, ServerError, ServerErrorKind};
pub use request::{Prepared, Request};
pub use schema::{KeyColumn, Table};
pub use session::{Builder, Pages, Session};
