//! Throwaway databases with real data, and a QStash and a MailerLite of our own, for `syncline
//! demo` and the tests.
//!
//! It imports nothing of ours, so that it shares no error with the product that it shows and
//! checks. `edge/cli/demo` and `tests/it/world` put its parts together.
//!
//! - `cluster`: a server that ends with the process; `postgres_binaries` finds or fetches its
//!   programs, `account` is the account it runs under, and `session` is a connection to it.
//! - `data`: fills and changes its databases.
//! - `compare`: compares two databases.
//! - `clock`, `courier`, `hang_up`, `lock`: the time that local services show, the calls that they
//!   make, answers that are lost on request, and locks.
//! - `program`: the program with settings of its own, as processes; `deployment`: a deployment for
//!   full syncs, which one of them serves.
//! - `signer`: signs calls as QStash does.
//! - `qstash`: a QStash that schedules and delivers on this machine.
//! - `mailerlite`: a MailerLite with subscribers, groups and limits on this machine.
//! - `people`: invented people in a database and in that MailerLite.

mod account;
mod clock;
mod cluster;
pub mod compare;
mod courier;
pub mod data;
pub mod deployment;
mod hang_up;
mod lock;
pub mod mailerlite;
pub mod people;
pub mod postgres_binaries;
pub mod program;
pub mod qstash;
mod session;
mod signer;

pub use cluster::{Cluster, ClusterError, ClusterOptions, TlsFiles};
pub use signer::{Signer, random_key};
