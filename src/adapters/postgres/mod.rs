//! A Postgres database, as the source that is read, or as the target that is written and holds our
//! state.
//!
//! All of this works through a transaction pooler: each call is one transaction that begins with
//! its own settings, statements are unnamed, and nothing is left in the session. The one exception
//! is COPY, which the driver prepares under a name; the name is opened and closed inside the same
//! transaction. Behind an API a call is a script that one function runs.
//!
//! The folders and files, from the top. None uses one that stands above it:
//!
//! - `source`, `target`, `ledger`, `cutover`, `rehearse`: the ports, each method one transaction
//! - `copies`: full syncs: their sessions, their spool, and the transaction that writes a copy
//! - `contacts`: people, their links and shadows
//! - `pages`: a transaction with pages of several tables
//! - `commit`: the transactions that write under the lease
//! - `refusals`: finds the rows of a page that cannot be written; `read`, `read_sql`: read one
//!   page
//! - `state`: our tables
//! - `survey`: the facts about all tables before a run; `export`: writes a whole side into files
//! - `certificate`: the certificates of a server
//! - `digests`: the comparisons, a port that source and target share; `compare`: their statements
//! - `apply`: writes a page's rows into their table
//! - `catalog`: reads the tables from the catalog
//! - `connection`: a connection to a database; `script`: a transaction behind an API
//! - `fault`: errors, and who must act; `rows`: the bytes of rows; `sql`: the text of statements

mod ancestors;
mod apply;
mod catalog;
#[cfg(feature = "cli")]
pub mod certificate;
mod commit;
mod compare;
mod connection;
mod contacts;
mod copies;
#[cfg(feature = "cli")]
mod cutover;
mod digests;
mod export;
mod fault;
mod ledger;
mod pages;
mod read;
mod read_sql;
mod refusals;
#[cfg(feature = "cli")]
mod rehearse;
mod rows;
mod script;
mod source;
pub mod sql;
mod state;
mod survey;
mod target;

pub use contacts::PostgresContacts;
pub use copies::PostgresCopies;
pub use export::PostgresExport;
pub use source::PostgresSource;
pub use state::tables::{SUPPRESS_TRIGGERS, project_script};
pub use target::PostgresTarget;
