//! Postgres, as the side that is read and as the side that is written and holds our state.
//!
//! Everything here works through a transaction pooler: each call is one transaction that begins
//! with its own settings, statements are unnamed, and nothing is left in the session. The one
//! exception is COPY, which the driver prepares under a name; the name lives and is closed inside
//! the same transaction.

mod agreed;
mod alter;
mod apply;
mod aside;
mod begin;
mod bisect;
mod connect;
mod copy;
#[cfg(feature = "cli")]
mod cutover;
mod database;
mod delete;
mod describe;
mod digest;
mod end;
#[cfg(feature = "cli")]
mod export;
mod fault;
mod further;
mod history;
mod in_one;
mod json;
mod known;
mod leaving;
mod ledger;
mod legs;
mod locks;
mod migrate;
mod part;
mod pool;
mod put;
mod read;
mod refused;
#[cfg(feature = "cli")]
mod rehearse;
mod rejects;
mod row;
mod script;
mod sequences;
mod session;
pub mod sql;
mod standing;
mod state;
mod statement;
mod suppress;
mod survey;
mod together;
mod tries;
mod unstaged;
mod waits;
mod write;

pub use database::{PostgresSource, PostgresTarget};
#[cfg(feature = "cli")]
pub use export::PostgresExport;
pub use migrate::for_project;
