//! The errors of Postgres, and who must act on them.
//!
//! - `error`: the errors, in the server's words as far as those hold no value of a row
//! - `sqlstate`: which codes speak of a row, and which of the server, a role or a statement
//! - `verdict`: from an error to the fault that says who must act
//! - `connect`: the reasons why a connection was not made; `certificate`: those of a certificate
//! - `connect_verdict`: who must act on them
//! - `api`: the same for the API before a database

mod api;
mod certificate;
mod connect;
mod connect_verdict;
mod error;
mod sqlstate;
mod verdict;

#[cfg(feature = "cli")]
pub use certificate::CertificateFault;
pub use connect::{ConnectCause, ConnectError, Doubt, LoginRequest, Stage};
pub use error::{Lacking, PostgresError, RejectedRows};
pub use sqlstate::classes_of_no_row;
pub use verdict::to_fault;
