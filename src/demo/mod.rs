//! Throwaway databases with real data, and a QStash of our own, for `syncline demo` and the tests.
//!
//! Imports nothing of ours: what it shows and checks must not share an error with what it shows. A
//! [`Cluster`] is a server that ends with the process, [`data`] fills and changes its databases,
//! [`compare`] tells whether two are equal, a [`Signer`] signs as QStash does, and [`qstash`] is
//! one that schedules and delivers on this machine. Putting these together is left to `edge/cli`
//! and to `tests/it/world`.

mod account;
mod cluster;
pub mod compare;
pub mod data;
pub mod postgres_binaries;
pub mod qstash;
mod session;
mod signer;

pub use cluster::{Cluster, ClusterError, ClusterOptions, TlsFiles};
pub use signer::{Signer, random_key};
