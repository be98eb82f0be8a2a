//! Syncline keeps two Postgres databases in step from one serverless function.
//!
//! Five rooms in a row; requests walk right, outcomes walk back:
//!
//! ```text
//! edge  ->  jobs  ->  engine  ->  ports  <-  adapters
//! ```
//!
//! * [`edge`] is where calls come in: HTTP, under Lambda and on a plain port, and the terminal.
//! * [`jobs`] are what can be asked. A job does a slice of work within a budget and says whether
//!   it is done, to be continued, or busy elsewhere.
//! * [`engine`] is what Syncline exists for: values (`model`), decisions over them (`plan`), loops
//!   that carry them out (`drive`), and what all of that needs of others (`ports`).
//! * [`adapters`] meet those needs, each with one outside.
//!
//! Beside the row: [`settings`] alone reads the environment, [`wiring`] alone knows every adapter,
//! [`telemetry`] starts the logs, and `demo` has throwaway databases with real data, a local QStash
//! and a local MailerLite.
//!
//! The invariants and five walks through the system are in `ARCHITECTURE.md`.

pub mod adapters;
#[cfg(feature = "cli")]
pub mod demo;
pub mod edge;
pub mod engine;
pub mod jobs;
pub mod settings;
pub mod telemetry;
pub mod wiring;
