//! Postgres, as the side that is read and as the side that is written and holds our state.
//!
//! Everything here works through a transaction pooler: each call is one transaction that begins
//! with its own settings, statements are unnamed, and nothing is left in the session. The one
//! exception is COPY, which the driver prepares under a name; the name lives and is closed inside
//! the same transaction.

mod apply;
mod catalog;
mod commit;
mod compare;
mod connection;
#[cfg(feature = "cli")]
mod cutover;
#[cfg(feature = "cli")]
mod export;
mod fault;
mod ledger;
mod read;
mod refusals;
#[cfg(feature = "cli")]
mod rehearse;
mod rows;
mod script;
pub mod sql;
mod state;
mod survey;
mod target;

#[cfg(feature = "cli")]
pub use export::PostgresExport;
pub use state::tables::for_project;
pub use target::{PostgresSource, PostgresTarget};
