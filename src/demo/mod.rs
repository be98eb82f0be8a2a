//! Throwaway databases with real data, and a QStash signer, for `syncline demo` and the tests.
//! Imports nothing of ours: what it shows and checks must not share an error with what it shows.

mod account;
mod cluster;
pub mod postgres_binaries;
mod session;
mod signer;

pub use cluster::{Cluster, ClusterError, ClusterOptions, TlsFiles};
pub use signer::{Signer, random_key};
